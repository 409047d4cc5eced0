"""Speed and acceleration of the joints: held within those of the demonstrations, whatever a policy gives."""

from __future__ import annotations

import numpy as np

from mycobot_scripts.kinematics import JOINTS, on_the_wire

LEAST_VELOCITY = 0.1  # rad/s; a joint that rested in the demonstrations may still be corrected
LEAST_ACCELERATION = 1.0  # rad/s^2
_ROUNDED = np.radians(0.02)  # rad; the wire's rounding, with room
_TINY = 1e-9  # rad


class SpeedFilter:
    """Holds the joints' velocity and acceleration within limits, action by action.

    Actions inside pass as they are, without any delay. Where one is not, the arm falls behind and catches up:
    as fast as the limits allow, and slow enough to arrive with the speed that the actions have.

    Args:
        velocity: most of each joint (6,), rad/s.
        acceleration: likewise, rad/s^2.
        period: time from one action to the next, s.
    """

    def __init__(self, velocity: np.ndarray, acceleration: np.ndarray, period: float) -> None:
        self._step = np.maximum(velocity, LEAST_VELOCITY) * period  # rad a step, at most
        self._bend = np.maximum(acceleration, LEAST_ACCELERATION) * period**2  # rad a step each step, at most
        self._last: np.ndarray | None = None  # (6,) where the last action led
        self._speed = np.zeros(JOINTS)  # rad a step
        self._wanted = np.zeros(JOINTS)  # where it should have led
        self.changed = ""  # what the last action exceeded: velocity, acceleration or ""

    def begin(self, pose: np.ndarray) -> None:
        """The arm rests at a pose (7,)."""
        self._last = np.array(pose[:JOINTS], dtype=float)
        self._speed, self._wanted = np.zeros(JOINTS), self._last.copy()

    def follow(self, sent: np.ndarray) -> None:
        """The arm was really sent to `sent` (7,) last: a guard or a person had another command for it."""
        if np.abs(on_the_wire(sent)[:JOINTS] - self._last).max() <= _ROUNDED:
            return
        before = self._last - self._speed
        self._last = np.array(sent[:JOINTS], dtype=float)
        self._speed = np.clip(self._last - before, -self._step, self._step)

    def drive(self, action: np.ndarray) -> None:
        """A person's action (7,) passes as it is; the next one of the policy goes on from there."""
        joints = np.array(action[:JOINTS], dtype=float)
        self._speed = np.clip(joints - self._last, -self._step, self._step)
        self._last, self._wanted = joints, joints.copy()

    def __call__(self, action: np.ndarray) -> np.ndarray:
        """The action (7,) to take in the place of `action`, which is finite."""
        joints = np.array(action[:JOINTS], dtype=float)
        behind, moves = self._wanted - self._last, joints - self._wanted
        step = moves + np.sign(behind) * self._approach(np.abs(behind))
        slowed = np.clip(step, -self._step, self._step)
        slowed = np.clip(slowed, self._speed - self._bend, self._speed + self._bend)
        passes = np.abs(self._last + slowed - joints) <= _TINY
        led = np.where(passes, joints, self._last + slowed)
        is_fast = (np.abs(joints - self._last) > self._step + _TINY).any()
        self.changed = "" if passes.all() else "velocity" if is_fast else "acceleration"
        self._speed, self._last, self._wanted = slowed, led, joints
        return np.append(led, action[JOINTS:])

    def _approach(self, distance: np.ndarray) -> np.ndarray:
        """The longest step (6,) towards something so far (6,) away from which the steps can still shrink, by
        `_bend` each, to arrive without going too far.
        """
        shrinks = np.floor((np.sqrt(1 + 8 * distance / self._bend) - 1) / 2)
        return distance / (shrinks + 1) + self._bend * shrinks / 2
