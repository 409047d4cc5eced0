"""Between our units (rad, gripper in [0 closed, 1 open]) and the arm's (degrees, gripper 0 to 100).

On the wire an angle is a whole number of hundredths of a degree, and a gripper a whole number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

JOINTS = 6
# degrees; what pymycobot accepts
ANGLE_MIN = (-168.0, -135.0, -145.0, -145.0, -168.0, -180.0)
ANGLE_MAX = (168.0, 135.0, 145.0, 145.0, 168.0, 180.0)


def to_degrees(qpos: np.ndarray) -> tuple[list[float], int]:
    """State or target (7,) as pymycobot takes it: six angles (degrees), and the gripper (0 to 100).

    pymycobot sends `int(100 * angle)`: 0.29 as 28. These angles arrive unchanged.
    """
    return [_survives(n) for n in _hundredths(qpos)], round(float(np.clip(qpos[JOINTS], 0, 1)) * 100)


def to_state(degrees: Sequence[float], gripper: float) -> np.ndarray:
    """State (7,) of six angles (degrees) and a gripper (0 to 100)."""
    return np.append(np.radians(np.asarray(degrees, dtype=float)), gripper / 100)


def on_the_wire(qpos: np.ndarray) -> np.ndarray:
    """State or target (7,), rounded to what the wire carries."""
    return to_state([n / 100 for n in _hundredths(qpos)], round(float(np.clip(qpos[JOINTS], 0, 1)) * 100))


def _hundredths(qpos: np.ndarray) -> list[int]:
    return [round(angle * 100) for angle in np.degrees(qpos[:JOINTS]).tolist()]


def _survives(hundredths: int) -> float:
    """The float nearest to so many hundredths of a degree that pymycobot's truncation leaves alone."""
    angle = hundredths / 100
    while int(angle * 100) != hundredths:
        angle = math.nextafter(angle, math.copysign(math.inf, angle))
    return angle
