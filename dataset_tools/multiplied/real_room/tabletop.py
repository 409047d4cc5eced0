"""The table's top as the demonstrations' pictures show it: simulated tables get it too.

A policy that is to work on one table sees less exactly there if it was shown others alone. The picture of a
camera whose place is known says where on the table each pixel lies, but for what stands before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dataset_tools.multiplied.real_room.moments import moments
from dataset_tools.multiplied.real_room.standing import Standing
from tasks import SEEN_PIXELS, to_pixels

if TYPE_CHECKING:  # it opens OpenGL
    from sim_env import SimEnv

PICTURES = 30  # of all demonstrations together
EDGE = 3  # pixels around what stands on the table, and at the picture's edge, that do not count
BRIGHT = 0.99  # share of the table that is darker than a simulated light makes white
LEAST = 0.05  # share of the top that must be seen


@dataclass(frozen=True)
class Tabletop:
    """A picture (SEEN_PIXELS, SEEN_PIXELS, 3) uint8 RGB of it from above, x to the right and y up."""

    picture: np.ndarray
    seen: float  # share of it that the demonstrations show; the rest goes on as what is beside it

    @classmethod
    def of(cls, env: SimEnv, standing: Standing, paths: Sequence[Path]) -> Tabletop:
        """From the pictures of demonstrations, in the task's environment with looks.

        ValueError if they hardly show the table.
        """
        env.set_looks(None)
        spots, layers = spots_of(*env.task.looks.table), []
        places = cache(lambda image_size: to_pixels(standing.matrix(image_size), spots))
        with standing.only(env):
            for picture, is_table in sights(env, standing.camera, paths):
                layers.append(from_above(picture, is_table, places(is_table.shape)))
        top = middle(np.array(layers))
        is_seen = np.isfinite(top).all(axis=2)
        if is_seen.mean() < LEAST:
            share = f"{is_seen.mean():.0%}"
            raise ValueError(f"{standing.camera} shows {share} of the table; was it clicked there?")
        brightest = np.quantile(top[is_seen].max(axis=1), BRIGHT)
        return cls(continued(top / brightest, is_seen), float(is_seen.mean()))

    def put(self, env: SimEnv, share: float) -> None:
        """Let the simulated table have it in so many of the looks, until the environment is closed."""
        from tasks import set_seen  # opens OpenGL

        set_seen(env.physics, self.picture)
        env.task.looks.seen_share = share


def spots_of(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Points (SEEN_PIXELS**2, 3) of a table with these corners (3,), in m: row by row, seen from above."""
    grid = (np.arange(SEEN_PIXELS) + 0.5) / SEEN_PIXELS
    x, y = np.meshgrid(low[0] + grid * (high - low)[0], high[1] - grid * (high - low)[1])
    return np.stack([x, y, np.full(x.shape, high[2])], axis=-1).reshape(-1, 3)


def sights(env: SimEnv, camera: str, paths: Sequence[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures (H, W, 3) from all along the demonstrations, and where they show the table (H, W) bool.

    What is known to stand before it: the scene, the arms as the files say, and the props at their starts.
    """
    from tasks import mujoco  # opens OpenGL

    table = [env.physics.model.ptr.geom("table").id, mujoco.mjtObj.mjOBJ_GEOM]
    for picture in moments(env, camera, paths, PICTURES):
        shown = env.physics.render(*picture.shape[:2], camera_id=camera, segmentation=True)
        yield picture, _without_edge((shown == table).all(axis=2))


def _without_edge(is_table: np.ndarray) -> np.ndarray:
    """(H, W) bool, without what is next to anything else or to the picture's edge."""
    around = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
    return cv2.erode(is_table.astype(np.uint8), around, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0


def from_above(picture: np.ndarray, is_table: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The table's top (SEEN_PIXELS, SEEN_PIXELS, 3) float32, NaN where the picture does not show it.

    `pixels` (SEEN_PIXELS**2, 2) says where it would.
    """
    places = pixels.reshape(SEEN_PIXELS, SEEN_PIXELS, 2).astype(np.float32)
    where = np.nan_to_num(places, nan=-1e6)
    there = cv2.remap(is_table.astype(np.uint8), where[..., 0], where[..., 1], cv2.INTER_NEAREST)
    top = cv2.remap(picture, where[..., 0], where[..., 1], cv2.INTER_LINEAR).astype(np.float32)
    top[there == 0] = np.nan
    return top


def middle(layers: np.ndarray) -> np.ndarray:
    """The lower median (N, N, 3) of layers (L, N, N, 3), of those that are not NaN there; NaN without any."""
    ordered = np.sort(layers, axis=0)  # NaN is last
    shown = np.isfinite(ordered[..., :1]).sum(axis=0, keepdims=True)
    return np.take_along_axis(ordered, np.where(shown, (shown - 1) // 2, 0), axis=0)[0]


def continued(top: np.ndarray, is_seen: np.ndarray) -> np.ndarray:
    """A top (N, N, 3) with its brightest at 1 as uint8; what was not seen goes on as what is beside it."""
    pixels = (255 * np.clip(np.nan_to_num(top), 0, 1)).astype(np.uint8)
    return cv2.inpaint(pixels, (~is_seen).astype(np.uint8), 3, cv2.INPAINT_TELEA)
