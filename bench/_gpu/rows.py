"""The rows of bench/gpu.py: one JSON object each, kept, written as they come, and shown as one table.

A row has its `section`, `what` was measured, and values by name; or `error`, or why it was `skipped`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

COLUMNS = {  # of the table: the value, how it is written
    "ms": "{:.2f}",
    "samples/s": "{:.0f}",
    "TFLOP/s": "{:.0f}",
    "of peak": "{:.0%}",
    "GB": "{:.1f}",
}
HEADER = ("section", "what", *COLUMNS, "more")
TEXT = (0, 1, len(HEADER) - 1)  # columns that are text
WIDEST = 100  # characters of the last column; the JSON lines have all


def rounded(value: Any) -> Any:
    """A value as a JSON line has it: numbers with four digits; those that are none as text."""
    if isinstance(value, Mapping):
        return {str(name): rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else str(value)
    return value


class Rows(list):
    """All rows so far; each is printed as a JSON line, and written to a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path

    def add(self, section: str, what: str, **values: Any) -> None:
        """Take a row."""
        row = {"section": section, "what": what, **rounded(values)}
        self.append(row)
        line = json.dumps(row)
        print(line, flush=True)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def failures(self) -> list[Row]:
        """Those that went wrong."""
        return [row for row in self if "error" in row]


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row as the table shows it; what went wrong comes first in its last column."""
    rest = {name: v for name, v in row.items() if name not in ("section", "what", "error", *COLUMNS)}
    numbers = [form.format(row[name]) if name in row else "" for name, form in COLUMNS.items()]
    parts = [f"FAILED: {row['error']}"] if "error" in row else []
    parts += [f"{name} {_short(value)}" for name, value in rest.items()]
    more = ", ".join(parts).replace("|", "/")
    return [row["section"], row["what"], *numbers, more if len(more) <= WIDEST else f"{more[:WIDEST]}..."]


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_short(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(_short, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
