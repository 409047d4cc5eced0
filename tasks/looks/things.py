"""Things that lie on a table beside the work, as they do in real rooms."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tasks.looks.ranges import DistractorRanges, Range
from tasks.opengl import mujoco
from tasks.schema import Task

MOST_THINGS = 8
FOOT = 0.07  # m, half the width of an arm's
TOP_HEIGHT = 0.0006  # m, half that of the darker shape on top
GRID = 0.03  # m between the spots that things may lie on
HUE_GAP = 0.08  # turns of the colour wheel between a thing and the work
SEE_COLOUR = 0.35  # saturation and value from which on a colour counts as one
BOX, BALL = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_ELLIPSOID
DISC, ROD = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE


@dataclass(frozen=True)
class Thing:
    """A kind of thing, and the range of each half size (m): x, y, z; of round ones the radius, and z."""

    shape: mujoco.mjtGeom
    sizes: tuple[Range, ...]
    top: float = 0.0  # share of its width that a second, darker shape on its top has; 0: none
    is_lying: bool = False  # of a rod

    def draw_sizes(self, rng: np.random.Generator) -> np.ndarray:
        """Half sizes (3,) in m: x, y, z."""
        sizes = [rng.uniform(*each) for each in self.sizes]
        return np.array(sizes if len(sizes) == 3 else [sizes[0], sizes[0], sizes[1]])


THINGS = (
    Thing(BOX, ((0.07, 0.11), (0.05, 0.08), (0.006, 0.02))),  # a book
    Thing(BOX, ((0.14, 0.15), (0.10, 0.105), (0.0004, 0.0005))),  # a sheet of paper
    Thing(BOX, ((0.035, 0.04), (0.035, 0.04), (0.0005, 0.004))),  # notes
    Thing(BOX, ((0.02, 0.06), (0.02, 0.05), (0.015, 0.045))),  # a carton
    Thing(BOX, ((0.070, 0.078), (0.035, 0.039), (0.004, 0.005)), top=0.9),  # a telephone
    Thing(BOX, ((0.14, 0.2), (0.05, 0.065), (0.008, 0.012)), top=0.94),  # a keyboard
    Thing(DISC, ((0.028, 0.035), (0.045, 0.06)), top=0.85),  # a can
    Thing(DISC, ((0.034, 0.044), (0.035, 0.05)), top=0.86),  # a mug
    Thing(DISC, ((0.03, 0.055), (0.008, 0.025)), top=0.6),  # a roll of tape
    Thing(BALL, ((0.022, 0.04), (0.022, 0.04))),  # a ball, a fruit
    Thing(BALL, ((0.028, 0.033), (0.05, 0.058), (0.015, 0.018))),  # a mouse
    Thing(ROD, ((0.004, 0.006), (0.06, 0.075)), is_lying=True),  # a pen
    Thing(ROD, ((0.011, 0.015), (0.05, 0.07)), is_lying=True),  # a tool's handle
)


@dataclass(frozen=True)
class Placed:
    """A thing on the table."""

    kind: Thing
    sizes: np.ndarray  # (3,) m, half sizes
    place: np.ndarray  # (2,) m
    turn: float  # rad
    colour: np.ndarray  # (3,) RGB

    def put(self, model: mujoco.MjModel, body: int, top: int, table: float) -> None:
        """Make geoms of `model` look like it, on a table whose top is at `table` (m)."""
        across, half = np.array([np.cos(self.turn / 2), 0, 0, np.sin(self.turn / 2)]), self.sizes[2]
        if self.kind.is_lying:  # a rod's axis is its z
            half, lay = self.sizes[0], np.array([np.sqrt(0.5), 0, np.sqrt(0.5), 0])
            turn = across.copy()
            mujoco.mju_mulQuat(across, turn, lay)
        sizes = self.sizes[[0, 2, 2]] if self.kind.shape in (DISC, ROD) else self.sizes
        model.geom_type[body], model.geom_size[body] = self.kind.shape, sizes
        model.geom_pos[body], model.geom_quat[body] = (*self.place, table + half), across
        model.geom_rgba[body] = (*self.colour, 1)
        if self.kind.top:
            flat = np.array([*(self.kind.top * self.sizes[:2]), TOP_HEIGHT])
            model.geom_type[top] = self.kind.shape
            model.geom_size[top] = flat[[0, 2, 2]] if self.kind.shape == DISC else flat
            model.geom_pos[top], model.geom_quat[top] = (*self.place, table + 2 * half), across
            model.geom_rgba[top] = (*(0.35 * self.colour), 1)


def worked_colours(colours: np.ndarray) -> np.ndarray:
    """Hues (N,), in turns, of those colours (M, 3) that are colours indeed."""
    hsv = np.array([colorsys.rgb_to_hsv(*colour) for colour in colours])
    return hsv[(hsv[:, 1:] > SEE_COLOUR).all(axis=1), 0]


def draw_colour(rng: np.random.Generator, hues: np.ndarray) -> tuple[float, float, float]:
    """A colour that is far from all of `hues` (N,), or nearly grey."""
    hue, value = rng.random(), rng.uniform(0.12, 0.95)
    gap = np.abs((hue - hues + 0.5) % 1 - 0.5).min(initial=1.0)
    saturation = rng.uniform(0.35, 0.85) if gap > HUE_GAP and rng.random() < 0.7 else rng.uniform(0.0, 0.12)
    return colorsys.hsv_to_rgb(hue, saturation, value)


class FreeSpots:
    """Where on a table nothing is worked on: outside the hull of arms, props' starts, places and ways."""

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, task: Task, low: np.ndarray, high: np.ndarray
    ) -> None:
        """`low` and `high` (3,) are the table's corners; `data` has the positions of the scene's parts."""
        hull = cv2.convexHull(np.array(work_points(model, data, task, low, high), np.float32))
        axes = [np.arange(a + GRID, b, GRID) for a, b in zip(low[:2], high[:2], strict=True)]
        self.spots = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
        to_edge = np.minimum(self.spots - low[:2], high[:2] - self.spots).min(axis=1)
        to_work = [-cv2.pointPolygonTest(hull, spot.tolist(), True) for spot in self.spots]
        self._to_edge, self._to_work = to_edge, np.array(to_work)

    def draw(
        self,
        rng: np.random.Generator,
        radius: float,
        margin: float,
        taken: Sequence[tuple[np.ndarray, float]],
    ) -> np.ndarray | None:
        """A place (2,) for a thing of this radius that touches nothing; None if there is none."""
        is_free = (self._to_work > radius + margin) & (self._to_edge > 0.7 * radius)
        for place, other in taken:
            is_free &= np.hypot(*(self.spots - place).T) > radius + other
        free = np.flatnonzero(is_free)
        return self.spots[free[rng.integers(len(free))]] if len(free) else None


def work_points(
    model: mujoco.MjModel, data: mujoco.MjData, task: Task, low: np.ndarray, high: np.ndarray
) -> list[np.ndarray]:
    """Corners (2,) of all that is worked on or with: arms, props' starts, places, the script's points."""
    waypoints = [point for variant in task.variants for point in variant.script]
    points = [np.array(point.xyz[:2]) for point in waypoints if point.at == "world"]
    for arm in task.arms:
        foot = data.xpos[_foot(model, arm.name)][:2]
        points += _corners(foot - FOOT, foot + FOOT)
    for prop in (prop for variant in task.variants for prop in variant.props):
        if prop.high[2] > low[2]:  # else it waits below the table
            half = _reach_of(model, f"{prop.name}_joint")
            points += _corners(np.array(prop.low[:2]) - half, np.array(prop.high[:2]) + half)
    for geom in range(model.ngeom):
        half = np.abs(data.geom_xmat[geom].reshape(3, 3)) @ model.geom_aabb[geom, 3:]
        is_place = model.geom_bodyid[geom] == 0 and (half[:2] < (high - low)[:2] / 4).all()
        if is_place and data.geom_xpos[geom, 2] > low[2]:
            centre = data.geom_xpos[geom, :2]
            points += _corners(centre - half[:2], centre + half[:2])
    return points


def _foot(model: mujoco.MjModel, arm: str) -> int:
    """Number of an arm's first body."""
    return next(i for i in range(model.nbody) if model.body(i).name.startswith(f"{arm}/"))


def _reach_of(model: mujoco.MjModel, joint: str) -> float:
    """How far (m) a free body reaches sideways, at most."""
    try:
        body = int(model.joint(joint).bodyid[0])
    except KeyError:  # a scene without props
        return 0.0
    geoms = np.flatnonzero(model.geom_bodyid == body)
    centres = np.linalg.norm(model.geom_pos[geoms, :2], axis=1)
    halves = np.linalg.norm(model.geom_aabb[geoms, 3:5], axis=1)
    return float((centres + halves).max(initial=0.0))


def _corners(low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    return [low, high, np.array([low[0], high[1]]), np.array([high[0], low[1]])]


def draw_things(
    rng: np.random.Generator, ranges: DistractorRanges, spots: FreeSpots, hues: np.ndarray
) -> list[Placed]:
    """The things of a look, of colours that are far from `hues` (N,)."""
    drawn, taken = [], []
    for _ in range(rng.integers(ranges.most + 1)):
        kind = THINGS[rng.integers(len(THINGS))]
        sizes, turn = kind.draw_sizes(rng), rng.uniform(-np.pi, np.pi)
        colour = np.array(draw_colour(rng, hues))
        sizes[2] = sizes[2] if kind.is_lying else min(sizes[2], ranges.height / 2)
        radius = float(sizes[2] + sizes[0] if kind.is_lying else np.hypot(*sizes[:2]))
        place = spots.draw(rng, radius, ranges.margin, taken)
        if place is not None:
            taken.append((place, radius))
            drawn.append(Placed(kind, sizes, place, turn, colour))
    return drawn
