"""A demonstration from another start: its parts are moved with what they concern, joined, and driven."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyquaternion import Quaternion

from dataset_tools.multiplied.sources import Part, Source, Watch
from episodes import Episode
from evaluation import OPENING_SECONDS, RETURN_SECONDS, run_episode
from tasks import RADIAN, Task, along, sample_start, way_back

if TYPE_CHECKING:  # they open OpenGL
    from ee_sim_env import EndEffectorEnv

LEAST_STEP = 1e-3  # m, and RADIAN of it in rad: a join may always go so far in a step
LONGEST = 3  # times its source's length: an episode that takes longer has failed


@dataclass(frozen=True)
class Move:
    """A rigid transform that keeps the vertical: a turn about it, then a shift."""

    yaw: float = 0.0  # rad
    shift: tuple[float, ...] = (0.0, 0.0, 0.0)  # m

    @classmethod
    def between(cls, old: np.ndarray, new: np.ndarray) -> Move:
        """What takes a pose (7,) to another; of their turn, the part about the vertical."""
        turn = Quaternion(new[3:]) * Quaternion(old[3:]).inverse
        yaw = (2 * np.arctan2(turn.z, turn.w) + np.pi) % (2 * np.pi) - np.pi
        turned = cls(yaw)
        return cls(yaw, tuple(new[:3] - turned(np.array([*old[:3], 1, 0, 0, 0, 0]))[:3]))

    def __call__(self, action: np.ndarray) -> np.ndarray:
        """An end-effector action (8,), moved: xyz (m), wxyz, gripper."""
        turn = Quaternion(axis=(0, 0, 1), radians=self.yaw)
        orientation = turn * Quaternion(action[3:7])
        return np.array([*turn.rotate(action[:3]) + self.shift, *orientation.elements, action[7]])


def blended(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """Between two end-effector actions (8,): along a line, and along an arc."""
    mean = one + share * (other - one)
    mean[3:7] = Quaternion.slerp(Quaternion(one[3:7]), Quaternion(other[3:7]), share).elements
    return mean


def distance(start: np.ndarray, other: np.ndarray) -> float:
    """How far (m) two starts of the same props are from each other, poses (P, 7) or (P * 7,)."""
    pairs = zip(start.reshape(-1, 7), other.reshape(-1, 7), strict=True)
    return sum(np.linalg.norm(b[:3] - a[:3]) + RADIAN * abs(Move.between(a, b).yaw) for a, b in pairs)


def turned_by(one: np.ndarray, other: np.ndarray) -> float:
    """Angle (rad) between the orientations of two end-effector actions (8,)."""
    return 2 * float(np.arccos(min(1.0, abs(one[3:7] @ other[3:7]))))


class MovedPath:
    """One arm's path in a source, moved part by part. A step of the source may be a fraction."""

    def __init__(self, path: np.ndarray, parts: tuple[Part, ...], props: np.ndarray) -> None:
        """`path` (T, 8) of end-effector actions, and `props` (T, P, 7) of the source."""
        self._path, self._parts, self._props = path, list(parts), props
        self._before, self._after, self._join = Move(), Move(), (0.0, 1)
        lengths = np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1)
        turns = np.array([turned_by(*pair) for pair in zip(path, path[1:], strict=False)])
        self._way = np.concatenate([[0.0], np.cumsum(lengths + RADIAN * turns)])  # (T,) m
        fastest = max(lengths.max(initial=0.0), LEAST_STEP), max(turns.max(initial=0.0), LEAST_STEP / RADIAN)
        self._fastest = np.array(fastest)  # m and rad a step

    def begin(self, step: float, props: Callable[[], np.ndarray]) -> None:
        """Begin the parts that are due by a step; `props` tells where they are now (P, 7)."""
        while self._parts and self._parts[0].begin <= step:
            part = self._parts.pop(0)
            self._before, self._join = self._after, (step, part.settled)
            self._after = Move()
            if part.prop is not None:
                self._after = Move.between(self._props[part.begin, part.prop], props()[part.prop])

    def at(self, step: float) -> np.ndarray:
        """The end-effector action (8,) at a step."""
        low = min(int(step), len(self._path) - 2) if len(self._path) > 1 else 0
        action = blended(self._path[low], self._path[min(low + 1, len(self._path) - 1)], step - low)
        share = self._share(step)
        return blended(self._before(action), self._after(action), share)

    def _share(self, step: float) -> float:
        """How much of the join is done: as much as the source has gone of its way; 1 behind it."""
        begin, settled = self._join
        if step >= settled:
            return 1.0
        start, done, whole = np.interp((begin, step, settled), np.arange(len(self._way)), self._way)
        if whole - start < LEAST_STEP:  # it stands still
            return (step - begin) / (settled - begin)
        return float((done - start) / (whole - start))

    def haste(self, one: np.ndarray, other: np.ndarray) -> float:
        """How much faster than the source ever was an arm would go from one action (8,) to another."""
        change = np.array([np.linalg.norm(other[:3] - one[:3]), turned_by(one, other)])
        return float((change / self._fastest).max())


class Retold:
    """Does what a source shows, from wherever the props are.

    Both arms follow one clock, which counts the source's steps. It slows down where a join would let an arm
    go faster than it ever goes in the source, so that all that must happen together still does.
    """

    def __init__(self, source: Source, props: Callable[[], np.ndarray]) -> None:
        """`props` tells the poses of the props now (P, 7)."""
        watched, self._props = source.watched, props
        self._end = len(watched.commands) - 1
        arms = range(watched.commands.shape[1])
        self._paths = [MovedPath(watched.commands[:, a], source.parts[a], watched.props) for a in arms]
        self._step, self._sent = 0.0, []

    def __call__(self) -> np.ndarray | None:
        """The next end-effector action (8 per arm); None behind the source's last step."""
        if self._sent and self._step >= self._end:
            return None
        for path in self._paths:
            path.begin(self._step, self._props)
        self._step, self._sent = self._next() if self._sent else (0.0, self._at(0.0))
        return np.concatenate(self._sent)

    def _at(self, step: float) -> list[np.ndarray]:
        return [path.at(step) for path in self._paths]

    def _next(self) -> tuple[float, list[np.ndarray]]:
        """The step of the source that is due, and its actions."""
        ahead = 1.0
        for _ in range(10):  # a join is not quite even
            step = min(self._step + ahead, self._end)
            actions = self._at(step)
            moves = zip(self._paths, self._sent, actions, strict=True)
            haste = max(path.haste(sent, action) for path, sent, action in moves)
            if haste <= 1.01:
                break
            ahead /= haste
        return step, actions


def retell(
    env: EndEffectorEnv,
    task: Task,
    source: Source,
    env_state: np.ndarray,
    midway: np.ndarray | None = None,
) -> Episode | None:
    """Try a source's demonstration from another start (P * 7,), without images; None unless it succeeds.

    If the arms begin `midway` (D,), they first go back to where the source begins.
    """
    start = env.reset(env_state=env_state, state=source.state if midway is None else midway)
    back = [] if midway is None else _way_back(env, task, source)
    task = replace(task, episode_len=len(back) + LONGEST * len(source.watched.commands))
    retold = Retold(source, Watch(env).props)

    def act(t: int, observation: Mapping[str, Any]) -> np.ndarray | None:
        action = back[t] if t < len(back) else retold()
        return None if action is None else env.joint_action(action)

    try:
        episode = run_episode(env.env, task, start, act)
    except RuntimeError:  # unstable
        return None
    return episode if episode.success else None


def _way_back(env: EndEffectorEnv, task: Task, source: Source) -> list[np.ndarray]:
    """End-effector actions (8 per arm) from where the arms are now to where a source begins."""
    first = source.watched.commands[0]
    steps, opening = (round(seconds * task.fps) for seconds in (RETURN_SECONDS, OPENING_SECONDS))
    pairs = zip(env.present().reshape(first.shape), first, strict=True)
    paths = [way_back(*pair, steps, opening) for pair in pairs]
    return [np.concatenate([along(path, step) for path in paths]) for step in range(steps)]


def arms_midway(
    env: EndEffectorEnv, task: Task, source: Source, rng: np.random.Generator
) -> np.ndarray | None:
    """State (D,) of the arms at a random moment of a source's demonstration from a start that is drawn; None
    if it does not succeed from there.

    The moment lies behind the first touch: arms that reach for a prop are not shown to turn back. Each stage
    comes as often as any other, however short it is: a prop is lost as it is gripped, too.
    """
    driven = retell(env, task, source, sample_start(task, rng, source.case))
    if driven is None:
        return None
    reached = np.maximum.accumulate(driven.reward)  # a touch may be lost for a moment
    stage = rng.choice(np.unique(reached[reached > 0]))
    return driven.action[rng.choice(np.flatnonzero(reached == stage))]
