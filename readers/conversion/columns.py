"""A table of what recordings hold, column by column, so that a person can decide on units and grippers.

Files do not give units. What a column looks like is told by its values, or with its name, and is said as a
guess: nothing is converted by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from readers.base import BROKEN, Reader, Recording
from readers.conversion.layout import Layout
from readers.conversion.units import Conversion, is_gripper

MOST_RECORDINGS = 20  # that are looked at, spread over all
MOST_COLUMNS = 32  # of an array that is not used
STILL = 1e-6  # range of a column that never moves, relative to its values
ANGLES = 2 * math.pi + 0.3  # rad that a joint may have
TURN = 360.0 + 20  # degrees
MOST_SHARE = 106.0  # that LeRobot may write, which calls the range of a joint -100 to 100
TICKS = 4096  # a turn of the usual encoders
LEAST_TICKS = 400  # below, whole numbers may be degrees or shares
SLACK = 0.1  # of a gripper beyond its range, relative


@dataclass(frozen=True)
class Kind:
    """What a column looks like."""

    text: str
    unit: str = ""  # of --joint_unit, if it is a joint's


CONSTANT = Kind("constant")
RADIANS, DEGREES = Kind("rad, or m", "rad"), Kind("degrees, or shares of -100 to 100", "deg")
ENCODER, THOUSANDTHS = Kind(f"encoder ticks, {TICKS} a turn", f"ticks:{TICKS}"), Kind("1/1000 degree", "mdeg")


def kind_of(name: str, values: np.ndarray) -> Kind:
    """What a column (T,) looks like."""
    if not np.isfinite(values).all():
        return Kind("holds values that are no numbers")
    least, most = float(values.min()), float(values.max())
    if most - least <= STILL * max(1.0, abs(least), abs(most)):
        return CONSTANT
    size = max(abs(least), abs(most))
    is_whole = bool((values == np.rint(values)).all())
    if len(np.unique(values[:: max(1, len(values) // 10_000)])) == 2:
        return Kind("two values: open and closed?")
    if is_gripper(name):
        return _of_gripper(least, most)
    if is_whole and size > LEAST_TICKS:
        return ENCODER if least >= -TICKS and most <= 2 * TICKS else Kind("whole numbers: steps of a motor?")
    if is_whole and least >= 0 and 100 < most <= 255:
        return Kind("whole numbers up to 255: a hand?")
    if size <= ANGLES:
        return RADIANS
    if size <= TURN:
        return DEGREES
    return THOUSANDTHS if size <= 1000 * TURN else Kind("unknown")


def _of_gripper(least: float, most: float) -> Kind:
    for top, text in ((0.15, "gripper in m?"), (1.0, "gripper, 0 to 1"), (100.0, "gripper, 0 to 100")):
        if -SLACK * top <= least and most <= (1 + SLACK) * top:
            return Kind(text)
    return Kind("gripper, per mille" if least >= -100 and most <= 1100 else "gripper in ticks?")


def likely_unit(names: Sequence[str], rows: np.ndarray) -> str:
    """The unit that most of the moving joints of rows (T, D) look like; "" if none does."""
    units = [kind_of(name, rows[:, i]).unit for i, name in enumerate(names)]
    # of joints in degrees, some may stay so near to zero that they could be radians
    return max(set(filter(None, units)), key=lambda unit: (unit != "rad", units.count(unit)), default="")


def column_table(
    reader: Reader,
    recordings: Sequence[Recording],
    layouts: Mapping[str, Layout],
    convert: Conversion,
    fps: int,
) -> list[str]:
    """Lines: a table of all columns, and what it means for the flags.

    Args:
        reader: of the recordings.
        recordings: those that are whole.
        layouts: by their names.
        convert: how states will be converted.
        fps: steps a second.
    """
    places = np.unique(np.linspace(0, len(recordings) - 1, MOST_RECORDINGS).round().astype(int))
    some = [recordings[int(place)] for place in places]
    read = [numbers for one in some if (numbers := _numbers(reader, one, fps)) is not None]
    if not read:
        return []
    first, layout = some[0], layouts[some[0].name]
    lines = [f"columns, in {len(read)} of {len(recordings)} recordings; what they look like is a guess:"]
    rows = [("", "column", "least", "greatest", "a step", "looks like")]
    joined = {name: [one[name] for one in read if name in one] for name in first.numbers}
    used = [(role, part) for role in ("state", "action") for part in layout.roles.get(role, ())]
    taken = {name for _, (name, _) in used}
    used += [
        ("", (name, tuple(range(len(columns)))))
        for name, columns in first.numbers.items()
        if name not in taken and len(columns) <= MOST_COLUMNS
    ]
    for role, (name, columns) in used:
        parts = [part[:, columns] for part in joined[name] if part.shape[1] == len(first.numbers[name])]
        names = [first.numbers[name][i] for i in columns]
        rows += _rows(role or "-", name, names, parts)
    lines += _aligned(rows)
    return lines + _proposal(layout.names("state", first), layout, read, convert)


def _numbers(reader: Reader, recording: Recording, fps: int) -> dict[str, np.ndarray] | None:
    """A recording's arrays of numbers; None if it is damaged, which is said when it is brought in."""
    try:
        numbers = reader.read(recording, (), fps).numbers
    except BROKEN:
        return None
    plain = {name: rows for name, rows in numbers.items() if rows.dtype.kind in "biuf" and rows.size}
    return {name: rows.astype(float).reshape(len(rows), -1) for name, rows in plain.items()}


def _rows(role: str, array: str, names: Sequence[str], parts: Sequence[np.ndarray]) -> list[tuple[str, ...]]:
    if not parts:
        return []
    values = np.concatenate(parts)
    moves = [np.abs(np.diff(part, axis=0)) for part in parts if len(part) > 1]
    typical = np.median(np.concatenate(moves), axis=0) if moves else np.zeros(len(names))
    return [
        (
            role,
            f"{array}.{name}",
            *(f"{number:.4g}" for number in (values[:, i].min(), values[:, i].max(), typical[i])),
            kind_of(f"{array}.{name}", values[:, i]).text,
        )
        for i, name in enumerate(names)
    ]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    is_number = [False, False, True, True, True, False]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in rows
    ]


def _proposal(
    names: Sequence[str], layout: Layout, read: Sequence[Mapping[str, np.ndarray]], convert: Conversion
) -> list[str]:
    """Lines if joints or grippers look like other units than the assumed ones."""
    needed = [name for name, _ in layout.roles["state"]]
    states = [layout.rows("state", one) for one in read if all(name in one for name in needed)]
    if not states:
        return []
    rows = np.concatenate(states)
    grippers = {convert.order[i] for i in convert.grippers}
    lines = []
    opening = rows[:, sorted(grippers)]
    if opening.size and convert.gripper_range == (0.0, 1.0) and 1.5 < opening.max() <= 1100:
        top = 100 if opening.max() <= 110 else 1000
        lines.append(f"grippers look like 0 to {top}: if so, --gripper_range 0 {top} (closed, open)")
    joints = [i for i in range(len(names)) if i not in grippers]
    unit = likely_unit([names[i] for i in joints], rows[:, joints])
    if unit == "deg" and np.abs(rows[:, joints]).max() <= MOST_SHARE and convert.joint_unit == "rad":
        lines.append(
            "joints look like degrees, or like LeRobot's shares of -100 to 100 of their range, which no unit "
            "turns into rad; if degrees: --joint_unit deg"
        )
    elif unit not in ("", convert.joint_unit):
        lines.append(f"joints look like {unit}, not {convert.joint_unit}: if so, --joint_unit {unit}")
    return lines
