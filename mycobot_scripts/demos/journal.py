"""The journal of a recording: its files on disk while an episode is being recorded.

    episode_3.recording/header.json   facts of the episode; written before the first step
    episode_3.recording/steps.bin     one record a step, appended: mark, length, CRC-32, contents
    episode_3.recording/verdict.json  {"success": true, false or null}, once a person has kept the episode

The journal ends before the first record that is torn or damaged.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import began, complete_file
from episodes import encode_jpeg, episode_path
from evaluation import Step

HEADER, STEPS, VERDICT = "header.json", "steps.bin", "verdict.json"
_ENDING = ".recording"
_MARK = b"STEP"
_HEAD = struct.Struct("<4sII")  # mark, bytes of the contents, their CRC-32
_STEP = struct.Struct("<dfH")  # time (s), reward or NaN, D; then qpos, qvel, action: D float32 each
_LENGTH = struct.Struct("<I")  # of a JPEG, before it


def journal_path(path: str | Path) -> Path:
    """Where an episode file's journal is while it is being recorded."""
    return Path(path).with_suffix(_ENDING)


def free_episode(folder: str | Path) -> Path:
    """The first episode path of a folder, by number, that is neither there nor being recorded."""
    paths = (episode_path(folder, number) for number in itertools.count())
    return next(path for path in paths if not path.exists() and not journal_path(path).exists())


def list_journals(dataset_dir: str | Path) -> list[Path]:
    """Recordings in a folder that were begun and not finished."""
    return sorted(Path(dataset_dir).glob(f"*{_ENDING}"))


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as JSON takes them."""
    values = {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in facts.items()
    }
    return {name: value for name, value in values.items() if value is not None}


def this_process() -> tuple[int, float | None]:
    """This process: its number, and when it began, because numbers are reused."""
    return os.getpid(), began(os.getpid())


def is_running(process: Sequence[float]) -> bool:
    """Whether another process than this one is still recording."""
    number, since = process
    return number != os.getpid() and since is not None and began(int(number)) == since


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of files to the disk; Windows does so by itself, and refuses to be asked."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def record(step: Step, cameras: Sequence[str]) -> bytes:
    parts = [_STEP.pack(step.time, np.nan if step.reward is None else step.reward, len(step.qpos))]
    parts += [np.asarray(row, "<f4").tobytes() for row in (step.qpos, step.qvel, step.action)]
    for camera in cameras:
        jpeg = encode_jpeg(step.images[camera]).tobytes()
        parts += [_LENGTH.pack(len(jpeg)), jpeg]
    contents = b"".join(parts)
    return _HEAD.pack(_MARK, len(contents), zlib.crc32(contents)) + contents


def read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        return {name: header[name] for name in ("cameras", "facts", "process")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} is no recording, or was cut off before its first step ({error})"
        ) from None


def note_verdict(folder: Path, success: bool | None) -> None:
    """Keep that the episode is to be kept, in case it cannot be written now; on a full disk, if there is room
    for so little.
    """
    with contextlib.suppress(OSError), complete_file(folder / VERDICT) as part:
        part.write_text(json.dumps({"success": success}), encoding="utf-8")


def read_verdict(folder: Path) -> tuple[bool, bool | None]:
    """Whether the episode is to be kept, and whether it succeeded."""
    try:
        success = json.loads((folder / VERDICT).read_text(encoding="utf-8"))["success"]
    except (OSError, ValueError, KeyError, TypeError):
        return False, None
    return True, success if isinstance(success, bool) else None


def read_steps(path: Path, cameras: Sequence[str]) -> tuple[list[Step], int]:
    """Whole steps (their images are JPEGs), and how many bytes come after the last."""
    data = path.read_bytes() if path.is_file() else b""
    records = list(_records(data))
    end = records[-1][1] if records else 0
    return [_parse(contents, cameras) for contents, _ in records], len(data) - end


def _records(data: bytes, at: int = 0) -> Iterator[tuple[memoryview, int]]:
    """Contents of each whole record from a place on, and where it ends."""
    view = memoryview(data)
    while at + _HEAD.size <= len(data):
        mark, length, crc = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        contents = view[at + _HEAD.size : end]
        if mark != _MARK or end > len(data) or zlib.crc32(contents) != crc:
            return
        yield contents, end
        at = end


def steps_behind(path: Path) -> int:
    """Whole steps behind the first that is torn or damaged."""
    data = path.read_bytes() if path.is_file() else b""
    at, count = max((end for _, end in _records(data)), default=0), 0
    while (at := data.find(_MARK, at + 1)) >= 0:
        for _, end in _records(data, at):
            count, at = count + 1, end - 1
    return count


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
