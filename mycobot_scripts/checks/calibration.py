"""The table's height and the finger tip's offset, from poses in which the tip touches something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mycobot_scripts.kinematics import forward, tool_point

MIN_TILT = np.radians(25)  # rad, between two touches of one point: less gives no length
GOOD_FIT, GOOD_LENGTH = 0.004, 0.008  # m; the arm's own play is 2 mm at its tip


@dataclass(frozen=True)
class Tip:
    """The tip, from touching one point in several poses."""

    length: float  # m from the flange to the tip
    point: np.ndarray  # (3,) m, the point that was touched, base frame
    residual: float  # m, root mean square: how far the poses are from touching one point
    uncertainty: float  # m, standard error of the length

    @property
    def is_good(self) -> bool:
        return self.residual <= GOOD_FIT and self.uncertainty <= GOOD_LENGTH and 0.02 <= self.length <= 0.4


def fit_tip(poses: Sequence[np.ndarray]) -> Tip:
    """The tip's distance ahead of the flange, from joints (6,) in rad of poses that touch one point with it.

    Least squares: flange + length * its z axis is the same point in every pose. ValueError if the poses are
    fewer than 3, or lean too little against each other.
    """
    if len(poses) < 3:
        raise ValueError(f"{len(poses)} poses touch the point; at least 3 are needed")
    flanges = [forward(joints) for joints in poses]
    axes = np.array([rotation[:, 2] for _, rotation in flanges])  # (n, 3)
    positions = np.array([position for position, _ in flanges])
    tilt = np.arccos(np.clip(axes @ axes.T, -1, 1)).max()
    if tilt < MIN_TILT:
        raise ValueError(
            f"the gripper leaned by {np.degrees(tilt):.0f} degrees between the touches; lean it by at least "
            f"{np.degrees(MIN_TILT):.0f}, to different sides"
        )
    n = len(poses)
    left = np.concatenate([axes.reshape(3 * n, 1), -np.tile(np.eye(3), (n, 1))], axis=1)
    solution, *_ = np.linalg.lstsq(left, -positions.ravel(), rcond=None)
    error = left @ solution + positions.ravel()
    variance = (error**2).sum() / (3 * n - 4)
    uncertainty = np.sqrt(variance * np.linalg.inv(left.T @ left)[0, 0])
    residual = np.sqrt((error**2).sum() / n)
    return Tip(float(solution[0]), solution[1:], float(residual), float(uncertainty))


def table_height(poses: Sequence[np.ndarray], tool_length: float) -> tuple[float, float]:
    """Height (m) above the arm's foot of a table that the tip touches at joints (6,), and how far apart the
    touches are (m): by a table that is not level, or a wrong `tool_length` (m).
    """
    heights = [float(tool_point(joints, tool_length)[2]) for joints in poses]
    return float(np.median(heights)), max(heights) - min(heights)
