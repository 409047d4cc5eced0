"""Frames of a video, one after the other, as they are in its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from episodes import EpisodeError, JpegFrames
from readers.lerobot_format import import_packages


def all_frames(path: Path) -> Iterator[np.ndarray]:
    """Every frame (H, W, 3) uint8 RGB of a video; EpisodeError if it is damaged."""
    av, _ = import_packages()
    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in file.decode(stream):
                yield frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError, OSError) as error:
        raise EpisodeError(f"{path} is no video that can be read ({error})") from error


def whole_video(path: Path, steps: int, what: str) -> JpegFrames:
    """The frames of a video of `steps` frames; EpisodeError if it has fewer or more."""
    frames = JpegFrames(name=what)
    for picture in all_frames(path):
        if len(frames) == steps:
            raise EpisodeError(f"{what}: {path.name} has more than {steps} frames; it must have one a row")
        frames.append(picture)
    if len(frames) < steps:
        raise EpisodeError(f"{what}: {path.name} has {len(frames)} frames, not {steps}, one a row")
    return frames
