"""Folders of episodes to train on: how often samples come from each, and which episodes validate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from episodes.folders import list_episodes, source_name
from episodes.hdf5 import read_header

MIRRORED = "mirror"  # in the name of a folder or file of mirrored episodes (ACT++: utils.py)
MANY = 1 / 3  # of a folder's episodes: what so many were made of does not validate, as they would be left out


def list_datasets(
    dataset_dirs: Sequence[str | Path],
    sample_weights: Sequence[float] | None = None,
    skip_mirrored: bool = False,
) -> tuple[list[list[Path]], list[float]]:
    """Episode files of each folder, and its share of the samples.

    Args:
        dataset_dirs: the folders.
        sample_weights: one for each, with any sum; equal if not given (ACT++: utils.py).
        skip_mirrored: leave out folders and files with "mirror" in their name.

    Raises:
        ValueError: no episode is left, or a folder is given twice.
        FileNotFoundError: a folder holds no episodes.
    """
    resolved = [Path(folder).resolve() for folder in dataset_dirs]
    twice = [folder for i, folder in enumerate(dataset_dirs) if resolved[i] in resolved[:i]]
    if twice:
        raise ValueError(
            f"{twice[0]} is given twice, and what validates would be trained on; name each folder once, and "
            "how often it is drawn from by --sample_weights"
        )
    weights = [1.0] * len(dataset_dirs) if sample_weights is None else list(sample_weights)
    datasets = [
        [
            p
            for p in list_episodes(folder)
            if not (skip_mirrored and MIRRORED in f"{Path(folder).name}/{p.name}")
        ]
        for folder in dataset_dirs
    ]
    kept = [(paths, weight) for paths, weight in zip(datasets, weights, strict=True) if paths]
    total = sum(weight for _, weight in kept)
    if not total:
        folders = ", ".join(map(str, dataset_dirs))
        raise ValueError(f"no episode is left of {folders}: all are mirrored ones, or have weight 0")
    return [paths for paths, _ in kept], [weight / total for _, weight in kept]


def split_episodes(
    paths: Sequence[Path], train_ratio: float, seed: int, needed: Collection[str] = ()
) -> tuple[list[Path], list[Path]]:
    """Training and validation episodes: a random split, at least one each; `needed` ones (names as
    `source_name` gives them) validate only if there are no others.
    """
    if len(paths) < 2:
        raise ValueError(
            f"{paths[0].parent} holds {len(paths)} episode; at least 2 are needed, one of them to validate"
        )
    order = np.random.default_rng(seed).permutation(len(paths))
    order = np.array(sorted(order, key=lambda i: source_name(paths[i]) not in needed))
    n_train = min(max(round(train_ratio * len(paths)), 1), len(paths) - 1)
    train, validation = np.sort(order[:n_train]), np.sort(order[n_train:])
    return [paths[i] for i in train], [paths[i] for i in validation]


def split_datasets(
    datasets: Sequence[Sequence[Path]], train_ratio: float, seed: int, places_only: Sequence[str | Path] = ()
) -> tuple[list[list[Path]], list[Path]]:
    """Training episodes of each folder, and validation episodes, which are of the first alone that is none of
    `places_only`, as actions teach nothing there; ValueError if there is no such folder.
    """
    validates = _validating(datasets, places_only)
    made_of = {path: read_header(path)[0].get("source", "") for paths in datasets for path in paths}
    counts = [(Counter(made_of[path] for path in paths), MANY * len(paths)) for paths in datasets]
    needed = {name for counter, many in counts for name, count in counter.items() if count > many}
    kept, validation = split_episodes(datasets[validates], train_ratio, seed, needed)
    trained = [kept if number == validates else paths for number, paths in enumerate(datasets)]
    return [
        not_made_of(validation, paths, [made_of[path] for path in paths]) for paths in trained
    ], validation


def _validating(datasets: Sequence[Sequence[Path]], places_only: Sequence[str | Path]) -> int:
    silent = {Path(folder).resolve() for folder in places_only}
    for number, paths in enumerate(datasets):
        if paths[0].parent.resolve() not in silent:
            return number
    raise ValueError("--places_only names all folders of --dataset_dir; the actions of one must teach")


def not_made_of(validation: Sequence[Path], paths: Sequence[Path], made_of: Sequence[str]) -> list[Path]:
    """Those of a folder's episodes that were made of none that validates (`edit_episodes.py multiply`).

    Args:
        validation: the episodes that validate.
        paths: the folder's episodes.
        made_of: the name of what each was made of, as `source_name` gives it; "" of others.

    Raises:
        ValueError: all were.
    """
    names = {source_name(path) for path in validation}
    others = [path for path, source in zip(paths, made_of, strict=True) if source not in names]
    if not others:
        raise ValueError(
            f"all episodes of {paths[0].parent} were made of {', '.join(sorted(names))}, which validates; "
            "give it other episodes, or another --train_ratio"
        )
    return others
