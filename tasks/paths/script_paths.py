"""The paths of the grip points through a task's waypoints (ACT: scripted_policy.py)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from pyquaternion import Quaternion

from tasks.parts import Waypoint
from tasks.schema import Task

AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}


class Knot(NamedTuple):
    """Where a grip point should be at a control step, in the world frame."""

    step: int
    xyz: np.ndarray  # (3,) m
    orientation: Quaternion
    gripper: float  # 0 closed, 1 open


def lay_paths(
    task: Task,
    start_xyz: Mapping[str, np.ndarray],
    env_state: np.ndarray,
    shifts: Mapping[int, np.ndarray] | None = None,
) -> list[list[Knot]]:
    """The path of each of a task's arms; ValueError if it has no script for one of them.

    Args:
        task: the task whose script is followed.
        start_xyz: grip point (3,) in m of each arm in its start pose, by label.
        env_state: (P * 7,), the props at reset.
        shifts: by control step, how far (3,) in m to move its waypoints; those at "start" never move.
    """
    poses = dict(zip((prop.name for prop in task.props), env_state.reshape(-1, 7), strict=True))
    places = {name: pose[:3] for name, pose in poses.items()} | {"world": np.zeros(3)}
    turns = {name: pose[3:] for name, pose in poses.items()}
    paths = []
    for arm in task.arms:
        places["start"] = start_xyz[arm.label]
        points = [point for point in task.script if point.arm == arm.label]
        paths.append([_knot(point, places, turns, shifts or {}) for point in points])
    if not all(paths):
        raise ValueError(f"task {task.name!r} has no script for each of its arms")
    return paths


def _knot(
    point: Waypoint,
    places: Mapping[str, np.ndarray],
    turns: Mapping[str, np.ndarray],
    shifts: Mapping[int, np.ndarray],
) -> Knot:
    origin = np.array([places[name][axis] for axis, name in enumerate(point.anchors)])
    shift = np.zeros(3) if point.at_start else shifts.get(point.step, np.zeros(3))
    orientation = Quaternion()
    for axis, degrees in zip(point.turn[::2], point.turn[1::2], strict=True):
        orientation = Quaternion(axis=AXES[axis], degrees=degrees) * orientation
    if point.turn_with:
        orientation = Quaternion(turns[point.turn_with]) * orientation
    return Knot(point.step, origin + np.array(point.xyz) + shift, orientation, point.gripper)


def way_back(here: np.ndarray, start: np.ndarray, steps: int, opening: int) -> list[Knot]:
    """From one end-effector action (8,) to another in `steps`; in the last `opening` of them the hand becomes
    as it is there.

    So a hand that closed around nothing goes back, and an open one goes on. If it were open on the way back,
    a policy would be shown both of an open hand above a prop: to go away and to reach for it. It does
    neither.
    """
    first, last = (Knot(at, a[:3], Quaternion(a[3:7]), a[7]) for at, a in ((0, here), (steps, start)))
    if opening >= steps:
        return [first, last]
    there = along([first, last], steps - opening)
    return [first, Knot(steps - opening, there[:3], Quaternion(there[3:7]), first.gripper), last]


def along(path: list[Knot], step: float) -> np.ndarray:
    """End-effector action (8,) at a control step: xyz, quaternion wxyz, gripper; at rest after the last knot.

    Positions and grippers go along straight lines, orientations along arcs.
    """
    for before, after in pairwise(path):
        if step <= after.step:
            share = (step - before.step) / (after.step - before.step)
            xyz = before.xyz + share * (after.xyz - before.xyz)
            quat = Quaternion.slerp(before.orientation, after.orientation, share)
            gripper = before.gripper + share * (after.gripper - before.gripper)
            return np.concatenate([xyz, quat.elements, [gripper]])
    last = path[-1]
    return np.concatenate([last.xyz, last.orientation.elements, [last.gripper]])
