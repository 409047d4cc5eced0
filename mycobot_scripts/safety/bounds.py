"""Where the arm may be: its tool point in a box, all of it above the table, and no part inside another."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mycobot_scripts.kinematics import JOINTS, frames
from mycobot_scripts.safety.limits import Limits
from mycobot_scripts.safety.outline import FINGERS, PAIRS, PARTS, RADII, gaps, outline

APART = 0.005  # m between any two parts of the arm
REACH = 0.02  # m; how much nearer to the table than the rest of the arm some parts may come
FOOT = 0.1  # m from the arm's axis: a side of the box that is nearer, or beyond it, binds the tool point only
_SLIDES, _EDGE, _NUDGE = 3, 0.001, 1e-4  # iterations towards the nearest tool point that is allowed; m, rad
_REACHING = (*FINGERS, "grip", "camera")  # parts around the tool point, or mounted by the user
_STANDING = (
    "base",
    "shoulder",
    "upper arm",
)  # free of the table, which may be higher than the foot
_BONES = {"elbow": 3, "wrist": 4, "hand": 5, "flange": 6}  # joints that keep inside the box's sides too


class Bounds:
    """The limits on where the arm may be; of each it can say how far outside the arm is.

    Args:
        limits: what is allowed.
    """

    def __init__(self, limits: Limits) -> None:
        self._tool_length, bottom = limits.tool_length, limits.table_height
        low = np.array([limits.box_x[0], limits.box_y[0], bottom + limits.clearance])
        high = np.array([limits.box_x[1], limits.box_y[1], bottom + limits.max_height])
        self._sides = np.concatenate([-low, high])  # (6,); p is inside where [-p, p] is at most that
        self._bone_sides = np.flatnonzero(self._sides >= [FOOT, FOOT, np.inf, FOOT, FOOT, -np.inf])
        self._moving = np.flatnonzero([part not in _STANDING for part in PARTS])
        reach = REACH * np.isin(np.array(PARTS)[self._moving], _REACHING)
        self._floors = low[2] - reach + RADII[self._moving]
        self._names = list(self._name_all(low, high))  # (side, words) of each limit

    @property
    def count(self) -> int:
        """How many limits there are."""
        return len(self._names)

    def _name_all(self, low: np.ndarray, high: np.ndarray) -> Iterable[tuple[str, str]]:
        sides = [
            *((f"{axis} < {value:.3f} (--box_{axis})") for axis, value in zip("xy", low[:2], strict=True)),
            f"z < {low[2]:.3f} (--table_height and --clearance)",
            *((f"{axis} > {value:.3f} (--box_{axis})") for axis, value in zip("xy", high[:2], strict=True)),
            f"z > {high[2]:.3f} (--table_height and --max_height)",
        ]
        for n, side in enumerate(sides):
            yield "table" if n == 2 else "box", f"the tool point is {{}} mm outside, at {side}"
        for bone in _BONES:
            for side in self._bone_sides:
                yield "box", f"the {bone} is {{}} mm outside the box, at {sides[side]}"
        for i in self._moving:
            yield (
                "table",
                f"the {PARTS[i]} is {{}} mm too low above the table (--table_height and --clearance)",
            )
        for one, other in PAIRS:
            yield "itself", f"the {PARTS[one]} is {{}} mm too near to the {PARTS[other]}"

    def excess(self, joints: np.ndarray, opening: float) -> np.ndarray:
        """How far (m) the arm at joints (n, 6) in rad is outside each limit (n, limits); inside: below 0.

        The gripper is open to `opening` (0 to 1), or less.
        """
        arm = outline(joints, opening)
        tool = arm.joints[:, -1] + self._tool_length * arm.ahead
        bones = arm.joints.take(list(_BONES.values()), 1)
        both = (np.concatenate([-bones, bones], axis=-1) - self._sides).take(self._bone_sides, 2)
        lowest = np.minimum(arm.ends[:, :, 0, 2], arm.ends[:, :, 1, 2]).take(self._moving, 1)
        return np.concatenate(
            [
                np.concatenate([-tool, tool], axis=-1) - self._sides,
                both.reshape(len(tool), -1),
                self._floors - lowest,
                APART - gaps(arm.ends),
            ],
            axis=1,
        )

    @staticmethod
    def is_of_tool(excess: np.ndarray) -> bool:
        """Whether the tool point is outside its box, from the excess over each limit (limits,)."""
        return bool(excess[:6].max() > 0)

    def slide(self, joints: np.ndarray) -> np.ndarray:
        """Nearby joints (6,) whose tool point is at the nearest place in the box: damped least squares."""
        low, high = _EDGE - self._sides[:3], self._sides[3:] - _EDGE
        for _ in range(_SLIDES):
            nearby = self._tool_points(joints + np.vstack([np.zeros(JOINTS), _NUDGE * np.eye(JOINTS)]))
            error = np.clip(nearby[0], low, high) - nearby[0]
            jacobian = (nearby[1:] - nearby[0]).T / _NUDGE  # (3, 6) m/rad
            joints = joints + jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-4 * np.eye(3), error)
        return joints

    def _tool_points(self, joints: np.ndarray) -> np.ndarray:
        positions, rotations = frames(joints)
        return positions[:, -1] + self._tool_length * rotations[:, -1, :, 2]

    def worst(self, excess: np.ndarray, besides: str = "") -> tuple[float, str, str]:
        """The largest excess (m) of all limits (limits,), its side (table, box, itself), and a sentence.

        Limits of the side `besides` do not count.
        """
        counts = [side != besides for side, _ in self._names]
        n = int(np.where(counts, excess, -np.inf).argmax())
        side, words = self._names[n]
        return float(excess[n]), side, words.format(f"{1000 * excess[n]:.0f}")
