"""Recording that survives: every step goes to a journal on disk at once, and becomes an episode in the end.

    episode_3.recording/header.json   what the episode is of; written before the first step
    episode_3.recording/steps.bin     one record a step, appended: mark, length, CRC-32, contents

A killed process loses what its queue held (a few steps), a power cut what was not yet synced (SYNC_EVERY).
`recover` makes an episode of what is there; a record that is torn or damaged ends it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from episodes import Episode, EpisodeError, episode_path
from files import complete_file
from frames import JpegFrames, encode_jpeg

SYNC_EVERY = 0.5  # s; so that with the sync itself no more than a second is lost
MAX_WAITING = 100  # steps that may wait for a slow disk
_ENDING = ".recording"
_MARK = b"STEP"
_HEAD = struct.Struct("<4sII")  # mark, bytes of the contents, their CRC-32
_STEP = struct.Struct("<dfH")  # time (s), reward or NaN, D; then qpos, qvel, action: D float32 each
_LENGTH = struct.Struct("<I")  # of a JPEG, before it


def journal_path(path: str | Path) -> Path:
    """Where an episode file's journal is while it is being recorded."""
    return Path(path).with_suffix(_ENDING)


def free_episode(folder: str | Path) -> Path:
    """The first episode file of a folder, by number, that neither is there nor is being recorded."""
    paths = (episode_path(folder, number) for number in itertools.count())
    return next(path for path in paths if not path.exists() and not journal_path(path).exists())


def list_journals(dataset_dir: str | Path) -> list[Path]:
    """Recordings in a folder that were begun and not finished."""
    return sorted(Path(dataset_dir).glob(f"*{_ENDING}"))


@dataclass(frozen=True)
class Step:
    """One step as it stands in the journal."""

    time: float  # s, `clock.now` at which the state was read
    qpos: np.ndarray  # (D,) rad and gripper
    qvel: np.ndarray  # (D,) per second
    action: np.ndarray  # (D,) as sent
    images: Mapping[str, np.ndarray]  # by camera: (H, W, 3) uint8 RGB
    reward: float | None = None  # what the action earned; None where nobody tells


class Recording:
    """An episode while it is being recorded; `append` never waits for the disk.

    Args:
        path: the episode file to be; its folder is made if need be.
        cameras: whose images each step has.
        facts: further fields of the `Episode`: task, fps, seed, env_state, sim.

    Raises:
        FileExistsError: the file, or a journal of it, is there already.
    """

    def __init__(self, path: str | Path, cameras: Sequence[str], **facts: Any) -> None:
        self.path, self.folder = Path(path), journal_path(path)
        if self.path.exists():
            raise FileExistsError(f"{self.path} exists already; choose another place")
        if self.folder.exists():
            raise FileExistsError(
                f"{self.folder} is a recording that was cut off; --recover makes an episode of it, "
                "or remove the folder"
            )
        self._cameras, self._shapes = tuple(cameras), {}
        self._length = 0
        self.folder.mkdir(parents=True)
        header = {"cameras": self._cameras, "facts": _plain(facts), "process": _process()}
        with complete_file(self.folder / "header.json") as part:
            part.write_text(json.dumps(header, indent=1), encoding="utf-8")
        self._file = open(self.folder / "steps.bin", "ab", buffering=0)  # noqa: SIM115, closed by `_write_all`
        _sync_folder(self.folder)
        _sync_folder(self.folder.parent)
        self._waiting: queue.Queue[Step | None] = queue.Queue(MAX_WAITING)
        self._error: Exception | None = None
        self._writer = threading.Thread(target=self._write_all, name=f"journal {self.path.stem}", daemon=True)
        self._writer.start()

    def __len__(self) -> int:
        return self._length

    @property
    def is_open(self) -> bool:
        """Whether it has been neither finished nor discarded."""
        return self.folder.exists()

    def append(self, step: Step) -> None:
        """Keep a step. EpisodeError if it does not fit those before; OSError if the disk fails or cannot keep
        up, with what is there already kept.
        """
        for camera in self._cameras:
            shape = step.images[camera].shape
            if self._shapes.setdefault(camera, shape) != shape:
                raise EpisodeError(
                    f"{self.path}: camera {camera!r} gave a frame of {shape}; those before were "
                    f"{self._shapes[camera]}"
                )
        self._check()
        try:
            self._waiting.put_nowait(step)
        except queue.Full:
            raise OSError(
                f"{self.folder}: the disk is {MAX_WAITING} steps behind; record to a faster one"
            ) from None
        self._length += 1

    def finish(self, success: bool | None = None) -> Path:
        """Write the episode file and remove the journal; returns the file's path."""
        self._close()
        self._check()
        return recover(self.folder, success).path

    def discard(self) -> None:
        """Forget the recording."""
        self._close()
        shutil.rmtree(self.folder)

    def abandon(self) -> None:
        """Leave the journal for `recover`, complete and synced."""
        self._close()

    def _check(self) -> None:
        if self._error is not None:
            raise OSError(f"{self.folder}: the recording cannot be written ({self._error})")

    def _close(self) -> None:
        if self._writer.is_alive():
            self._waiting.put(None)
        self._writer.join()

    def _write_all(self) -> None:
        synced = time.monotonic()
        try:
            with self._file:
                while (step := self._next(synced)) is not None:
                    if isinstance(step, Step):
                        _write_whole(self._file, _record(step, self._cameras))
                    if time.monotonic() - synced >= SYNC_EVERY:
                        os.fsync(self._file.fileno())
                        synced = time.monotonic()
                os.fsync(self._file.fileno())
        except Exception as error:  # handed to whoever records
            self._error = error
            with contextlib.suppress(queue.Empty):  # `_close` must find room
                while True:
                    self._waiting.get_nowait()

    def _next(self, synced: float) -> Step | str | None:
        """The next step, or a word if none came until it is time to sync."""
        try:
            return self._waiting.get(timeout=max(0.0, synced + SYNC_EVERY - time.monotonic()))
        except queue.Empty:
            return "time to sync"


@dataclass(frozen=True)
class Recovered:
    """What became of a journal."""

    path: Path  # the episode file
    steps: int
    lost_bytes: int  # of a record that was torn or damaged, and all after it


def recover(folder: str | Path, success: bool | None = None) -> Recovered:
    """Make an episode of a journal and remove it; ValueError where that cannot be, the journal left as it is.

    The file is that which was being recorded, or the next free number if somebody has recorded that since.
    """
    folder = Path(folder)
    header = _read_header(folder)
    if _is_running(header["process"]):
        raise ValueError(
            f"{folder} is still being recorded by process {header['process'][0]}; end that first"
        )
    steps, lost_bytes = _read_steps(folder / "steps.bin", header["cameras"])
    if not steps:
        raise ValueError(f"{folder} holds no whole step; there is nothing to keep, remove the folder")
    cameras = header["cameras"]
    images = {
        name: JpegFrames.from_padded([step.images[name] for step in steps], f"{folder}: camera {name!r}")
        for name in cameras
    }
    times = np.array([step.time for step in steps])
    facts = {
        name: np.array(value) if name == "env_state" else value for name, value in header["facts"].items()
    }
    episode = Episode(
        **{name: np.stack([getattr(step, name) for step in steps]) for name in ("qpos", "qvel", "action")},
        images=images,
        reward=None if any(step.reward is None for step in steps) else [step.reward for step in steps],
        time=times - times[0],
        success=success,
        **facts,
    )
    path = _free_path(folder.with_suffix(".hdf5"))
    episode.save(path)
    shutil.rmtree(folder)
    return Recovered(path, len(steps), lost_bytes)


def _free_path(path: Path) -> Path:
    """`path`, or if that exists the next number that is free."""
    stem, _, number = path.stem.rpartition("_")
    while path.exists():
        number = str(int(number) + 1) if number.isdecimal() else f"{number}_1"
        path = path.with_name(f"{stem}_{number}{path.suffix}")
    return path


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as JSON takes them."""
    plain = {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in facts.items()
    }
    return {name: value for name, value in plain.items() if value is not None}


def _process() -> tuple[int, float]:
    """This process: number, and when it began, as numbers are used again."""
    return os.getpid(), psutil.Process().create_time()


def _is_running(process: Sequence[float]) -> bool:
    """Whether another process than this one is still at it."""
    number, began = process
    if number == os.getpid():
        return False
    try:
        return psutil.Process(int(number)).create_time() == began
    except psutil.NoSuchProcess:
        return False


def _sync_folder(folder: Path) -> None:
    """Bring a folder's list of files to the disk; Windows does so by itself, and refuses to be asked."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_whole(file: Any, data: bytes) -> None:
    """Unbuffered files may take less than they are given."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _record(step: Step, cameras: Sequence[str]) -> bytes:
    parts = [_STEP.pack(step.time, np.nan if step.reward is None else step.reward, len(step.qpos))]
    parts += [np.asarray(row, "<f4").tobytes() for row in (step.qpos, step.qvel, step.action)]
    for camera in cameras:
        jpeg = encode_jpeg(step.images[camera]).tobytes()
        parts += [_LENGTH.pack(len(jpeg)), jpeg]
    contents = b"".join(parts)
    return _HEAD.pack(_MARK, len(contents), zlib.crc32(contents)) + contents


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / "header.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        return {name: header[name] for name in ("cameras", "facts", "process")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} is no recording, or was cut off before its first step ({error})"
        ) from None


def _read_steps(path: Path, cameras: Sequence[str]) -> tuple[list[Step], int]:
    """Whole steps (their images are JPEGs), and how many bytes come after the last."""
    data = path.read_bytes() if path.is_file() else b""
    records = list(_records(data))
    end = records[-1][1] if records else 0
    return [_parse(contents, cameras) for contents, _ in records], len(data) - end


def _records(data: bytes) -> Iterator[tuple[memoryview, int]]:
    """Contents of each whole record, and where it ends."""
    view, at = memoryview(data), 0
    while at + _HEAD.size <= len(data):
        mark, length, crc = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        contents = view[at + _HEAD.size : end]
        if mark != _MARK or end > len(data) or zlib.crc32(contents) != crc:
            return
        yield contents, end
        at = end


def _parse(contents: memoryview, cameras: Sequence[str]) -> Step:
    moment, reward, dim = _STEP.unpack_from(contents)
    rows = np.frombuffer(contents, "<f4", 3 * dim, _STEP.size).reshape(3, dim)
    at, images = _STEP.size + rows.nbytes, {}
    for camera in cameras:
        (length,) = _LENGTH.unpack_from(contents, at)
        at += _LENGTH.size
        images[camera] = np.frombuffer(contents, np.uint8, length, at)
        at += length
    return Step(moment, *rows, images, None if np.isnan(reward) else reward)
