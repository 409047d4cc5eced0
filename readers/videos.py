"""Frames of a video, one after the other, as they are in its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from episodes import EpisodeError, JpegFrames
from readers.base import one_line
from readers.lerobot import import_packages

VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm")


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
        raise EpisodeError(f"{path} is no video that can be read ({one_line(error)})") from error


def frame_times(path: Path, start: float, end: float | None, step: float) -> np.ndarray:
    """When a video shows its frames, s, rising, without decoding them; EpisodeError if it is damaged.

    Args:
        path: the video.
        start: s; frames before it are not meant.
        end: s; frames from there on are not meant; None: all are.
        step: s between two frames, about, where the video does not say: a quarter of it is no difference.
    """
    av, _ = import_packages()
    times = []
    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            step = float(1 / stream.average_rate) if stream.average_rate else step
            slack = step / 4
            if start > slack:
                file.seek(int((start - slack) / stream.time_base), stream=stream)
            for packet in file.demux(stream):
                if packet.pts is None:
                    if packet.size:
                        raise EpisodeError(f"{path} does not say when its frames are shown; MP4 files do")
                    continue
                times.append(float(packet.pts * stream.time_base))
                if end is not None and packet.dts is not None and packet.dts * stream.time_base >= end + step:
                    break
    except (av.FFmpegError, IndexError, OSError) as error:
        raise EpisodeError(f"{path} is no video that can be read ({one_line(error)})") from error
    shown = np.unique(times)
    is_meant = shown >= start - slack
    return shown[is_meant if end is None else is_meant & (shown < end - slack)]


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
