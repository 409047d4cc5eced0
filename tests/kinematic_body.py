"""A body for the emulated firmware that tests move without physics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

import numpy as np

from constants import MYCOBOT
from mycobot_scripts.stand_in.body import ALL_JOINTS, BodyState

STEP = 0.002  # s


class KinematicBody:
    """A body without physics: each joint follows its target late, as a first-order lag, at a limited speed.

    The same three numbers as the MuJoCo model's servos (`constants.MYCOBOT`). Joints whose motors are off
    stay where they are, as if held by a hand; `place` is that hand.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._position = np.array(MYCOBOT.start_state)
        self._target = self._position.copy()
        self._coming: deque[tuple[float, np.ndarray, np.ndarray]] = deque()  # due (s), which, their target
        self._velocity = np.zeros(7)
        self._speed = np.full(7, MYCOBOT.max_speed)
        self._speed[6] = MYCOBOT.max_speed / MYCOBOT.travel  # ranges a second
        self._on = np.ones(7, bool)
        self._stuck = np.zeros(7, bool)
        self._time = clock()  # s, of `_position`

    def state(self, at: float) -> BodyState:
        self._advance(at)
        return BodyState(
            self._position[:6].copy(),
            self._velocity[:6].copy(),
            np.zeros(6),
            float(self._position[6]),
            float(self._velocity[6]),
        )

    def move(self, joints: np.ndarray, speed: float, at: float) -> None:
        self._advance(at)
        self._speed[:6] = speed
        self._send(at, list(ALL_JOINTS), np.asarray(joints, float))

    def hold(self, at: float, joints: Iterable[int] = ALL_JOINTS) -> None:
        self._advance(at)
        which = list(joints)
        self._coming = deque(entry for entry in self._coming if not set(entry[1]) & set(which))
        self._target[which] = self._position[which]

    def set_gripper(self, opening: float, at: float) -> None:
        self._advance(at)
        self._send(at, [6], np.array([opening]))

    def set_torque(self, joints: Iterable[int], on: bool, at: float) -> None:
        which = list(joints)
        self.hold(at, which)
        self._on[which] = on

    def stick(self, joint: int, at: float) -> None:
        self._advance(at)
        self._stuck[joint] = True

    def place(self, joints: np.ndarray, at: float) -> None:
        """Bring the joints whose motors are off to angles (6,) in rad, at once."""
        self._advance(at)
        off = np.flatnonzero(~self._on[:6])
        self._position[off] = self._target[off] = np.asarray(joints)[off]

    def _send(self, at: float, which: list[int], target: np.ndarray) -> None:
        self._coming.append((at + MYCOBOT.delay, np.array(which), target))

    def _advance(self, at: float) -> None:
        """Follow the targets up to a time."""
        while self._time + STEP <= at:
            self._time += STEP
            while self._coming and self._coming[0][0] <= self._time:
                _, which, target = self._coming.popleft()
                self._target[which] = target
            left = np.where(self._on & ~self._stuck, self._target - self._position, 0.0)
            if not self._coming and np.abs(left).max() < 1e-6:  # at rest
                self._velocity[:] = 0.0
                self._time = max(self._time, at)
            self._velocity = np.clip(left / MYCOBOT.time_constant, -self._speed, self._speed)
            self._position += self._velocity * STEP
