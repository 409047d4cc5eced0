"""Scripted demonstrations: waypoints of a task to end-effector actions (ACT: scripted_policy.py)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from pyquaternion import Quaternion

from schema import Task, Waypoint

Pose = tuple[np.ndarray, Quaternion]  # xyz (m) and orientation, both in the world frame


class ScriptedPolicy:
    """Follows a task's waypoints: positions and grippers along straight lines, orientations along arcs."""

    def __init__(
        self,
        task: Task,
        start_xyz: Mapping[str, np.ndarray],
        env_state: np.ndarray,
        noise: float = 0.0,
        rng: np.random.Generator | None = None,
        hesitate: int = 0,
        begin: np.ndarray | None = None,
        begin_steps: int = 0,
    ) -> None:
        """Lay the paths.

        Args:
            task: whose script to follow; ValueError if it has none for one of its arms.
            start_xyz: grip point (m) of each arm in its start pose, by label.
            env_state: (P * 7,), the props at reset.
            noise: every waypoint but those at "start" is moved by up to this much (m) along each axis.
                Waypoints of the same control step move together, so that two arms still meet.
            rng: where the noise and the wait come from.
            hesitate: control steps that the arms wait before they begin, at most.
            begin: end-effector action (8 per arm) that has the arms where they are, if that is not where
                the script begins; they go there first.
            begin_steps: control steps that they have for that; the script is as much later.
        """
        anchors = {prop.name: env_state[7 * i : 7 * i + 3] for i, prop in enumerate(task.props)}
        turns = {prop.name: env_state[7 * i + 3 : 7 * i + 7] for i, prop in enumerate(task.props)}
        steps = sorted({point.step for point in task.script if not point.at_start})
        shifts = {step: rng.uniform(-noise, noise, 3) if noise else np.zeros(3) for step in steps}
        self._wait = int(rng.integers(hesitate + 1)) if hesitate else 0
        self._paths = []
        begins = [None] * len(task.arms) if begin is None else np.split(begin, len(task.arms))
        for arm, where in zip(task.arms, begins, strict=True):
            places = {**anchors, "start": start_xyz[arm.label], "world": np.zeros(3)}
            points = [point for point in task.script if point.arm == arm.label]
            poses = [self._pose(places, turns, point, shifts) for point in points]
            path = [
                (begin_steps + point.step, *pose, point.gripper)
                for point, pose in zip(points, poses, strict=True)
            ]
            if where is not None:
                path.insert(0, (0, where[:3], Quaternion(where[3:7]), where[7]))
            self._paths.append(path)
        if not all(self._paths):
            raise ValueError(f"task {task.name!r} has no script for each of its arms")

    @staticmethod
    def _pose(
        anchors: Mapping[str, np.ndarray],
        turns: Mapping[str, np.ndarray],
        point: Waypoint,
        shifts: Mapping[int, np.ndarray],
    ) -> Pose:
        origin = np.array([anchors[name][axis] for axis, name in enumerate(point.anchors)])
        shift = np.zeros(3) if point.at_start else shifts[point.step]
        axes = {"x": [1, 0, 0], "y": [0, 1, 0], "z": [0, 0, 1]}
        orientation = Quaternion()
        for axis, degrees in zip(point.turn[::2], point.turn[1::2], strict=True):
            orientation = Quaternion(axis=axes[axis], degrees=degrees) * orientation
        if point.turn_with:
            orientation = Quaternion(turns[point.turn_with]) * orientation
        return origin + np.array(point.xyz) + shift, orientation

    def __call__(self, step: int) -> np.ndarray:
        """End-effector action (8 per arm: xyz, quaternion wxyz, gripper) at a control step."""
        return np.concatenate([self._along(path, max(0, step - self._wait)) for path in self._paths])

    @staticmethod
    def _along(path: list[tuple[int, np.ndarray, Quaternion, float]], step: int) -> np.ndarray:
        for (t0, xyz0, quat0, grip0), (t1, xyz1, quat1, grip1) in pairwise(path):
            if step <= t1:
                share = (step - t0) / (t1 - t0)
                xyz = xyz0 + share * (xyz1 - xyz0)
                quat = Quaternion.slerp(quat0, quat1, share)
                return np.concatenate([xyz, quat.elements, [grip0 + share * (grip1 - grip0)]])
        _, xyz, quat, grip = path[-1]
        return np.concatenate([xyz, quat.elements, [grip]])
