"""Videos, each written completely or not at all (`complete_file`)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from common.storage import complete_file


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    key_every: int | None = None,
    quality: int = 20,
) -> None:
    """Write an MP4 that browsers play (H.264, yuv420p, index first).

    Args:
        path: the file.
        frames: (H, W, 3) uint8 RGB each, of one size, taken one at a time; an odd size is padded by a pixel.
        fps: frames a second.
        key_every: frames from one key frame to the next, for players that jump about; the encoder's choice
            if not given.
        quality: the encoder's constant rate factor: larger is coarser, and takes less space.

    Raises:
        ValueError: there are no frames, or one differs from the first.
        RuntimeError: ffmpeg failed; its message is given.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path}: no frames; a video needs at least one")
    with complete_file(path) as part:
        command = _ffmpeg_command(part, first.shape[:2], fps, key_every, quality)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as encoder:
            try:
                _feed(encoder.stdin, chain([first], frames), first.shape)
                _, log = encoder.communicate()
            finally:
                encoder.kill()  # when interrupted; does nothing to one that has ended
        if encoder.returncode:
            raise RuntimeError(f"{path}: ffmpeg failed: {' '.join(log.decode(errors='replace').split())}")


def _ffmpeg_command(
    path: Path, size: tuple[int, int], fps: float, key_every: int | None, quality: int
) -> list[str]:
    import imageio_ffmpeg

    keys = ("-g", str(key_every), "-bf", "0") if key_every else ()  # no frame refers to a later one

    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"  # as yuv420p wants it
    tags = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")  # else players guess
    return [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[1]}x{size[0]}", "-r", f"{fps}", "-i", "-"),
        *("-vf", f"{even},scale=out_color_matrix=bt709", *tags),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", str(quality), "-pix_fmt", "yuv420p", *keys),
        *("-movflags", "+faststart", "-f", "mp4", str(path)),
    ]


def _feed(pipe: IO[bytes], frames: Iterable[np.ndarray], shape: tuple[int, ...]) -> None:
    for i, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.shape != shape or shape[2:] != (3,):
            raise ValueError(f"frame {i} is {frame.dtype} {frame.shape}; all must be uint8 {shape[:2]} x 3")
        try:
            pipe.write(np.ascontiguousarray(frame))
        except OSError:
            return  # ffmpeg has ended; its exit code and message say why
