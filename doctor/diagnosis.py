"""From a dataset to its findings: all of them, or the few lines that are told before a training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common import Workers, command_line, quoted, spread
from doctor import actions, differences, lateness, pictures, states  # noqa: F401  they register symptoms
from doctor.survey import SAMPLES, TIMED_EPISODES, Examined, Sampling, Survey, examine, examine_episode
from doctor.symptoms import JOINTS, PICTURES, SYMPTOMS, Finding
from episodes import Episode

MOST_LINES = 3  # before a training
MOST_PICTURED = 8  # episodes of which a training looks at pictures first
FIRST_AND_MIDDLE = 3  # pictures of each of them


def survey_folder(folder: str, paths: Sequence[Path], workers: Workers, with_pictures: bool = True) -> Survey:
    """Look at a dataset's files, side by side; those that cannot be read are left out."""
    timed = {paths[i] for i in _evenly(len(paths), TIMED_EPISODES)}
    samplings = [Sampling(SAMPLES, path in timed) if with_pictures else Sampling(0) for path in paths]
    calls = list(zip(paths, samplings, strict=True))
    progress = tqdm(total=len(paths), desc="comparing", unit="episode")
    with progress, spread(examine, calls, workers, progress) as results:
        found = {one.path: one for one in results if one is not None}
    return Survey(folder, tuple(found[path] for path in paths if path in found))


def _evenly(total: int, count: int) -> list[int]:
    """At most `count` of `total` numbers, evenly over them."""
    return np.unique(np.linspace(0, total - 1, count).round().astype(int)).tolist() if total else []


def diagnose(survey: Survey, looks_at: Collection[str] = (JOINTS, PICTURES)) -> list[Finding]:
    """What is wrong with a dataset, in the order of the registry; `looks_at` says which symptoms count."""
    if not survey.every:
        return []
    chosen = [each for each in SYMPTOMS.values() if each.looks_at in looks_at]
    with np.errstate(all="ignore"):  # of numbers that are told of file by file
        return [finding for each in chosen for finding in each.findings(survey)]


def training_lines(episodes: Mapping[Path, Episode]) -> list[str]:
    """At most three lines on what is wrong with the episodes of a training, folder by folder.

    Joints are looked at in all of them, pictures in a few of each folder, so that it takes little time.
    """
    folders: dict[Path, list[Path]] = {}
    for path in sorted(episodes, key=lambda path: (len(path.name), path.name)):  # by number
        folders.setdefault(path.parent, []).append(path)
    found: list[tuple[Path, Finding]] = []
    for folder, paths in folders.items():
        pictured = set(_evenly(len(paths), MOST_PICTURED))
        every = tuple(
            _examined(path, episodes[path], FIRST_AND_MIDDLE if number in pictured else 0)
            for number, path in enumerate(paths)
        )
        found += [(folder, finding) for finding in diagnose(Survey(str(folder), every))]
    lines = [f"check: {finding.line}" for _, finding in found]
    if len(lines) <= MOST_LINES:
        return lines
    shown, (folder, _) = lines[: MOST_LINES - 1], found[MOST_LINES - 1]
    command = command_line(f"edit_episodes.py check --dataset_dir {quoted(folder)} --only set")
    return [*shown, f"check: {len(lines) - len(shown)} more: {command}"]


def _examined(path: Path, episode: Episode, samples: int) -> Examined:
    return examine_episode(path, episode, Sampling(samples))
