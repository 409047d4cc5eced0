"""Moments of demonstrations in simulation: a picture, and the scene as the files say that it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from episodes import Episode

if TYPE_CHECKING:  # it opens OpenGL
    from sim_env import SimEnv


def moments(
    env: SimEnv,
    camera: str,
    paths: Sequence[Path],
    pictures: int,
    last: Callable[[Episode], int] = lambda episode: len(episode) - 1,
) -> Iterator[np.ndarray]:
    """A camera's pictures (H, W, 3), evenly from demonstrations up to the `last` step of each.

    At each, the simulated arms are where the file says, and the props at their starts. There are at most
    `pictures` of them; if demonstrations are more, of some evenly among these.
    """
    count = max(1, pictures // len(paths))
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), pictures)).round().astype(int)
    for path in (paths[i] for i in chosen):
        episode = Episode.load(path, (camera,), in_memory=False)
        env.reset(env_state=episode.env_state)
        for step in np.unique(np.linspace(0, last(episode), count).round().astype(int)):
            env.pose(episode.qpos[step])
            yield np.asarray(episode.images[camera][step])
