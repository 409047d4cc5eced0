"""What readers of HDF5 files share: find the files, and tell numbers from pictures in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from episodes import EpisodeError, children, listed, open_hdf5, read_numbers
from readers.base import labels
from readers.pictures import picture_form, why_left_out

SUFFIXES = (".hdf5", ".h5", ".hdf", ".he5")  # upper or lower case
MOST_COLUMNS = 1000  # of an array with one row a step


def hdf5_files(path: Path) -> list[Path]:
    """HDF5 files in a folder and the folders in it, by name, or the file itself."""
    if path.is_file():
        return [path] if path.suffix.lower() in SUFFIXES else []
    return sorted(each for each in path.rglob("*") if is_ours(path, each))


def is_ours(root: Path, path: Path) -> bool:
    """Whether a path below `root` is an HDF5 file that nobody hides and no cache of features."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and "features" not in path.name and path.is_file()


def demonstrations(root: Any) -> list[str]:
    """Names of robomimic's demonstrations in an open file, by number; none if it is another kind of file."""
    names = [name for name in children(root, "data") if name.startswith("demo")]
    return sorted(names, key=lambda name: (len(name), name))


def holds_demonstrations(files: Sequence[Path]) -> bool:
    """Whether the first of these files that can be opened is one of robomimic's."""
    for file in files:
        with suppress(EpisodeError, OSError), open_hdf5(file) as root:
            return bool(demonstrations(root))
    return False


def sorted_out(
    datasets: Mapping[str, Any], steps: int
) -> tuple[dict[str, tuple[str, ...]], list[str], list[str]]:
    """Columns of the arrays of numbers, names of the cameras, and what is left out and why."""
    numbers: dict[str, tuple[str, ...]] = {}
    cameras, left_out, other_rows = [], [], []
    for name, dataset in datasets.items():
        shape, dtype = dataset.shape, dataset.dtype
        if not shape:
            continue  # a single value
        form = picture_form(name, dtype, shape)
        if form and shape[0] == steps:
            why = why_left_out(name, dtype, shape)
            if why:
                left_out.append(f"{name}, {dtype} {shape[1:]} a step: {why}")
            else:
                cameras.append(name)
        elif shape[0] == steps and len(shape) <= 2 and dtype.kind in "biuf":
            width = 1 if len(shape) == 1 else shape[1]
            if 0 < width <= MOST_COLUMNS:
                numbers[name] = labels(width)
        elif shape[0] != steps:
            other_rows.append(name)
        else:
            left_out.append(f"{name}, {dtype} {shape[1:]} a step: neither numbers nor pictures")
    if other_rows:
        left_out.append(f"{listed(other_rows)}: not one row a step")
    return numbers, cameras, left_out


def no_pictures(name: str, datasets: Mapping[str, Any], steps: int) -> EpisodeError | None:
    """Why none of a recording's arrays of pictures can be read; None if it has none, but for depth."""
    reasons = []
    for each, dataset in datasets.items():
        shape, dtype = dataset.shape, dataset.dtype
        if not shape or not picture_form(each, dtype, shape):
            continue
        why = why_left_out(each, dtype, shape)
        if shape[0] != steps:
            why = why or f"{shape[0]} frames for {steps} steps"
        if not why:
            return None
        if "depth" not in why:
            reasons.append(f"{each}: {why}")
    return EpisodeError(f"{name} has no pictures that can be read ({listed(reasons)})") if reasons else None


def steps_of(datasets: Mapping[str, Any], names: Sequence[str]) -> int:
    """Rows of the first of these arrays that is there; 0 if none is."""
    return next((datasets[name].shape[0] for name in names if name in datasets and datasets[name].shape), 0)


def rows_of(dataset: Any, name: str) -> np.ndarray:
    """(T, d): a dataset of numbers."""
    rows = read_numbers(dataset, name)
    if not len(rows):
        raise EpisodeError(f"{name} has no rows")
    return rows.reshape(len(rows), -1)
