"""The rows of an episode in a LeRobot data file, also where columns that number them are missing or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from episodes import EpisodeError
from readers.base import one_line
from readers.lerobot import lerobot_format as lerobot
from readers.lerobot.index import LeRobotEpisode

NUMBER, ROW, TIME = "episode_index", "frame_index", "timestamp"


@dataclass(frozen=True)
class Rows:
    """Rows of an episode, in their order."""

    table: Any  # of pyarrow
    times: np.ndarray | None  # (T,) s, that rise; None if the table has none
    notes: list[str]

    def __len__(self) -> int:
        return len(self.table)

    def has(self, name: str) -> bool:
        return name in self.table.column_names

    def numbers(self, name: str) -> np.ndarray:
        """A column as (T, D), however its lists are nested; EpisodeError if it has none, or no numbers."""
        if not self.has(name):
            raise EpisodeError(f"the table of the episode has no column {name}; others have")
        return _array(self.table[name], name)


def read_rows(entry: LeRobotEpisode, names: Sequence[str], first: int) -> Rows:
    """Rows of an episode.

    Args:
        entry: which.
        names: columns to read, besides those that number rows; those that are not there are left out.
        first: the first row of its data file, in the whole dataset.

    Raises:
        EpisodeError: the file cannot be read, or has fewer or more rows of the episode than it must.
    """
    _, arrow = lerobot.import_packages()
    notes: list[str] = []
    try:
        schema = arrow.parquet.read_schema(entry.data)
        wanted = [
            name for name in dict.fromkeys((*names, NUMBER, ROW, TIME, "index")) if name in schema.names
        ]
        is_plain = NUMBER in schema.names and arrow.types.is_integer(schema.field(NUMBER).type)
        condition = [(NUMBER, "=", entry.index)] if is_plain and not entry.is_alone else None
        table = arrow.parquet.read_table(entry.data, columns=wanted, filters=condition)
    except (arrow.ArrowException, OSError) as error:
        raise EpisodeError(f"{entry.data} is no Parquet file that can be read ({one_line(error)})") from error
    if condition is None:
        table = _own(table, entry, first, notes)
    if not len(table) or len(table) != (entry.length or len(table)):
        raise EpisodeError(
            f"{entry.data} has {len(table)} steps of episode {entry.index}; it must have "
            f"{entry.length or 'some'}"
        )
    table = _in_order(table, notes)
    return Rows(table, _times(table, notes), notes)


def rows_in(path: Path) -> int:
    """How many rows a data file has; 0 if it cannot be read."""
    _, arrow = lerobot.import_packages()
    try:
        return arrow.parquet.read_metadata(path).num_rows
    except (arrow.ArrowException, OSError):
        return 0


def _own(table: Any, entry: LeRobotEpisode, first: int, notes: list[str]) -> Any:
    """The rows of an episode, by the number in each, else by the file, or by their places."""
    _, arrow = lerobot.import_packages()
    numbers = _column(table, NUMBER)
    if numbers is not None:
        own = numbers == entry.index
        if own.any() or not entry.is_alone or len(set(numbers.tolist())) > 1:
            return table.filter(arrow.array(own))
        notes.append(f"the column {NUMBER} does not have the number in the file's name, which counts")
        return table
    if entry.is_alone or entry.rows is None:
        return table if entry.is_alone or entry.length else table.slice(0, 0)
    index = _column(table, "index")
    start, stop = entry.rows
    if index is not None:
        return table.filter(arrow.array((index >= start) & (index < stop)))
    notes.append(f"the tables have no {NUMBER}: rows are taken by their places")
    return table.slice(max(0, start - first), stop - start)


def _in_order(table: Any, notes: list[str]) -> Any:
    steps = _column(table, ROW)
    if steps is None:
        return table
    if (np.diff(steps) < 0).any():
        order = np.argsort(steps, kind="stable")
        _, arrow = lerobot.import_packages()
        table, steps = table.take(arrow.array(order)), steps[order]
    if (np.diff(steps) != 1).any():
        notes.append(f"{ROW} has gaps or says a number twice; the rows are taken as they are")
    return table


def _times(table: Any, notes: list[str]) -> np.ndarray | None:
    times = _column(table, TIME)
    if times is None:
        return None
    times = times.astype(float)
    if np.isfinite(times).all() and (np.diff(times) > 0).all():
        return times
    notes.append(f"{TIME} does not rise from row to row, and is not used")
    return None


def _column(table: Any, name: str) -> np.ndarray | None:
    """A column of one number a row, (T,); None if there is none."""
    if name not in table.column_names or not len(table):
        return None
    try:
        rows = _array(table[name], name)
    except EpisodeError:
        return None
    return rows[:, 0] if rows.shape[1] == 1 and rows.dtype.kind in "iuf" else None


def _array(column: Any, name: str) -> np.ndarray:
    """(T, D) of a column, whose rows are numbers or lists of them, however nested."""
    _, arrow = lerobot.import_packages()
    import pyarrow.compute as compute

    rows, values = len(column), column.combine_chunks()
    if isinstance(values, arrow.ChunkedArray):
        values = values.chunk(0) if values.num_chunks else arrow.array([])
    types = arrow.types
    while (
        types.is_list(values.type)
        or types.is_large_list(values.type)
        or types.is_fixed_size_list(values.type)
    ):
        if (
            not types.is_fixed_size_list(values.type)
            and len(compute.unique(compute.list_value_length(values))) > 1
        ):
            raise EpisodeError(f"{name} has rows of different lengths")
        if values.null_count:
            raise EpisodeError(f"{name} has empty rows")
        values = values.flatten()
    kind = values.type
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise EpisodeError(f"{name} holds {kind}; it must hold numbers")
    numbers = values.to_numpy(zero_copy_only=False)
    if numbers.dtype == object:
        raise EpisodeError(f"{name} has empty values")
    if not rows or len(numbers) % rows:
        raise EpisodeError(f"{name} has {len(numbers)} values in {rows} rows")
    return numbers.reshape(rows, -1)
