"""Where the episodes of a case may start: a small space, in metres, and which starts to record next in it.

A start is where all props of an episode begin. Its coordinates are those that differ between episodes: x, y
and z of each prop in sight (m), and its turn about the vertical, of which a radian counts as much as 0.1 m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tasks.parts import Prop
from tasks.schema import Task
from tasks.starts.sampling import RADIAN, ROUNDING, in_sight, nearest_case, pose_of

LEAST_RANGE = 1e-4  # m; what may vary less is always the same
CANDIDATES = 3000  # starts of each case among which the next are chosen
OVER_THE_EDGE = 0.1  # share of a range by which candidates are drawn beyond it, and put on its edge
REACH = 0.15  # of the longest range: how far what happened at a start tells of its neighbours
DOUBT = 1.0  # failures, or attempts of the average error: as many must be known before they count fully
NUDGE = 0.005  # m; how far beside a start that failed it is tried again
LEAST_NEED, MOST_NEED = 0.5, 3.0  # how much less, and more, than the average a place may count
SIDE = 3  # regions along each axis of the area that the first prop starts in
TURN = 3  # entry of a prop's coordinates (x, y, z, turn)


@dataclass(frozen=True)
class StartAxis:
    """One coordinate of a start."""

    prop: int  # number of the prop
    entry: int  # 0 to 2: x, y, z; 3: its turn
    low: float  # m
    high: float

    @property
    def range(self) -> float:
        """m"""
        return self.high - self.low


@dataclass(frozen=True)
class StartSpace:
    """Where the episodes of one case may start."""

    label: str  # of the case; "" if there is only one
    props: tuple[Prop, ...]

    @classmethod
    def of(cls, task: Task) -> tuple[StartSpace, ...]:
        """A space for each case of a task; one if it has no cases."""
        labels = [case.label for case in task.cases] or [""]
        return tuple(cls(label, each.props) for label, each in zip(labels, task.variants, strict=True))

    @classmethod
    def around(cls, starts: np.ndarray) -> StartSpace:
        """The smallest that holds starts (N, P * 7), of a task that does not say where its props start."""
        places = starts.reshape(len(starts), -1, 7)[:, :, :3]
        low, high = places.min(axis=0), places.max(axis=0)
        numbers = range(len(low))
        names = ["object"] if len(low) == 1 else [f"object {number + 1}" for number in numbers]
        return cls("", tuple(Prop(names[i], tuple(low[i]), tuple(high[i])) for i in numbers))

    @cached_property
    def axes(self) -> tuple[StartAxis, ...]:
        """The coordinates."""
        ranges = [
            StartAxis(number, entry, low, high)
            for number, prop in enumerate(self.props)
            for entry, (low, high) in enumerate(
                [*zip(prop.low, prop.high, strict=True), tuple(RADIAN * np.radians(prop.yaw))]
            )
        ]
        return tuple(axis for axis in ranges if axis.range > LEAST_RANGE and in_sight(self.props[axis.prop]))

    @property
    def low(self) -> np.ndarray:
        """(K,) m"""
        return np.array([axis.low for axis in self.axes])

    @property
    def high(self) -> np.ndarray:
        """(K,) m"""
        return np.array([axis.high for axis in self.axes])

    @property
    def reach(self) -> float:
        """m; how far what happened at a start tells of its neighbours."""
        return REACH * max((axis.range for axis in self.axes), default=1.0)

    @property
    def ground(self) -> int | None:
        """Number of the first prop that starts at different places on the table; None if none does."""
        return next((axis.prop for axis in self.axes if axis.entry < 2), None)

    def coordinates(self, starts: np.ndarray) -> np.ndarray:
        """(N, K), in m, of starts (N, P * 7)."""
        poses = np.reshape(starts, (-1, len(self.props), 7))
        turns = RADIAN * 2 * np.arctan2(poses[:, :, 6], poses[:, :, 3])
        numbers = np.concatenate([poses[:, :, :3], turns[:, :, None]], axis=2)
        points = numbers[:, [axis.prop for axis in self.axes], [axis.entry for axis in self.axes]]
        middle = (self.low + self.high) / 2
        return np.where(self._are_turns, middle + _wrapped(points - middle), points)

    def start(self, point: np.ndarray) -> np.ndarray:
        """The start (P * 7,) of coordinates (K,)."""
        numbers = np.array([[*prop.low, prop.yaw[0]] for prop in self.props])
        for axis, value in zip(self.axes, point, strict=True):
            numbers[axis.prop, axis.entry] = np.degrees(value / RADIAN) if axis.entry == TURN else value
        return np.concatenate([pose_of(row[:3], row[TURN]) for row in numbers])

    @cached_property
    def _are_turns(self) -> np.ndarray:
        return np.array([axis.entry == TURN for axis in self.axes], bool)

    def distances(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(N, M) m from each of (N, K) to each of (M, K)."""
        apart = some[:, None] - others[None]
        return np.linalg.norm(np.where(self._are_turns, _wrapped(apart), apart), axis=2)

    def candidates(self, count: int = CANDIDATES) -> np.ndarray:
        """(count, K), at random, but always the same; many of them on the edges: there demonstrations are
        rare, and a policy must go beyond what it was shown.
        """
        shares = np.random.default_rng(0).random((count, len(self.axes)))
        shares = np.clip((1 + 2 * OVER_THE_EDGE) * shares - OVER_THE_EDGE, 0, 1)
        return self.low + shares * (self.high - self.low)

    def regions(self, points: np.ndarray) -> np.ndarray:
        """(N,) number of the region of each of (N, K): the first prop's area in 3 by 3, row after row; where
        only one of x and y varies there are 3.
        """
        number = np.zeros(len(points), int)
        for axis in reversed([i for i in self.ground_axes if i is not None]):
            part = (points[:, axis] - self.axes[axis].low) / self.axes[axis].range * SIDE
            number = number * SIDE + np.clip(part.astype(int), 0, SIDE - 1)
        return number

    @property
    def ground_axes(self) -> tuple[int | None, int | None]:
        """Which coordinates are x and y of the prop `ground`; None for one that does not vary."""
        of = {(axis.prop, axis.entry): i for i, axis in enumerate(self.axes)}
        return of.get((self.ground, 0)), of.get((self.ground, 1))

    @property
    def region_count(self) -> int:
        """How many regions there are."""
        return SIDE ** sum(axis is not None for axis in self.ground_axes)

    def region_bounds(self, number: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """From where to where (m) a region goes along x and along y."""
        prop = self.props[self.ground or 0]
        bounds = []
        for entry, axis in enumerate(self.ground_axes):
            low, high = prop.low[entry], prop.high[entry]
            if axis is not None:
                number, part = divmod(number, SIDE)
                step = (high - low) / SIDE
                low, high = low + part * step, low + (part + 1) * step
            bounds.append((low, high))
        return bounds[0], bounds[1]


def beside(task: Task, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A start (P * 7,) up to NUDGE away along each coordinate, where the task's props may start."""
    space = StartSpace.of(task)[nearest_case(task, start)[0]]
    point = space.coordinates(start)[0]
    moved = space.start(np.clip(point + rng.uniform(-NUDGE, NUDGE, len(point)), space.low, space.high))
    varying = sorted({axis.prop for axis in space.axes})
    poses = start.reshape(-1, 7).copy()
    poses[varying] = moved.reshape(-1, 7)[varying]
    return poses.reshape(-1)


def is_beside(start: np.ndarray, other: np.ndarray | None) -> bool:
    """Whether another start (P * 7,) may be what `beside` gave, or is the same; not if it is not known."""
    if other is None or other.shape != start.shape:
        return False
    apart = np.abs(start - other).reshape(-1, 7)
    return bool((apart[:, :3] <= NUDGE + ROUNDING).all())


def _wrapped(apart: np.ndarray) -> np.ndarray:
    """Differences of turns (m), by at most half a turn."""
    half = RADIAN * np.pi
    return (apart + half) % (2 * half) - half


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one case: where it was shown, where a policy tried, how far its actions were off."""

    space: StartSpace
    shown: np.ndarray  # (N, K)
    tried: np.ndarray  # (M, K)
    failed: np.ndarray  # (M,) share of the attempts there that failed
    held_out: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))  # (V, K)
    errors: np.ndarray = field(default_factory=lambda: np.empty(0))  # (V,) of the policy there, any unit

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """(N,) m from each of (N, K) to the nearest that was shown; the whole area where nothing was."""
        if not len(self.shown):
            return np.full(len(points), float(np.linalg.norm(self.space.high - self.space.low)))
        return self.space.distances(points, self.shown).min(axis=1)

    def weights(self, points: np.ndarray, at: str = "tried") -> np.ndarray:
        """(N, M), from 0 to 1: how much what happened at each start, `tried` or `held_out`, tells of each of
        (N, K).
        """
        there = getattr(self, at).reshape(-1, points.shape[1])
        return np.exp(-0.5 * (self.space.distances(points, there) / self.space.reach) ** 2)


def relative(weights: np.ndarray, values: np.ndarray, average: float, unit: float) -> np.ndarray:
    """(N,) how values (M,) near N places, by weights (N, M), compare with the average everywhere: 1 is alike.

    What was seen over what was expected, each plus DOUBT times `unit` (gamma prior of a relative risk): where
    little was expected, little is said.
    """
    expected = weights.sum(axis=1) * average
    return (weights @ values + DOUBT * unit) / (expected + DOUBT * unit)


def needs(every: Sequence[Evidence], points: Sequence[np.ndarray]) -> list[np.ndarray]:
    """How much each of `points`, (C, K) of each case, needs a demonstration, where the average is 1.

    The mean of what is known: failures near a place over those expected there, were they everywhere alike;
    the held-out error likewise. Kept from 0.5 to 3.
    """
    kinds = []
    for at, values, is_count in (("tried", "failed", True), ("held_out", "errors", False)):
        known = np.concatenate([getattr(each, values) for each in every])
        average = float(known.mean()) if len(known) else 0.0
        if average > 0:
            kinds.append((at, values, average, 1.0 if is_count else average))
    found = []
    for each, places in zip(every, points, strict=True):
        shares = [
            relative(each.weights(places, at), getattr(each, values), average, unit)
            for at, values, average, unit in kinds
        ]
        mean = np.mean(shares, axis=0) if shares else np.ones(len(places))
        found.append(np.clip(mean, LEAST_NEED, MOST_NEED))
    return found


def suggest(every: Sequence[Evidence], count: int) -> list[tuple[int, np.ndarray]]:
    """The next starts to record: number of the case and coordinates (K,) of each, the most useful first.

    Farthest-point sampling, weighted: each is the candidate whose distance to the nearest that was shown or
    suggested before, times how much its place needs a demonstration (`needs`), is the largest. So gaps are
    filled first, those where a policy fails before others; without any evidence it is the plain k-center
    rule (Gonzalez 1985). The same input gives the same starts.
    """
    every = [each for each in every if each.space.axes]
    if not every:
        return []
    points = [each.space.candidates() for each in every]
    weights = needs(every, points)
    gaps = [each.nearest(places) for each, places in zip(every, points, strict=True)]
    chosen = []
    for _ in range(count):
        scores = [gap * weight for gap, weight in zip(gaps, weights, strict=True)]
        case = max(range(len(every)), key=lambda number: scores[number].max())
        point = points[case][scores[case].argmax()]
        chosen.append((case, point))
        gaps[case] = np.minimum(gaps[case], every[case].space.distances(points[case], point[None])[:, 0])
    return chosen
