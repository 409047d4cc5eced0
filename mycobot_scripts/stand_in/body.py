"""What the emulated firmware moves: an arm's body, with or without physics.

Speaks radians, and a gripper in [0 closed, 1 open]. Every call says at which time of the body's clock (s) it
takes effect, or is asked about, so that a thread that is some milliseconds late changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

ALL_JOINTS = tuple(range(6))


@dataclass(frozen=True)
class BodyState:
    """Where the arm is."""

    joints: np.ndarray  # (6,) rad
    velocities: np.ndarray  # (6,) rad/s
    torques: np.ndarray  # (6,) Nm, of the motors
    gripper: float  # 0 closed, 1 open
    gripper_velocity: float  # ranges a second


class Body(Protocol):
    """An arm as its servos see it. Joints are numbered from 0."""

    def now(self) -> float:
        """Its clock, in seconds."""

    def state(self, at: float) -> BodyState:
        """Where it was at a time; waits if it has not got there yet."""

    def move(self, joints: np.ndarray, speed: float, at: float) -> None:
        """Go to angles (6,) in rad, no joint faster than `speed` (rad/s)."""

    def hold(self, at: float, joints: Iterable[int] = ALL_JOINTS) -> None:
        """Stop these joints where they are; commands on their way to them are dropped."""

    def set_gripper(self, opening: float, at: float) -> None:
        """Open to a share of its travel."""

    def set_torque(self, joints: Iterable[int], on: bool, at: float) -> None:
        """Switch the motors of these joints on, where they are, or off."""

    def stick(self, joint: int, at: float) -> None:
        """A joint never moves again."""
