"""Units of other people's states and actions, and how their rows become ours: rad, and grippers in [0, 1].

Files do not give units. Unless flags say otherwise, joints are taken to be in the reader's unit.
Of entries named left_... and right_..., the left arm's come first in our episodes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from episodes import entries_of

UNITS = {"rad": 1.0, "deg": math.pi / 180, "mdeg": math.pi / 180_000}  # in rad
MOST_RADIANS, MOST_DEGREES, GRIPPER_SLACK = (
    10.0,
    400.0,
    0.5,
)  # beyond these, the assumed units are probably wrong
GRIPPERS = ("gripper", "claw", "finger")  # words in names
_TICKS = re.compile(r"ticks:(\d{1,9})")


@dataclass(frozen=True)
class Conversion:
    """How rows of states or actions are converted."""

    order: tuple[int, ...]  # of its entries
    grippers: tuple[int, ...]  # indices in the new order
    joint_unit: str
    gripper_range: tuple[float, float]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows (T, D) in the source's units to ours."""
        rows = rows[:, self.order]
        closed, opened = self.gripper_range
        factors = np.full(len(self.order), radians_in(self.joint_unit))
        zeros = np.zeros_like(factors)
        factors[list(self.grippers)], zeros[list(self.grippers)] = 1 / (opened - closed), closed
        return (rows - zeros) * factors  # (x - 0) * 1 is x, to the bit

    def rates(self, rows: np.ndarray) -> np.ndarray:
        """Velocities (T, D): as positions, but without the shift of zero."""
        return self(rows) - self(np.zeros_like(rows))


def radians_in(unit: str) -> float:
    """A unit of joints in rad; ValueError if there is no such unit. `ticks:N`: N ticks are a whole turn."""
    ticks = _TICKS.fullmatch(unit)
    if ticks and int(ticks[1]):
        return 2 * math.pi / int(ticks[1])
    if unit in UNITS:
        return UNITS[unit]
    raise ValueError(
        f"--joint_unit is {unit!r}; choose from {', '.join(UNITS)} (thousandths of a degree), or ticks:N, "
        "such as ticks:4096, for an encoder of N ticks a turn"
    )


def is_gripper(name: str) -> bool:
    """Whether an entry's name is that of a gripper."""
    return any(word in name.lower() for word in GRIPPERS)


def conversion(
    names: Sequence[str], task: str, joint_unit: str, gripper_range: tuple[float, float]
) -> Conversion:
    """How a state or an action is converted, by the names of its entries.

    Where no name says gripper, the grippers are the task's, or the seventh of each arm of seven.
    """
    order = list(range(len(names)))
    if all(name.lower().startswith(("left", "right")) for name in names):
        order.sort(key=lambda i: not names[i].lower().startswith("left"))
    if any(map(is_gripper, names)):
        grippers = [place for place, i in enumerate(order) if is_gripper(names[i])]
    else:
        grippers = [i for i, entry in enumerate(entries_of(task, len(names))) if entry.is_gripper]
    return Conversion(tuple(order), tuple(grippers), joint_unit, gripper_range)


def unit_note(qpos: np.ndarray, convert: Conversion) -> str:
    """A line if the states (T, D) are hardly in the assumed units, else ""; joints come before grippers."""
    grippers = list(convert.grippers)
    joints = np.abs(np.delete(qpos, grippers, axis=1))
    if joints.size and joints.max() > MOST_RADIANS:
        if convert.joint_unit == "rad" and joints.max() <= MOST_DEGREES:
            return (
                "note: joints beyond 10 rad: they are probably in degrees; import again with --joint_unit deg"
            )
        return (
            "note: joints beyond 10 rad: import again with another --joint_unit; --dry_run shows the columns"
        )
    opening = qpos[:, grippers]
    if opening.size and (opening.min() < -GRIPPER_SLACK or opening.max() > 1 + GRIPPER_SLACK):
        return "note: grippers far outside [0, 1]; import again with --gripper_range CLOSED OPEN"
    return ""
