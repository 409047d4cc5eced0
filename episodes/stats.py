"""Statistics of states and actions, for scaling; computed once and kept beside the episodes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common import complete_file, file_identity
from episodes.episode import Episode, whole_action
from episodes.errors import check_widths
from episodes.hdf5 import widths

FORMAT_VERSION = 1
FILE_NAME = "dataset_stats.json"
MIN_STD = 1e-2  # rad; a joint that hardly moves must not be blown up (ACT: utils.py)


@dataclass(frozen=True)
class Moments:
    """Number of rows (n, D); and mean, variance, least and greatest of each column."""

    count: int
    mean: np.ndarray  # (D,) float64, as are the others
    var: np.ndarray
    min: np.ndarray
    max: np.ndarray

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> Moments:
        """The moments over all rows of all arrays."""
        rows = np.concatenate(arrays).astype(np.float64)
        return cls(len(rows), rows.mean(axis=0), rows.var(axis=0), rows.min(axis=0), rows.max(axis=0))

    @classmethod
    def pooled(cls, parts: Sequence[Moments]) -> Moments:
        """The moments over the rows of all parts."""
        counts, means, variances = (
            np.array([getattr(p, n) for p in parts]) for n in ("count", "mean", "var")
        )
        shares = counts / counts.sum()
        mean = shares @ means
        return cls(
            count=int(counts.sum()),
            mean=mean,
            var=shares @ (variances + (means - mean) ** 2),
            min=np.min([p.min for p in parts], axis=0),
            max=np.max([p.max for p in parts], axis=0),
        )


@dataclass(frozen=True)
class Stats:
    """Statistics of each entry of the state (D,) and action (A,), in robot units, float32.

    Dividing by `std` and by `max - min` is safe: if an entry hardly varies, `std` is MIN_STD, and `min` and
    `max` lie MIN_STD on either side of their middle.
    """

    qpos_mean: Tensor
    qpos_std: Tensor
    action_mean: Tensor
    action_std: Tensor
    qpos_min: Tensor
    qpos_max: Tensor
    action_min: Tensor
    action_max: Tensor

    @classmethod
    def of(cls, qpos: Sequence[np.ndarray], actions: Sequence[np.ndarray]) -> Stats:
        """Over all steps of all episodes, (T, D) and (T, A) each (ACT: utils.py, get_norm_stats)."""
        return cls.of_moments(Moments.of(qpos), Moments.of(actions))

    @classmethod
    def of_moments(cls, qpos: Moments, action: Moments) -> Stats:
        known = {}
        for name, moments in (("qpos", qpos), ("action", action)):
            middle = (moments.min + moments.max) / 2
            half = ((moments.max - moments.min) / 2).clip(MIN_STD)
            known[f"{name}_mean"] = moments.mean
            known[f"{name}_std"] = np.sqrt(moments.var).clip(MIN_STD)
            known[f"{name}_min"], known[f"{name}_max"] = middle - half, middle + half
        return cls.completed(known)

    @classmethod
    def completed(cls, known: Mapping[str, Any]) -> Stats:
        """From arrays or tensors by field name; ignores other names.

        A missing `min` or `max` is three standard deviations from the mean. (ACT's files and our first ones
        have neither; ACT++'s have those of the actions.)
        """
        known = {
            f.name: torch.as_tensor(known[f.name]).flatten().float() for f in fields(cls) if f.name in known
        }
        for name in ("qpos", "action"):
            mean, std = known[f"{name}_mean"], known[f"{name}_std"]
            known = {f"{name}_min": mean - 3 * std, f"{name}_max": mean + 3 * std, **known}
        return cls(**known)


def dataset_stats(datasets: Sequence[Sequence[Path]], loaded: Mapping[Path, Episode] | None = None) -> Stats:
    """Statistics over all steps of all episodes of some folders, each given as its files; those in `loaded`
    are not read again.

    A folder's moments are kept in its `dataset_stats.json`, and computed anew only if a file was added,
    removed or changed, or each time if the folder cannot be written to.

    Raises:
        EpisodeError: a file is damaged, or its dimensions differ from the first's.
    """
    parts = [_folder_moments(paths, loaded or {}) for paths in datasets]
    for name in ("qpos", "action"):
        widths = [len(part[name].mean) for part in parts]
        check_widths(name, [paths[0] for paths in datasets], widths)
    pooled = {name: Moments.pooled([part[name] for part in parts]) for name in ("qpos", "action")}
    return Stats.of_moments(**pooled)


def is_kept(paths: Sequence[Path]) -> bool:
    """Whether the statistics of a folder's files are in its `dataset_stats.json`."""
    return _kept_moments(paths[0].parent / FILE_NAME, _identity(paths), paths[0]) is not None


def _identity(paths: Sequence[Path]) -> dict[str, Any]:
    return {"format_version": FORMAT_VERSION, "files": {p.name: list(file_identity(p)) for p in paths}}


def _folder_moments(paths: Sequence[Path], loaded: Mapping[Path, Episode]) -> dict[str, Moments]:
    """Moments of qpos and action, from the folder's file if it belongs to these episodes."""
    cache, identity = paths[0].parent / FILE_NAME, _identity(paths)
    kept = _kept_moments(cache, identity, paths[0])
    if kept is not None:
        return kept
    episodes = [loaded[path] if path in loaded else Episode.load(path, cameras=()) for path in paths]
    moments = {}
    for name, arrays in (
        ("qpos", [episode.qpos for episode in episodes]),
        ("action", [whole_action(episode) for episode in episodes]),
    ):
        check_widths(name, paths, [array.shape[1] for array in arrays])
        moments[name] = Moments.of(arrays)
    content = {**identity, **{name: _to_plain(value) for name, value in moments.items()}}
    with contextlib.suppress(OSError), complete_file(cache) as part:  # e.g. a folder that is read only
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return moments


def _to_plain(moments: Moments) -> dict[str, Any]:
    return {f.name: np.asarray(getattr(moments, f.name)).tolist() for f in fields(Moments)}


def _kept_moments(cache: Path, identity: dict[str, Any], first: Path) -> dict[str, Moments] | None:
    """The moments in the folder's file; None if it is missing, damaged, or for other episodes.

    Args:
        cache: the file.
        identity: of the episodes.
        first: one of them, for the widths of states and actions.
    """
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        content = json.loads(cache.read_text(encoding="utf-8"))
        if {name: content[name] for name in identity} == identity:
            dims = dict(zip(("qpos", "action"), widths(first), strict=True))
            return {name: _from_plain(content[name], dim) for name, dim in dims.items()}
    return None


def _from_plain(values: dict[str, Any], dim: int) -> Moments:
    """Moments of rows of `dim` entries; ValueError for impossible values."""
    arrays = {f.name: np.array(values[f.name]) for f in fields(Moments)}
    count = arrays.pop("count")
    for name, array in arrays.items():
        if array.shape != (dim,) or array.dtype.kind not in "if" or not np.isfinite(array).all():
            raise ValueError(f"{name} must be {dim} finite numbers")
    if count.shape or count.dtype.kind != "i" or count < 1:
        raise ValueError("count must be a whole number, 1 or more")
    mean, var, low, high = (arrays[name].astype(np.float64) for name in ("mean", "var", "min", "max"))
    slack = 1e-9 * (1 + np.abs(low) + np.abs(high))  # of rounding
    widest = ((high - low) / 2) ** 2 + slack  # variance if half the rows are the least, half the greatest
    if (low > mean + slack).any() or (mean > high + slack).any() or (var < 0).any() or (var > widest).any():
        raise ValueError("min <= mean <= max, and a variance that fits them, are needed")
    return Moments(int(count), mean, var, low, high)
