"""Cameras: a thread each, which keeps the newest picture and when it came.

A source is a number or a path of a camera at this machine, or the address of an MJPEG stream (an IP camera,
the twin). Streams are read here and not by OpenCV, whose pictures come late: see `MjpegStream`.
"""

from __future__ import annotations

import contextlib
import glob
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol

import cv2
import numpy as np

from common import masked, shown
from constants import IMAGE_SIZE
from mycobot_scripts.robot.cameras.names import same_sources
from mycobot_scripts.robot.cameras.streams import STREAM_TIMEOUT, MjpegStream
from mycobot_scripts.wire import clock

FPS = 30  # pictures a second that a camera is asked for
OPENING = 10.0  # s until the first picture
RETRY = 0.5  # s between tries to open a camera that was lost
REMEMBERED = 60  # pictures whose checksums are kept
SAME_SHAPE = 0.02  # share by which width : height may differ, so that pictures keep their shape
LONGEST_ERROR = 300  # characters
_BY_ID = "/dev/v4l/by-id/*"


@dataclass(frozen=True)
class CameraPicture:
    """A picture, and when it came."""

    image: np.ndarray  # (H, W, 3) uint8 RGB; not to be written to
    time: float  # s, `wire.now`
    changed: float  # s; when pictures last differed from the one before


class PictureSource(Protocol):
    """Where pictures come from."""

    def read(self) -> np.ndarray:
        """The next picture (H, W, 3) uint8 RGB; OSError if there is none."""

    def close(self) -> None: ...


class CaptureDevice:
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
        try:
            self._make_ready(fps, size, settle)
        except BaseException:
            self.close()  # otherwise it cannot be opened again
            raise

    def _make_ready(self, fps: float, size: tuple[int, int], settle: float) -> None:
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
        return cv2.cvtColor(as_colour(bgr), cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        self._capture.release()


def lock(capture: Any) -> dict[str, bool]:
    """Lock a cv2.VideoCapture's exposure, focus and white balance as they are; returns which it could.

    V4L2 calls manual exposure 1 and automatic exposure 3, the other drivers 0.25 and 0.75.
    """
    exposure, balance = capture.get(cv2.CAP_PROP_EXPOSURE), capture.get(cv2.CAP_PROP_WB_TEMPERATURE)
    manual, automatic = (1, 3) if capture.getBackendName() == "V4L2" else (0.25, 0.75)
    done = {
        "exposure": capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, manual)
        and capture.set(cv2.CAP_PROP_EXPOSURE, exposure),
        "focus": capture.set(cv2.CAP_PROP_AUTOFOCUS, 0),
        "white balance": capture.set(cv2.CAP_PROP_AUTO_WB, 0),
    }
    if not done["exposure"]:  # not manual at a value that nobody chose
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, automatic)
    if done["white balance"] and balance > 0:
        capture.set(cv2.CAP_PROP_WB_TEMPERATURE, balance)
    return done


def as_colour(picture: Any) -> np.ndarray:
    """A picture as (H, W, 3) uint8, its channels in their order; OSError for anything else.

    Grey becomes three equal channels, a fourth channel is left out, of 16 bits the upper 8 count.
    """
    if not isinstance(picture, np.ndarray) or not picture.size:
        raise OSError("the camera gave no picture")
    channels = picture.shape[2] if picture.ndim == 3 else 1 if picture.ndim == 2 else 0
    if channels not in (1, 3, 4) or picture.dtype not in (np.uint8, np.uint16):
        shape = "x".join(map(str, picture.shape))
        raise OSError(
            f"the camera gives {picture.dtype} pictures of {shape}; they must be height x width x 3 of uint8"
        )
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    picture = picture.reshape(*picture.shape[:2], channels)
    return np.repeat(picture, 3, axis=2) if channels == 1 else picture[:, :, :3]


def open_source(source: str, fps: float, size: tuple[int, int]) -> PictureSource:
    """The camera that `source` names; OSError if it cannot be opened."""
    return MjpegStream(source) if "://" in source else CaptureDevice(source, fps, size)


class Camera:
    """A camera, read by a thread of its own, which reopens it whenever it is lost.

    Args:
        name: as policies name it.
        source: number, path or address.
        fps: pictures a second that a device is asked for.
        size: (height, width) in pixels of its pictures; others are scaled from `native_size`.
        opener: makes the source.
    """

    def __init__(
        self,
        name: str,
        source: str,
        fps: float = FPS,
        size: tuple[int, int] = IMAGE_SIZE,
        opener: Callable[[str, float, tuple[int, int]], PictureSource] = open_source,
    ) -> None:
        self.name, self.source, self.size = name, source, size
        self.error: str | None = None  # why there is no picture just now
        self.count, self.lost = 0, 0  # pictures, and times that the camera was lost
        self.native_size: tuple[int, int] | None = None  # (height, width) of the newest picture as it came
        self.prints: deque[int] = deque(maxlen=REMEMBERED)  # checksums of the newest pictures, as they came
        self.locked: dict[str, bool] = {}  # what could be locked: see `lock`
        self._open = lambda: opener(source, fps, size)
        self._latest: CameraPicture | None = None
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
                    f"camera {self.name!r} ({shown(self.source)}) gives no picture: "
                    f"{self.error or 'it is open and silent'}"
                )
        return self

    @property
    def latest(self) -> CameraPicture:
        """The newest picture; RuntimeError before the first."""
        if self._latest is None:
            raise RuntimeError(
                f"camera {self.name!r} has given no picture yet: {self.error or 'wait() for it'}"
            )
        return self._latest

    def look(self) -> tuple[np.ndarray, float]:
        """The newest picture's pixels and time (`Keys.see`)."""
        picture = self.latest
        return picture.image, picture.time

    @property
    def age(self) -> float:
        """How long ago the newest picture came, s."""
        return clock.now() - self.latest.time

    @property
    def unchanged(self) -> float:
        """How long pictures have been the same, to the last bit, s; a sensor's noise makes any two differ."""
        picture = self.latest
        return picture.time - picture.changed

    @property
    def is_squashed(self) -> bool:
        """Whether scaling changes the shape of the pictures: circles become ellipses."""
        height, width = self.native_size or self.size
        return abs(width * self.size[0] / (height * self.size[1]) - 1) > SAME_SHAPE

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
            except Exception as error:  # whatever it is, the camera is opened again
                self._lose(error)
            finally:
                if source is not None:
                    with contextlib.suppress(Exception):
                        source.close()

    def _lose(self, error: Exception) -> None:
        text = " ".join(masked(str(error)).split()) or type(error).__name__
        self.error = text[:LONGEST_ERROR]
        self.lost += 1
        self._ending.wait(RETRY)

    def _keep(self, image: np.ndarray) -> None:
        now = clock.now()
        image = np.ascontiguousarray(as_colour(image))
        print_ = zlib.adler32(image)
        is_new = self._latest is None or print_ != self._print
        self.native_size = image.shape[:2]
        if self.native_size != self.size:
            image = cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_AREA)
        self.prints.append(print_)
        self._print, self.error = print_, None
        self._latest = CameraPicture(image, now, now if is_new else self._latest.changed)
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
    for camera in cameras.values():
        if camera.is_squashed:
            print(f"note: camera {camera.name} gives {size_text(camera)}")
    for one, other in same_sources(sources):
        print(f"note: cameras {one} and {other} are the same camera, {shown(str(sources[one]))}")
    return cameras


def size_text(camera: Camera) -> str:
    """A camera's own size, and what scaling makes of it."""
    native, (height, width) = camera.native_size or camera.size, camera.size
    text = f"{native[1]}x{native[0]}"
    if native == camera.size:
        return text
    return f"{text}, {'squashed' if camera.is_squashed else 'scaled'} to {width}x{height}"


def same_pictures(cameras: Mapping[str, Camera]) -> list[tuple[str, str]]:
    """Pairs of cameras whose pictures are equal to the last bit, as no two sensors' are."""
    prints = {name: set(camera.prints) for name, camera in cameras.items()}
    return [(one, other) for one, other in combinations(prints, 2) if prints[one] & prints[other]]


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
    """This machine's cameras, for an error message."""
    names = find_cameras()
    return f"there are {', '.join(names)}" if names else "this machine has none"
