"""The limits of the arm, as flags; and what is raised when a run must end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common import check, flag
from mycobot_scripts.kinematics import ANGLE_MAX, TOOL_LENGTH

HARD_LIMITS = np.array(ANGLE_MAX)  # degrees, either way


class SafetyStop(RuntimeError):
    """The run must end; the message says why, in one line."""


class LateStop(SafetyStop):
    """The run must end because a state or a picture is too old."""


@dataclass(frozen=True)
class Limits:
    """What the arm may do. Degrees where people read them; everything else as in qpos."""

    joint_margin: float = flag(
        2.0, "degrees kept from each joint's limit (168 135 145 145 168 180)", least=0, most=90
    )
    max_step: float = flag(20.0, "largest change of a joint per command, degrees", above=0, most=360)
    gripper_step: float = flag(
        0.1, "largest change of the gripper per command, share of its travel", above=0, most=1
    )
    start_speed: float = flag(
        20.0, "speed of the move to the start pose, degrees a second", above=0, most=180
    )
    table_height: float = flag(0.0, "height of the table above the arm's foot, m", least=-0.5, most=0.5)
    clearance: float = flag(0.02, "how far above the table tool point and arm stay, m", least=0, most=0.5)
    box_x: tuple[float, float] = flag(
        (-0.5, 0.5), "where tool point, wrist and elbow may be along the base's x axis, m", least=-1, most=1
    )
    box_y: tuple[float, float] = flag(
        (-0.5, 0.5), "where tool point, wrist and elbow may be along the base's y axis, m", least=-1, most=1
    )
    max_height: float = flag(0.6, "how far above the table the tool point may rise, m", above=0, most=2)
    tool_length: float = flag(
        TOOL_LENGTH, "from the flange to the point between the finger tips, m", above=0, most=0.5
    )
    max_outside: float = flag(
        0.015, "how far outside these limits the arm may be seen, m; further out it stops", least=0, most=0.2
    )
    range_margin: float = flag(
        0.5, "how far a policy may leave its training range, as a share of that range", least=0, most=10
    )
    stale: float = flag(0.8, "oldest state or camera picture that a run accepts, s", above=0, most=60)
    frozen: float = flag(
        3.0, "how long a camera may show the same picture while the arm moves, s", above=0, most=600
    )
    max_deviation: float = flag(
        12.0, "how far a joint may be from its recent commands, or lag behind, degrees", above=0, most=180
    )
    deviation_time: float = flag(1.0, "how long it may be that far, s", least=0, most=60)
    max_temperature: float = flag(65.0, "hottest servo, degrees Celsius", least=20, most=90)
    max_current: float = flag(
        2500.0, "largest current of a servo, mA; twice in a row stops", above=0, most=5000
    )

    def __post_init__(self) -> None:
        check(self)
        for name in ("box_x", "box_y"):
            low, high = getattr(self, name)
            if not low < high:
                raise ValueError(f"--{name} is {low} {high}; the first must be less than the second")
        if not self.clearance < self.max_height:
            raise ValueError(
                f"--max_height is {self.max_height}; --clearance {self.clearance} is not below it"
            )
