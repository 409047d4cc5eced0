"""Files of starts: where the props of the episodes to come are to be put, which a person can read and edit.

    {"task": "sim_transfer_cube_scripted", "starts": [{"red_box": [0.1, 0.5, 0.05]}, ...]}

A prop has x, y and z (m), and its turn about the vertical (degrees) where it is turned. By a third entry,
`check`, a file is known that a person edited: it is kept when new starts are written.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from common import complete_file
from tasks.schema import Task
from tasks.starts.sampling import ROUNDING, nearest_case, pose_of

DIGITS = 5  # of m and degrees; as fine as a case's area is told
FORM = '{"task": NAME, "starts": [{PROP: [x, y, z], ...}, ...]}'


def write_starts(path: Path, task: Task | None, names: Sequence[str], starts: Sequence[np.ndarray]) -> None:
    """Write starts (P * 7,) of props of these names; whole or not at all. A file that was edited is kept."""
    rows = [dict(zip(names, map(_numbers, start.reshape(-1, 7)), strict=True)) for start in starts]
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    _keep_edited(path)
    with complete_file(path) as part:
        name = json.dumps(task.name if task else "")
        text = f'{{"task": {name}, "starts": [\n{lines}\n], "check": {_check(rows)}}}\n'
        part.write_text(text, encoding="utf-8")


def _check(rows: Any) -> int:
    return zlib.crc32(json.dumps(rows).encode())


def _keep_edited(path: Path) -> None:
    """Move a file of starts aside, with a line that says so, unless it is as it was written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["check"] == _check(content["starts"]):
            return
    except FileNotFoundError:
        return
    except (ValueError, RecursionError, KeyError, TypeError):
        pass  # by hand, or by an older version
    names = (path.with_name(f"{path.stem}_{number}{path.suffix}") for number in count(1))
    kept = next(name for name in names if not name.exists())
    path.rename(kept)
    print(f"note: {path} was edited; it is kept as {kept}")


def _numbers(pose: np.ndarray) -> list[float]:
    """A pose (7,) as numbers of a file."""
    yaw = math.degrees(2 * math.atan2(pose[6], pose[3]))
    return [round(float(value), DIGITS) for value in (*pose[:3], *([yaw] if abs(yaw) > ROUNDING else []))]


def read_starts(path: str | Path, task: Task) -> list[np.ndarray]:
    """The starts (P * 7,) in a file; FileNotFoundError, or ValueError, with the entry, if they are not of the
    task or its area.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file of starts {path}; report.py --coverage writes one")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no file of starts ({error}); the form is {FORM}") from None
    rows = content.get("starts") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} holds no starts; the form is {FORM}")
    if content.get("task") not in (None, "", task.name):
        raise ValueError(f"{path} has starts of {content['task']!r}, not of {task.name}")
    return [_start(f"{path}: start {number}", row, task) for number, row in enumerate(rows, start=1)]


def _start(source: str, row: dict[str, Any], task: Task) -> np.ndarray:
    names = [prop.name for prop in task.props]
    if sorted(row) != sorted(names):
        raise ValueError(f"{source} has {', '.join(row) or 'nothing'}; {task.name} has {', '.join(names)}")
    for name, numbers in row.items():
        if not isinstance(numbers, list) or len(numbers) not in (3, 4) or not all(map(_is_number, numbers)):
            raise ValueError(f"{source}: {name} is {numbers!r:.60}; give x, y, z in m, and degrees if turned")
    start = np.concatenate([pose_of(row[name][:3], *row[name][3:]) for name in names])
    case, distance = nearest_case(task, start)
    if distance > ROUNDING:
        which = f" in the case {task.cases[case].label!r}" if task.cases else ""
        raise ValueError(f"{source} is {1000 * distance:.1f} mm outside of where {task.name} starts{which}")
    return start


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
