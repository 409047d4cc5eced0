"""What a look changes in a picture: soft patches of shade and light, exposure and white balance.

MuJoCo's fast pictures have no shadows, and a real camera sets its exposure and colours by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from tasks.looks.ranges import PictureRanges, ShadeRanges
from tasks.opengl import mujoco

COARSE = 16  # pixels of the picture to one at which shade is computed: its edges are soft
STEEP = 0.02  # of a line of sight: what is flatter meets the table too far away
ONE = 128  # the number of a byte that stands for no change
LEVELS_OF_GREY = np.linspace(0, 1, 256)[:, None]
SHADE_COLOUR = np.array([1.0, 0.96, 0.9])  # of what a shade takes: least of the blue that a room reflects
GLOW_COLOUR = np.array([1.0, 0.9, 0.72])  # of what a lamp or the sun adds


@dataclass(frozen=True)
class Eye:
    """Where a camera is, and how it looks; directions are unit vectors in the world frame."""

    position: np.ndarray  # (3,) m
    forward: np.ndarray  # (3,)
    up: np.ndarray  # (3,)
    slope: float  # of the picture's upper edge against `forward`

    @classmethod
    def of(cls, scene: mujoco.MjvScene) -> Eye:
        """The camera that draws a scene: MuJoCo draws from between a pair of eyes."""
        left, right = scene.camera
        slope = (left.frustum_top - left.frustum_bottom) / (2 * left.frustum_near)
        return cls((left.pos + right.pos) / 2, left.forward.copy(), left.up.copy(), slope)


@dataclass(frozen=True)
class Patch:
    """A soft-edged rectangle of shade or light on the table."""

    centre: np.ndarray  # (2,) m, world frame
    half: np.ndarray  # (2,) m
    turn: float  # rad
    softness: float  # m
    change: np.ndarray  # (3,) of RGB, in its middle: -0.3 takes 30 % of the light away

    def at(self, points: np.ndarray) -> np.ndarray:
        """How much of it is at points (N, 2) of the table: (N,) in [0, 1]."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        local = np.abs((points - self.centre) @ np.array([[c, -s], [s, c]])) - self.half
        outside = np.hypot(*np.maximum(local, 0).T) + np.minimum(local.max(axis=1), 0)
        share = np.clip(0.5 - outside / (2 * self.softness), 0, 1)
        return share * share * (3 - 2 * share)


def draw_patches(
    rng: np.random.Generator, ranges: ShadeRanges, low: np.ndarray, high: np.ndarray
) -> list[Patch]:
    """The patches of a look, on a table with the corners `low` and `high` (2,) in m; a third are of light."""
    patches = []
    for _ in range(rng.integers(ranges.most + 1)):
        depth, is_light = rng.uniform(*ranges.depth), rng.random() < 1 / 3
        change = 0.8 * depth * GLOW_COLOUR if is_light else -depth * SHADE_COLOUR
        half, softness = rng.uniform(*ranges.size, 2), rng.uniform(*ranges.softness)
        patches.append(Patch(rng.uniform(low, high), half, rng.uniform(-np.pi, np.pi), softness, change))
    return patches


def _middles(count: int) -> np.ndarray:
    """Where the middles (N,) of so many pixels are between the edges of a picture, -1 and 1."""
    return (2 * np.arange(count) + 1) / count - 1


def shade(patches: list[Patch], eye: Eye, height: float, image_size: tuple[int, int]) -> np.ndarray:
    """How patches on the plane z = `height` (m) change each pixel of a picture (H, W) that `eye` sees.

    Returns:
        (H, W, 3) uint8, to multiply with; ONE is no change.
    """
    rows, columns = image_size[0] // COARSE, image_size[1] // COARSE
    aside = eye.slope * image_size[1] / image_size[0]
    up = -eye.slope * _middles(rows)[:, None, None] * eye.up
    right = aside * _middles(columns)[None, :, None] * np.cross(eye.forward, eye.up)
    ways = (eye.forward + up + right).reshape(-1, 3)
    is_down = ways[:, 2] < -STEEP
    lengths = (height - eye.position[2]) / np.where(is_down, ways[:, 2], -1.0)
    points = eye.position[:2] + lengths[:, None] * ways[:, :2]
    change = np.ones((len(ways), 3))
    for patch in patches:
        change *= 1 + (is_down * patch.at(points))[:, None] * patch.change
    coarse = np.clip(np.rint(ONE * change), 0, 255).astype(np.uint8).reshape(rows, columns, 3)
    return cv2.resize(coarse, image_size[::-1], interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Tones:
    """What a camera makes of brightness."""

    exposure: float = 1.0  # times
    gamma: float = 1.0  # exponent
    balance: tuple[float, float] = (1.0, 1.0)  # times, of red and blue

    @classmethod
    def drawn(cls, rng: np.random.Generator, ranges: PictureRanges) -> Tones:
        """Draw them for one camera."""
        exposure, gamma = rng.uniform(*ranges.exposure), rng.uniform(*ranges.gamma)
        return cls(exposure, gamma, tuple(rng.uniform(1 - ranges.balance, 1 + ranges.balance, 2)))

    def exposed(self, times: float) -> Tones:
        """The same, with so many times the exposure."""
        return replace(self, exposure=times * self.exposure)

    @property
    def table(self) -> np.ndarray:
        """For each number of red, green and blue the one that takes its place: (1, 256, 3) uint8."""
        red, blue = self.balance
        levels = LEVELS_OF_GREY**self.gamma * self.exposure * [red, 1.0, blue]
        return np.rint(255 * np.minimum(levels, 1)).astype(np.uint8)[None]


def developed(image: np.ndarray, shades: np.ndarray | None, tones: Tones | None) -> np.ndarray:
    """A copy of an image (H, W, 3) uint8 RGB with its shades (`shade`) and tones."""
    if shades is not None:
        image = cv2.multiply(image, shades, scale=1 / ONE)
    if tones is not None:
        image = cv2.LUT(image, tones.table)
    return image if shades is not None or tones is not None else image.copy()
