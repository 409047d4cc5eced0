"""An arm whose steps are recorded as it goes."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np

from mycobot_scripts.recording import Step
from mycobot_scripts.robot import MyCobotRobot, TimeStep
from mycobot_scripts.units import on_the_wire


class Steps(Protocol):
    """What keeps steps: a `Recording`."""

    def append(self, step: Step) -> None: ...


class RecordedRobot:
    """`reset` and `step` of a robot; each step goes to a recording.

    An action is recorded as it was sent: within the limits, and rounded to what the wire can say.

    Args:
        robot: the arm.
        recording: takes the steps.
        rewarded: whether the robot's rewards mean anything.
    """

    def __init__(self, robot: MyCobotRobot, recording: Steps, rewarded: bool = False) -> None:
        self.robot, self._recording, self._rewarded = robot, recording, rewarded

    def reset(self, *args: Any, **kwargs: Any) -> TimeStep:
        return self.begin(self.robot.reset(*args, **kwargs))

    def begin(self, step: TimeStep) -> TimeStep:
        """Go on from a step that `robot.reset` has returned."""
        self._seen, self._moment = step.observation, time.monotonic()
        return step

    def step(self, action: np.ndarray) -> TimeStep:
        robot, seen = self.robot, self._seen
        clamped = robot.guard.clamped.total()
        step = robot.step(action)
        is_clamped = robot.guard.clamped.total() > clamped
        sent = robot.servo.latest.target if is_clamped else on_the_wire(action)
        reward = step.reward if self._rewarded else None
        self._recording.append(Step(self._moment, seen["qpos"], seen["qvel"], sent, seen["images"], reward))
        return self.begin(step)
