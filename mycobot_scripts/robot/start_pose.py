"""The commands that bring an arm to the pose at which an episode begins, and why it did not get there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.safety import SafetyStop
from mycobot_scripts.wire import Servo, clock

ARRIVAL = 15.0  # s to reach the start pose after the last command, also on a busy computer
ARRIVED, AT_REST = 3.0, 5.0  # degrees from it, and degrees a second, that count as there


def path_to(start: np.ndarray, servo: Servo, period: float) -> Sequence[np.ndarray]:
    """Commands (7,), one every `period` (s), that bring the arm slowly to a pose (7,)."""
    limits, here = servo.guard.limits, servo.latest.target
    seconds = np.degrees(np.abs(start - here)[:JOINTS].max()) / limits.start_speed
    steps = max(1, math.ceil(seconds / period), math.ceil(abs(start - here)[JOINTS] / limits.gripper_step))
    return [here + (start - here) * n / steps for n in range(1, steps + 1)]


def until_there(start: np.ndarray, servo: Servo) -> Iterator[np.ndarray]:
    """The pose (7,) as a command, again and again until the arm rests at it; SafetyStop if it does not."""
    deadline = clock.now() + ARRIVAL
    while clock.now() < deadline:
        yield start
        state = servo.latest
        if not np.array_equal(state.target, start):
            continue
        apart, speed = (np.degrees(np.abs(x)[:JOINTS].max()) for x in (state.qpos - start, state.qvel))
        if apart <= ARRIVED and speed <= AT_REST:
            return
    raise SafetyStop(_why_not(start, servo))


def _why_not(start: np.ndarray, servo: Servo) -> str:
    """What keeps the arm from its start pose."""
    state = servo.latest
    if not np.array_equal(state.target, start):
        if servo.guard.clamped:
            report = servo.guard.report()
            return f"the limits keep the arm from its start pose: {report}; move it closer by hand"
        return (
            f"the start pose was not sent within {ARRIVAL:.0f} s: this computer is too busy, or the "
            "line too slow; end other programs and try again"
        )
    apart = np.degrees(np.abs(state.qpos - start)[:JOINTS])
    joint = int(apart.argmax())
    return f"the arm does not reach its start pose: joint {joint + 1} is {apart[joint]:.1f} degrees away"
