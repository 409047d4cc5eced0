"""A take of a script in the making: what each waypoint is for, told by the grippers, and time put in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import pairwise

import numpy as np

from tasks.paths.script_paths import Knot, along
from tasks.schema import Task

GRIPS = 0.25  # change of a gripper (0 closed, 1 open) between two waypoints from which it closes or opens
SAME_PLACE = 0.01  # m
NEAR = 0.18  # m between two grip points from which arms no longer move freely


class Role(Enum):
    """What a waypoint is for."""

    FREE = auto()
    AIM = auto()  # the last before a grasp that is elsewhere
    GRASP = auto()  # at the grasp, still open
    CLOSED = auto()  # at the grasp, just closed
    CARRY = auto()
    RELEASE = auto()  # the last before the gripper opens
    OPENED = auto()  # the first with the gripper open again


TO_GRASP = (Role.AIM, Role.GRASP)
LIFTED = (Role.CARRY, Role.RELEASE)
HOLDING = (Role.CLOSED, Role.CARRY, Role.RELEASE)  # roles that are reached with something in the hand


@dataclass(frozen=True)
class Stop:
    """A waypoint of a take."""

    knot: Knot
    at_prop: bool = False  # it stands at a prop's start
    role: Role = Role.FREE
    meets: bool = False  # another arm is near
    swing: np.ndarray = field(default_factory=lambda: np.zeros(3))  # m, off the way here, in its middle

    def moved(self, by: np.ndarray) -> Stop:
        """The same waypoint, moved by (3,) m."""
        return replace(self, knot=self.knot._replace(xyz=self.knot.xyz + by))

    def later(self, by: float) -> Stop:
        """The same waypoint, so many steps later."""
        return replace(self, knot=self.knot._replace(step=self.knot.step + by))


class Take:
    """The waypoints of a script's arms, which the parts of a style change in place.

    Args:
        task: the task, or a variant of it, that the script belongs to.
        paths: of its arms, as `lay_paths` gives them.
    """

    def __init__(self, task: Task, paths: Sequence[list[Knot]]) -> None:
        self.fps, self.closing = task.fps, [arm.closing for arm in task.arms]
        last = int(max(path[-1].step for path in paths))
        ways = np.array([[along(path, step)[:3] for step in range(last + 1)] for path in paths])
        is_near = _is_near(ways)  # (arms, steps)
        meetings = np.flatnonzero(is_near.any(axis=0))
        self.meeting = float(meetings[0]) if meetings.size else float(last)  # step until which arms are free
        props = {prop.name for prop in task.props}
        self.arms: list[list[Stop]] = []
        for arm, path, near in zip(task.arms, paths, is_near, strict=True):
            points = [point for point in task.script if point.arm == arm.label]
            roles = roles_of(path)
            self.arms.append(
                [
                    Stop(knot, not props.isdisjoint(point.anchors), role, bool(near[knot.step]))
                    for knot, point, role in zip(path, points, roles, strict=True)
                ]
            )

    def ways(self) -> Iterator[tuple[list[Stop], int]]:
        """Each way from one waypoint to the next: the arm's stops, and the number of the one it leads to."""
        for stops in self.arms:
            for number in range(1, len(stops)):
                yield stops, number

    def hold(self, stops: list[Stop], number: int, steps: float) -> None:
        """Have an arm rest so many steps at a stop, which is then there twice.

        The other arms rest as long. While all are free, they do so as late as they can, but before they lift
        what they grasped: it creeps in the hand. Else they rest where they are about to be then.
        """
        moment = stops[number].knot.step
        self._rest(stops, number, steps)
        for others in self.arms:
            if others is not stops:
                self._rest(others, self._number_at(others, moment), steps)
        if moment <= self.meeting:
            self.meeting += steps

    def _number_at(self, stops: Sequence[Stop], moment: float) -> int:
        """Number of the stop at which an arm waits for another one that rests at a moment."""
        last = max(i for i, stop in enumerate(stops) if stop.knot.step <= max(moment, self.meeting))
        while moment <= self.meeting and stops[last].role in LIFTED and stops[last].knot.step > moment:
            last -= 1
        return last

    @staticmethod
    def _rest(stops: list[Stop], number: int, steps: float) -> None:
        rested = replace(stops[number], swing=np.zeros(3))
        stops[number + 1 :] = [stop.later(steps) for stop in (rested, *stops[number + 1 :])]

    def warp(self, before: np.ndarray, after: np.ndarray) -> None:
        """Put what happens at steps `before` (N,) to `after` (N,), and what is between them in between."""
        for stops in self.arms:
            stops[:] = [
                stop.later(float(np.interp(stop.knot.step, before, after)) - stop.knot.step) for stop in stops
            ]


def roles_of(path: Sequence[Knot]) -> list[Role]:
    """What each waypoint of an arm's path is for."""
    roles, holds = [Role.FREE] * len(path), False
    for number, (here, then) in enumerate(pairwise(path)):
        change = then.gripper - here.gripper
        if not holds and change < -GRIPS:
            _mark_grasp(path, roles, number)
            holds = True
        elif holds and change > GRIPS:
            roles[number], roles[number + 1] = Role.RELEASE, Role.OPENED
            holds = False
        elif holds:
            roles[number + 1] = Role.CARRY
    return roles


def _mark_grasp(path: Sequence[Knot], roles: list[Role], number: int) -> None:
    roles[number + 1] = Role.CLOSED
    first = number
    while first >= 0 and np.linalg.norm(path[first].xyz - path[number].xyz) < SAME_PLACE:
        roles[first] = Role.GRASP
        first -= 1
    if first > 0:
        roles[first] = Role.AIM


def _is_near(ways: np.ndarray) -> np.ndarray:
    """Whether each arm is near another one (arms, T), along their ways (arms, T, 3)."""
    apart = np.linalg.norm(ways[:, None] - ways[None], axis=-1)  # (arms, arms, T)
    apart[np.arange(len(ways)), np.arange(len(ways))] = np.inf
    return apart.min(axis=1) < NEAR
