"""Which waypoints of a task's script its arms reach, from wherever its props may start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from common import command_line
from tasks.parts import Prop
from tasks.paths.script_paths import along, lay_paths
from tasks.scene import GripPointIK
from tasks.schema import Task
from tasks.starts import pose_of
from tasks.task_check import waypoint_name

TOLERANCE = 0.005  # m; the arm hits reachable waypoints to within 0.5 mm
STRETCH = 8  # poses at most to solve for between two waypoints

_reached: set[Task] = set()  # tasks that were checked, with all waypoints in reach


@dataclass(frozen=True)
class Arrival:
    """Where an arm ends up when it is sent to a waypoint."""

    number: int  # of the waypoint in the script
    wanted: np.ndarray  # (3,) m
    joints: np.ndarray  # (J,) rad
    off: float  # m from `wanted`
    turned_off: float  # degrees, likewise

    @property
    def is_reached(self) -> bool:
        return self.off <= TOLERANCE


def extreme_starts(props: Sequence[Prop]) -> Iterator[np.ndarray]:
    """Starts (P * 7,) with all props in the middle of their boxes, then in the same corner of them."""
    shares = [(0.5,) * 4, *product((0.0, 1.0), repeat=4)]
    yielded = set()
    for *shift, turn in shares:
        poses = [
            pose_of(
                [low + share * (high - low) for low, high, share in zip(p.low, p.high, shift, strict=True)],
                p.yaw[0] + turn * (p.yaw[1] - p.yaw[0]),
            )
            for p in props
        ]
        start = np.concatenate(poses) if poses else np.zeros(0)
        if start.tobytes() not in yielded:
            yielded.add(start.tobytes())
            yield start


def arrivals(
    task: Task, solvers: Mapping[str, GripPointIK], env_state: np.ndarray
) -> tuple[list[Arrival], dict[str, np.ndarray]]:
    """Where each waypoint of a script leads its arm, and the way of each arm.

    Args:
        task: the task, or a variant of it, whose script is followed.
        solvers: of each arm, by label.
        env_state: (P * 7,), where the props start.

    Returns:
        An arrival for each waypoint, in the order of the script; and, by label, the way (N, 3) in m that the
        script asks of the grip point.
    """
    start = {arm.label: solvers[arm.label].forward(np.array(arm.start))[0] for arm in task.arms}
    paths = lay_paths(task, start, env_state)
    by_number: dict[int, Arrival] = {}
    ways: dict[str, np.ndarray] = {}
    for arm, path in zip(task.arms, paths, strict=True):
        solver, joints, way = solvers[arm.label], np.array(arm.start), []
        numbers = [n for n, point in enumerate(task.script) if point.arm == arm.label]
        before = 0
        for number in numbers:
            step = task.script[number].step
            for moment in np.linspace(before, step, min(STRETCH, step - before) + 1):
                target = along(path, moment)
                joints = solver.solve(joints, target[:3], target[3:7])
                way.append(target[:3])
            joints = solver.solve(joints, target[:3], target[3:7])
            xyz, quat = solver.pose(joints)
            turned = 2 * np.degrees(np.arccos(min(1.0, abs(float(quat @ target[3:7])))))
            off = float(np.linalg.norm(xyz - target[:3]))
            by_number[number] = Arrival(number, target[:3], joints, off, turned)
            before = step
        ways[arm.label] = np.array(way)
    return [by_number[number] for number in sorted(by_number)], ways


def missed_waypoints(task: Task, solvers: Mapping[str, GripPointIK]) -> dict[int, float]:
    """Waypoints that some start puts out of reach, and the greatest distance (m) by which they are missed."""
    missed: dict[int, float] = {}
    if task.script:
        for start in extreme_starts(task.props):
            for arrival in arrivals(task, solvers, start)[0]:
                if not arrival.is_reached:
                    missed[arrival.number] = max(arrival.off, missed.get(arrival.number, 0.0))
    return dict(sorted(missed.items()))


def check_reach(task: Task, solvers: Mapping[str, GripPointIK]) -> None:
    """ValueError for the waypoint that is furthest out of reach, whatever the case and the start."""
    if task in _reached or not task.script:
        return
    for case, variant in enumerate(task.variants):
        label = f"case {task.cases[case].label!r}: " if task.cases else ""
        attempts = (
            (arrival, start)
            for start in extreme_starts(variant.props)
            for arrival in arrivals(variant, solvers, start)[0]
        )
        worst, start = max(attempts, key=lambda pair: pair[0].off)
        if not worst.is_reached:
            raise ValueError(f"task {task.name!r}: {label}{_explained(variant, worst, start)}")
    _reached.add(task)


def _explained(task: Task, worst: Arrival, start: np.ndarray) -> str:
    point = task.script[worst.number]
    starts = zip(task.props, start.reshape(-1, 7), strict=True)
    places = [f"{prop.name} at {_point(pose)}" for prop, pose in starts if prop.name in point.anchors]
    return (
        f"{waypoint_name(worst.number, point)} is out of reach: it is at {_point(worst.wanted)} m"
        f"{' with ' + ', '.join(places) if places else ''}, and the arm ends {1000 * worst.off:.0f} mm off; "
        f"{command_line('show_task.py')} --task_name {task.name} draws it"
    )


def _point(xyz: np.ndarray) -> str:
    return f"({', '.join(f'{value:.3g}' for value in xyz[:3])})"
