"""A small film of an episode, all cameras side by side.

    python -m cockpit_app.data.film EPISODE FILM

A process of its own: decoding and encoding take their time, and the cockpit goes on answering.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HEIGHT = 240  # pixels
FPS = 15  # pictures a second, at most


def pictures(path: Path) -> tuple[Iterator[np.ndarray], float]:
    """Pictures (HEIGHT, W, 3) uint8 RGB of an episode, and how many of them are a second.

    Errors are those of `Episode.load`; ValueError if no camera saw it.
    """
    from common import tile
    from episodes import Episode, frame_size, resize_image

    episode = Episode.load(path, in_memory=False)
    if not episode.images:
        raise ValueError(f"{path.name} has no pictures")
    sizes = {name: frame_size(frames) for name, frames in episode.images.items()}
    sizes = {name: (HEIGHT, round(width * HEIGHT / height)) for name, (height, width) in sizes.items()}
    every = max(1, round(episode.fps / FPS))
    made = (
        tile([resize_image(frames[t], sizes[name]) for name, frames in episode.images.items()])
        for t in range(0, len(episode), every)
    )
    return made, episode.fps / every


def main() -> None:
    from common import write_video

    path, film = map(Path, sys.argv[1:])
    frames, fps = pictures(path)
    write_video(film, frames, fps)


if __name__ == "__main__":
    from common import cli

    cli.run(main)
