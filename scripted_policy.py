"""Scripted demonstrations: from a task's waypoints to end-effector actions (ACT: scripted_policy.py)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks import StylePlan, Task, along, lay_paths, styled, way_back


class ScriptedPolicy:
    """Follows a task's waypoints, with a little noise each time if asked."""

    def __init__(
        self,
        task: Task,
        start_xyz: Mapping[str, np.ndarray],
        env_state: np.ndarray,
        noise: float = 0.0,
        rng: np.random.Generator | None = None,
        hesitate: int = 0,
    ) -> None:
        """Lay the paths.

        Args:
            task: the task whose script to follow; ValueError if one of its arms has none.
            start_xyz: grip point (m) of each arm in its start pose, by label.
            env_state: (P * 7,), the props at reset.
            noise: moves every waypoint but those at "start" by up to this much (m) along each axis.
                Waypoints of the same control step move together, so that two arms still meet.
            rng: source of the noise and the wait.
            hesitate: control steps, at most, that the arms wait before they begin.
        """
        steps = sorted({point.step for point in task.script if not point.at_start})
        shifts = {step: rng.uniform(-noise, noise, 3) for step in steps} if noise else {}
        self._wait = int(rng.integers(hesitate + 1)) if hesitate else 0
        self._task, self._paths = task, lay_paths(task, start_xyz, env_state, shifts)

    def take(self, plan: StylePlan) -> int:
        """Follow the script as a take of a style does, from now on; returns the steps that the episode then
        has: as many more or fewer than the task says as the take is longer or shorter than the script.
        """
        if not plan.style.parts:
            return self._task.episode_len
        script, self._paths = self._paths, styled(self._task, self._paths, plan)
        longer = self._paths[0][-1].step - max(path[-1].step for path in script)
        return max(1, self._task.episode_len + longer)

    def begin_at(self, action: np.ndarray, steps: int, opening: int) -> None:
        """Begin where an end-effector action (8 per arm) puts the arms, and go to the script's start in
        `steps` control steps, as `tasks.way_back`; the script is that much later.
        """
        for path, part in zip(self._paths, np.split(action, len(self._paths)), strict=True):
            back = way_back(part, along(path, 0), steps, opening)
            path[:] = [*back[:-1], *(knot._replace(step=steps + knot.step) for knot in path)]

    def __call__(self, step: int) -> np.ndarray:
        """End-effector action (8 per arm: xyz, quaternion wxyz, gripper) at a control step."""
        return np.concatenate([along(path, max(0, step - self._wait)) for path in self._paths])
