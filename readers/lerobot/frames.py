"""The pictures of a camera, one a row, from a video or from the table; also where clocks and rates differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from episodes import EpisodeError
from readers.lerobot import lerobot_format as lerobot
from readers.lerobot.index import Span
from readers.lerobot.paths import inside
from readers.videos import frame_times

FEW, FEW_SHARE = (
    3,
    0.02,
)  # frames that may be missing at the end of a video; the greater of the two, of the steps
SAME_RATE = 0.02  # of two rates, relative


@dataclass(frozen=True)
class Choice:
    """The frames of a video for steps 0, 1, ...: for all, or for all but a few at the end."""

    path: Path
    times: np.ndarray  # (n,) s in the video, which do not fall
    gap: float  # the least between two frames of the video, s
    notes: tuple[str, ...]

    def frames(self) -> Iterator[np.ndarray]:
        """The pictures (H, W, 3) uint8 RGB; EpisodeError if the video is damaged."""
        times = self.times.tolist()
        pictures = lerobot.decode_video(self.path, list(dict.fromkeys(times)), 1 / self.gap)
        shown, picture = None, None
        for time in times:
            if time != shown:
                shown, picture = time, next(pictures)
            yield picture


def choose_frames(span: Span, times: np.ndarray | None, steps: int, fps: int, camera: str) -> Choice:
    """Which frame of a video each step gets.

    Where there are as many frames as steps, that of its number: the times of steps are those of a clock that
    need not be the video's. Else the one that is nearest in time, if each step gets its own.

    Args:
        span: where in which video.
        times: of the steps (T,), s, rising; None if they are unknown.
        steps: T.
        fps: steps a second.
        camera: its name, for notes.

    Raises:
        EpisodeError: the video is damaged, or lacks more than a few frames.
    """
    end = span.start + steps / fps if span.end is None and span.start else span.end
    shown = frame_times(span.path, span.start, end, 1 / fps)
    if not len(shown):
        raise EpisodeError(f"{span.path} has no frame at {span.start:.3f} s")
    gaps = np.diff(shown) if len(shown) > 1 else np.array([1 / fps])
    gap, few = float(np.median(gaps)), max(FEW, round(FEW_SHARE * steps))
    wanted = span.start + (np.arange(steps) / fps if times is None else _from_start(times, shown))
    if len(shown) == steps:
        picks, notes = np.arange(steps), _clock_note(shown, wanted, gap, camera)
    else:
        picks, notes = _nearest(shown, wanted, gap, fps), _rate_note(gap, fps, camera)
        is_drifting = len(shown) < steps and len(picks) > 1 and np.diff(picks).max() > 1
        is_same_rate = not notes
        if is_same_rate and abs(len(shown) - steps) <= few and (is_drifting or len(picks) < steps - few):
            picks = np.arange(min(len(shown), steps))
            notes = _clock_note(shown[picks], wanted[picks], gap, camera)
    if len(picks) < steps - few:
        raise EpisodeError(
            f"{span.path} has {len(shown)} frames at {1 / gap:.4g} a second for {steps} steps at {fps}; "
            f"{steps - len(picks)} steps have none of their own"
        )
    if len(picks) < steps:
        notes.append(f"{camera}: the video ends some steps early; the episode ends there")
    elif shown[-1] - shown[picks[-1]] > few * gap:
        notes.append(f"{camera}: the video goes on after the last step; that is left out")
    return Choice(span.path, shown[picks], float(gaps.min()), tuple(notes))


def _from_start(times: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Times of steps, s from the start of the episode; those of a clock of the day begin far from 0."""
    return times - times[0] if abs(times[0]) > shown[-1] - shown[0] + 1 else times


def _nearest(shown: np.ndarray, wanted: np.ndarray, gap: float, fps: int) -> np.ndarray:
    """Indices of the frames nearest to the steps, up to the first step that has none of its own.

    A video that is slower than the steps shows a frame for several of them.
    """
    later = np.searchsorted(shown, wanted).clip(0, len(shown) - 1)
    sooner = (later - 1).clip(0)
    picks = np.where(wanted - shown[sooner] < shown[later] - wanted, sooner, later)
    is_good = np.abs(shown[picks] - wanted) <= max(gap, 1 / fps) / 2 + 1e-3
    is_slower = gap * fps > 1 + SAME_RATE
    is_good[1:] &= np.diff(picks) >= (0 if is_slower else 1)
    return picks if is_good.all() else picks[: int(np.argmin(is_good))]


def _clock_note(shown: np.ndarray, wanted: np.ndarray, gap: float, camera: str) -> list[str]:
    if np.abs(shown - wanted).max() <= gap / 2:
        return []
    return [
        f"{camera}: the times of steps are not those of the video's frames, which are taken by their number"
    ]


def _rate_note(gap: float, fps: int, camera: str) -> list[str]:
    if abs(gap * fps - 1) <= SAME_RATE:
        return []
    return [f"{camera}: {1 / gap:.4g} frames a second for {fps} steps; each step has the nearest frame"]


def decode_images(values: Sequence[Any], root: Path, name: str) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8 RGB of a column of encoded pictures: their bytes, or the paths of files.

    Raises:
        EpisodeError: one is no picture.
        ValueError: a path leads out of the dataset.
    """
    for t, value in enumerate(values):
        path = value.get("path") if isinstance(value, Mapping) else value
        data = value.get("bytes") if isinstance(value, Mapping) else value
        if isinstance(path, str) and not isinstance(data, bytes):
            file = inside(root, root / path)
            data = file.read_bytes() if file.is_file() else None
        is_there = isinstance(data, bytes) and len(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if is_there else None
        if image is None:
            raise EpisodeError(f"{name}: frame {t} is no image; every row must hold the bytes of one")
        yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
