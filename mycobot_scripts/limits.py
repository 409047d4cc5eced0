"""What the arm may do, as flags; and what is raised when a run must end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cli import flag
from mycobot_scripts.kinematics import TOOL_LENGTH
from mycobot_scripts.protocol import ANGLE_MAX

HARD_LIMITS = np.array(ANGLE_MAX)  # degrees, either way


class SafetyStop(RuntimeError):
    """The run must end; the message says why, in one line."""


@dataclass(frozen=True)
class Limits:
    """What the arm may do. Degrees where people read them; everything else as in qpos."""

    joint_margin: float = flag(2.0, "degrees kept from each joint's limit (168 135 145 145 168 180)")
    max_step: float = flag(20.0, "largest change of a joint per command, degrees")
    gripper_step: float = flag(0.1, "largest change of the gripper per command, share of its travel")
    start_speed: float = flag(20.0, "speed of the move to the start pose, degrees a second")
    table_height: float = flag(0.0, "height of the table above the arm's foot, m")
    clearance: float = flag(0.02, "how far above the table the tool point stays, m")
    box_x: tuple[float, float] = flag((-0.5, 0.5), "where the tool point may be along the base's x axis, m")
    box_y: tuple[float, float] = flag((-0.5, 0.5), "where the tool point may be along the base's y axis, m")
    max_height: float = flag(0.6, "how far above the table the tool point may rise, m")
    tool_length: float = flag(TOOL_LENGTH, "from the flange to the point between the finger tips, m")
    range_margin: float = flag(0.5, "how far a policy may leave its training range, as a share of that range")
    stale: float = flag(0.8, "oldest state or camera picture that a run goes on with, s")
    frozen: float = flag(3.0, "how long a camera may show the same picture while the arm moves, s")
    max_deviation: float = flag(
        12.0, "how far a joint may be from what it was told lately, or lag behind, degrees"
    )
    deviation_time: float = flag(1.0, "how long it may be, s")
    max_temperature: float = flag(65.0, "hottest servo, degrees Celsius")
    max_current: float = flag(2500.0, "largest current of a servo, mA")

    def __post_init__(self) -> None:
        for name in ("max_step", "gripper_step", "start_speed", "tool_length", "stale", "frozen"):
            if not getattr(self, name) > 0:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.joint_margin < HARD_LIMITS.min():
            most = HARD_LIMITS.min()
            raise ValueError(f"--joint_margin is {self.joint_margin}; it must be 0 to {most:.0f}")
        for name in ("box_x", "box_y"):
            low, high = getattr(self, name)
            if not low < high:
                raise ValueError(f"--{name} is {low} {high}; the first must be less than the second")
        if not self.clearance < self.max_height:
            raise ValueError(
                f"--max_height is {self.max_height}; --clearance {self.clearance} is not below it"
            )
