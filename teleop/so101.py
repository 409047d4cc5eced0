"""The SO-101 leader arm: which servo is which joint, calibration by two poses, forward kinematics.

Joint names and ids are those of LeRobot's `so_leader`. Lengths, axes and ranges are those of
TheRobotStudio/SO-ARM100, `Simulation/SO101/so101_leader_new_calib.urdf`: at zero the upper arm stands
upright, forearm and gripper point straight ahead. numpy only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import command_line, complete_file
from teleop.feetech import STEPS

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
NAMES = (*JOINTS, "gripper")
IDS = dict(zip(NAMES, range(1, 7), strict=True))
DEFAULT_FILE = "so101.json"

# Of each joint, from the one before: xyz (m) and roll, pitch, yaw (rad); all turn about z. Then the tool's.
_ORIGINS = (
    ((0.0388353, 0.0, 0.0624), (np.pi, 0.0, -np.pi)),
    ((-0.0303992, -0.0182778, -0.0542), (-np.pi / 2, -np.pi / 2, 0.0)),
    ((-0.11257, -0.028, 0.0), (0.0, 0.0, np.pi / 2)),
    ((-0.1349, 0.0052, 0.0), (0.0, 0.0, -np.pi / 2)),
    ((0.0, -0.0611, 0.0181), (np.pi / 2, 0.0486795, np.pi)),
    ((-0.0079, -0.000218121, -0.0981274), (0.0, np.pi, 0.0)),
)
LOW = np.array([-1.91986, -1.74533, -1.69, -1.65806, -2.74385])  # rad
HIGH = np.array([1.91986, 1.74533, 1.69, 1.65806, 2.84121])

# The poses of calibration; B is a quarter turn of each joint away from A, where all are zero.
POSES = {
    "A": "upper arm straight up, forearm and gripper straight ahead and level, the grip straight down, "
    "trigger let go",
    "B": "turned to your left by a quarter turn, both parts of the arm stretched out level, the gripper "
    "straight down, its grip pointing away from you, trigger squeezed",
}
SIGNS = np.array([-1, 1, -1, 1, 1])  # of the joints' angles in pose B
MOST_OFF = 25.0  # degrees that a quarter turn between the poses may be off
LEAST_TRIGGER = 10.0  # degrees between trigger let go and squeezed, at least
# From the leader's base (x ahead, y to the left) to the person behind it: right, away, up.
PERSON_FROM_BASE = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def _rotation(rpy: tuple[float, float, float]) -> np.ndarray:
    """(3, 3) of a URDF's roll, pitch, yaw (rad)."""
    (sr, sp, sy), (cr, cp, cy) = np.sin(rpy), np.cos(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


_LINKS = tuple((np.array(xyz), _rotation(rpy)) for xyz, rpy in _ORIGINS)


def forward(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tool at joint angles (5,) in rad: position (3,) in m, and rotation (3, 3), base from tool.

    The base's x points ahead, z up; the tool's z out of the gripper.
    """
    position, orientation = np.zeros(3), np.eye(3)
    for (shift, turned), angle in zip(_LINKS, (*joints, 0.0), strict=True):
        position = position + orientation @ shift
        c, s = np.cos(angle), np.sin(angle)
        orientation = orientation @ turned @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return position, orientation


def wrapped(steps: np.ndarray) -> np.ndarray:
    """Steps as the shorter way round: -2048 to 2047."""
    return (np.asarray(steps, dtype=float) + STEPS / 2) % STEPS - STEPS / 2


def _degrees(steps: float) -> float:
    """How far a servo turned by this many steps, the shorter way round."""
    return float(abs(wrapped(steps))) * 360 / STEPS


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a leader's readings mean."""

    zero: np.ndarray  # (5,) steps at zero
    sign: np.ndarray  # (5,) 1, or -1 for a servo that counts the other way
    trigger: tuple[float, float]  # steps when it is squeezed, and when it is let go

    @classmethod
    def of(cls, a: Mapping[int, int], b: Mapping[int, int]) -> Calibration:
        """From the readings (steps by id) in both poses; ValueError where they cannot be these poses."""
        first, second = (np.array([pose[IDS[name]] for name in NAMES], dtype=float) for pose in (a, b))
        turned = wrapped(second - first)
        quarter = STEPS // 4
        for name, steps in zip(JOINTS, turned, strict=False):
            degrees = _degrees(steps)
            if abs(degrees - 90) > MOST_OFF:
                raise ValueError(
                    f"{name} turned by {degrees:.0f} degrees between the two poses; it must be 90, within "
                    f"{MOST_OFF:.0f}: hold both poses again"
                )
        travel = _degrees(turned[-1])
        if travel < LEAST_TRIGGER:
            raise ValueError(
                f"the trigger moved by {travel:.0f} degrees between the two poses; let it go in pose A, and "
                "squeeze it in pose B"
            )
        sign = np.sign(turned[:-1]) * SIGNS
        miss = turned[:-1] - quarter * np.sign(turned[:-1])  # shared by both poses
        return cls((first[:-1] + miss / 2) % STEPS, sign, (first[-1] + turned[-1], first[-1]))

    def joints(self, steps: Mapping[int, float]) -> np.ndarray:
        """Angles (5,) in rad of readings by id."""
        readings = np.array([steps[IDS[name]] for name in JOINTS])
        return self.sign * wrapped(readings - self.zero) * (2 * np.pi / STEPS)

    def gripper(self, steps: Mapping[int, float]) -> float:
        """The trigger as a gripper's opening: 0 squeezed, 1 let go."""
        closed, opened = self.trigger
        travel = wrapped(opened - closed)
        return float(np.clip(wrapped(steps[IDS["gripper"]] - closed) / travel, 0.0, 1.0))

    def readings(self, joints: np.ndarray, gripper: float) -> dict[int, int]:
        """Steps by id at angles (5,) in rad and an opening: what a leader there says."""
        angles = self.zero + self.sign * np.asarray(joints) * (STEPS / (2 * np.pi))
        closed, opened = self.trigger
        values = [*angles, closed + gripper * wrapped(opened - closed)]
        return {IDS[name]: round(value) % STEPS for name, value in zip(NAMES, values, strict=True)}

    def save(self, path: str | Path) -> None:
        """Write it: as a whole."""
        content = {
            "joints": {
                name: {"zero": float(zero), "sign": int(sign)}
                for name, zero, sign in zip(JOINTS, self.zero, self.sign, strict=True)
            },
            "trigger": {"squeezed": float(self.trigger[0]), "let go": float(self.trigger[1])},
        }
        with complete_file(path) as part:
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read it; ValueError, in one line, if there is none or it is none."""
        advice = f"make one: {command_line('mycobot_scripts/leader.py --calibrate')}"
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise ValueError(f"--leader_file is {path}, which is not there; {advice}") from None
        except (OSError, ValueError) as error:
            raise ValueError(f"--leader_file is {path}, which cannot be read ({error}); {advice}") from None
        try:
            parts = [content["joints"][name] for name in JOINTS]
            zero, sign = (np.array([float(part[key]) for part in parts]) for key in ("zero", "sign"))
            trigger = float(content["trigger"]["squeezed"]), float(content["trigger"]["let go"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ValueError(f"--leader_file is {path}, which is no leader's calibration; {advice}") from None
        if not np.isfinite([*zero, *trigger]).all() or not np.isin(sign, (-1, 1)).all():
            raise ValueError(f"--leader_file is {path}, which has numbers that make no sense; {advice}")
        travel = _degrees(trigger[1] - trigger[0])
        if travel < LEAST_TRIGGER:
            raise ValueError(
                f"--leader_file is {path}, whose trigger moves by {travel:.0f} degrees; it must be at least "
                f"{LEAST_TRIGGER:.0f}; {advice}"
            )
        return cls(zero, sign, trigger)
