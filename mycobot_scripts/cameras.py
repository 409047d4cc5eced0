"""Cameras: a thread each, which keeps the newest picture and when it came.

A source is a number or a path of a camera at this machine, or the address of an MJPEG stream (an IP camera,
the twin). Streams are read here and not by OpenCV, whose pictures come late: see `Stream`.
"""

from __future__ import annotations

import glob
import os
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from constants import IMAGE_SIZE

FPS = 30  # pictures a second that a camera is asked for
OPENING = 10.0  # s until the first picture
RETRY = 0.5  # s between tries to open a camera that was lost
STREAM_TIMEOUT = 2.0  # s without a byte until a stream is opened anew
_BY_ID = "/dev/v4l/by-id/*"


@dataclass(frozen=True)
class Frame:
    """A picture, and when it came."""

    image: np.ndarray  # (H, W, 3) uint8 RGB; not to be written to
    time: float  # s, time.monotonic()
    changed: float  # s; when pictures last differed from the one before


class Source(Protocol):
    """Where pictures come from."""

    def read(self) -> np.ndarray:
        """The next picture (H, W, 3) uint8 RGB; OSError if there is none."""

    def close(self) -> None: ...


class Device:
    """A camera at this machine, with exposure, focus and white balance locked where the driver lets them be.

    Args:
        source: its number, or its path.
        fps: pictures a second that it is asked for.
        size: (height, width) in pixels that it is asked for.
        settle: how long it may adjust itself to the light before it is locked, s.
    """

    def __init__(self, source: str, fps: float, size: tuple[int, int], settle: float = 1.0) -> None:
        name = int(source) if source.isdecimal() else source
        self._capture = cv2.VideoCapture(name)
        if not self._capture.isOpened():
            raise OSError(f"camera {source} cannot be opened; {cameras_text()}")
        height, width = size
        for setting, value in (
            (cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG")),  # raw pictures do not fit through USB 2
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_FPS, fps),
            (cv2.CAP_PROP_BUFFERSIZE, 1),
        ):
            self._capture.set(setting, value)
        deadline = time.monotonic() + settle
        while time.monotonic() < deadline:
            self.read()
        self.locked = lock(self._capture)

    def read(self) -> np.ndarray:
        is_there, bgr = self._capture.read()
        if not is_there:
            raise OSError("the camera gave no picture")
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        self._capture.release()


def lock(capture: Any) -> dict[str, bool]:
    """Fix a cv2.VideoCapture's exposure, focus and white balance as they are; what came of each.

    V4L2 calls manual exposure 1, the other drivers 0.25.
    """
    exposure, balance = capture.get(cv2.CAP_PROP_EXPOSURE), capture.get(cv2.CAP_PROP_WB_TEMPERATURE)
    manual = 1 if capture.getBackendName() == "V4L2" else 0.25
    done = {
        "exposure": capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, manual)
        and capture.set(cv2.CAP_PROP_EXPOSURE, exposure),
        "focus": capture.set(cv2.CAP_PROP_AUTOFOCUS, 0),
        "white balance": capture.set(cv2.CAP_PROP_AUTO_WB, 0),
    }
    if done["white balance"] and balance > 0:
        capture.set(cv2.CAP_PROP_WB_TEMPERATURE, balance)
    return done


class Stream:
    """An MJPEG stream over HTTP: parts of a multipart/x-mixed-replace answer, each a JPEG.

    Of a stream of 10 pictures a second, cv2.VideoCapture hands each out only when the next has come: 95 ms
    after it was made, where this takes 22 ms (medians).

    Args:
        url: its address.
        timeout: s without a byte, after which it is lost.
    """

    def __init__(self, url: str, timeout: float = STREAM_TIMEOUT) -> None:
        try:
            self._answer = urllib.request.urlopen(url, timeout=timeout)
        except (OSError, ValueError) as error:
            raise OSError(f"camera {url} cannot be opened ({error})") from None

    def read(self) -> np.ndarray:
        jpeg = self._part()
        bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise OSError("the stream holds what is no JPEG")
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    def _part(self) -> bytes:
        """The next part's body."""
        length = None
        while True:
            line = self._answer.readline(4096)
            if not line:
                raise OSError("the stream has ended")
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
            elif not line.strip() and length is not None:
                break
        jpeg = self._answer.read(length)
        if len(jpeg) < length:
            raise OSError("the stream has ended")
        return jpeg

    def close(self) -> None:
        self._answer.close()


def open_source(source: str, fps: float, size: tuple[int, int]) -> Source:
    """The camera that `source` names; OSError if it cannot be opened."""
    return Stream(source) if "://" in source else Device(source, fps, size)


class Camera:
    """A camera read by a thread of its own. One that is lost is opened anew, again and again.

    Args:
        name: the policy's name of it.
        source: number, path or address.
        fps: pictures a second that a device is asked for.
        size: (height, width) in pixels of its pictures; others are scaled.
        opener: makes the source.
    """

    def __init__(
        self,
        name: str,
        source: str,
        fps: float = FPS,
        size: tuple[int, int] = IMAGE_SIZE,
        opener: Callable[[str, float, tuple[int, int]], Source] = open_source,
    ) -> None:
        self.name, self.source, self.size = name, source, size
        self.error: str | None = None  # why there is no picture just now
        self.count, self.lost = 0, 0  # pictures, and times that the camera was lost
        self.locked: dict[str, bool] = {}  # what of a device could be fixed: see `lock`
        self._open = lambda: opener(source, fps, size)
        self._latest: Frame | None = None
        self._print = 0  # checksum of the newest picture
        self._first, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {name}", daemon=True)
        self._thread.start()

    def wait(self, timeout: float = OPENING) -> Camera:
        """Wait for the first picture; RuntimeError if none comes in time (s)."""
        deadline = time.monotonic() + timeout
        while not self._first.wait(0.05):
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"camera {self.name!r} ({self.source}) gives no picture: "
                    f"{self.error or 'it is open and silent'}"
                )
        return self

    @property
    def latest(self) -> Frame:
        """The newest picture; RuntimeError before the first."""
        if self._latest is None:
            raise RuntimeError(
                f"camera {self.name!r} has given no picture yet: {self.error or 'wait() for it'}"
            )
        return self._latest

    @property
    def age(self) -> float:
        """How long ago the newest picture came, s."""
        return time.monotonic() - self.latest.time

    @property
    def unchanged(self) -> float:
        """How long pictures have been the same, to the last bit, s; a sensor's noise makes any two differ."""
        frame = self.latest
        return frame.time - frame.changed

    def close(self) -> None:
        """End the thread, close the camera."""
        self._ending.set()
        self._thread.join(timeout=STREAM_TIMEOUT + 3)

    def __enter__(self) -> Camera:
        return self.wait()

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            source = None
            try:
                source = self._open()
                self.locked = getattr(source, "locked", {})
                while not self._ending.is_set():
                    self._keep(source.read())
            except (OSError, ValueError, cv2.error) as error:
                self.error = str(error)
                self.lost += 1
                self._ending.wait(RETRY)
            finally:
                if source is not None:
                    source.close()

    def _keep(self, image: np.ndarray) -> None:
        now = time.monotonic()
        if image.shape[:2] != self.size:
            image = cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_AREA)
        print_ = zlib.adler32(np.ascontiguousarray(image))
        changed = now if self._latest is None or print_ != self._print else self._latest.changed
        self._print, self.error = print_, None
        self._latest = Frame(image, now, changed)
        self.count += 1
        self._first.set()


def open_cameras(sources: Mapping[str, str], fps: float = FPS) -> dict[str, Camera]:
    """Open cameras by name, side by side, and wait for their first pictures.

    RuntimeError, with all closed again, if one gives none.
    """
    cameras = {name: Camera(name, str(source), fps) for name, source in sources.items()}
    try:
        for camera in cameras.values():
            camera.wait()
    except BaseException:
        close_cameras(cameras)
        raise
    return cameras


def close_cameras(cameras: Mapping[str, Camera]) -> None:
    for camera in cameras.values():
        camera.close()


def find_cameras() -> list[str]:
    """Names of this machine's cameras: stable ones, which outlast plugging and reboots, where the system has
    them (Linux), otherwise numbers that can be opened.
    """
    stable = [path for path in sorted(glob.glob(_BY_ID)) if path.endswith("index0")]
    if stable or glob.glob("/dev/video*"):
        return stable or sorted(glob.glob("/dev/video*"))
    return [] if os.name == "posix" else [str(n) for n in range(4) if _can_open(n)]


def _can_open(number: int) -> bool:
    capture = cv2.VideoCapture(number)
    try:
        return capture.isOpened()
    finally:
        capture.release()


def cameras_text() -> str:
    """What there is, for an error."""
    found = find_cameras()
    return f"there are {', '.join(found)}" if found else "this machine has none"
