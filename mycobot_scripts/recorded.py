"""An arm whose steps are recorded as it goes."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mycobot_scripts import clock
from mycobot_scripts.recording import Step
from mycobot_scripts.robot import MyCobotRobot, TimeStep


class Steps(Protocol):
    """What keeps steps: a `Recording`."""

    def append(self, step: Step) -> None: ...


class RecordedRobot:
    """An episode on a robot that has begun; each of its steps goes to a recording.

    An action is recorded as the robot says that it was sent.

    Args:
        robot: the arm.
        start: what its `reset` returned.
        recording: takes the steps.
        rewarded: whether the robot's rewards mean anything.
    """

    def __init__(
        self, robot: MyCobotRobot, start: TimeStep, recording: Steps, rewarded: bool = False
    ) -> None:
        self._robot, self._recording, self._rewarded = robot, recording, rewarded
        self._step, self._moment = start, clock.now()

    def reset(self, rng: np.random.Generator | None = None) -> TimeStep:
        """Where the episode stands; it has its start already."""
        return self._step

    def step(self, action: np.ndarray) -> TimeStep:
        seen, step = self._step.observation, self._robot.step(action)
        reward = step.reward if self._rewarded else None
        self._recording.append(
            Step(self._moment, seen["qpos"], seen["qvel"], step.sent, seen["images"], reward)
        )
        self._step, self._moment = step, clock.now()
        return step
