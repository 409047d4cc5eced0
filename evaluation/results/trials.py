"""Where the rollouts of an evaluation, or runs on an arm, started, and how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from constants import Stream
from episodes import EpisodeError, read_start
from evaluation.results.outcomes import Outcome, Summary
from evaluation.settings import SIMULATION
from tasks import Task, sample_start

TWIN = "twin"


@dataclass(frozen=True, eq=False)
class TriedStart:
    """A start that a policy tried."""

    name: str  # of the attempt, for people
    start: np.ndarray  # (P * 7,)
    failed: bool


def is_plain(summary: Summary) -> bool:
    """Whether nothing was in the way of the rollouts but the place where they started."""
    settings = summary.settings
    return settings is None or not (settings.disturb or settings.knock_loose or settings.moved)


def has_looks(summary: Summary) -> bool:
    """Whether looks varied."""
    return summary.settings is not None and (summary.settings.randomize or summary.settings.drift)


def tried_starts(summary: Summary, task: Task | None, episodes: Path | None = None) -> list[TriedStart]:
    """The starts of all rollouts that count and whose start is known.

    That of a run on an arm is in its episode's file, in the folder `episodes`; rollouts of a simulation or a
    twin are repeatable: their starts follow from the seed and their number.
    """
    tried = []
    for outcome in summary.counted:
        start = _recorded(outcome, episodes)
        if start is None and task is not None and _is_repeatable(summary, outcome, task):
            start = _drawn(summary.seed, outcome.index, task)
        if start is not None:
            tried.append(TriedStart(_name(summary, outcome), start, not summary.is_success(outcome)))
    return tried


def _is_repeatable(summary: Summary, outcome: Outcome, task: Task) -> bool:
    """Whether an outcome's start can be drawn again: in a simulation, of the task as it is today."""
    robot = SIMULATION if summary.settings is None else summary.settings.robot
    case = task.cases[task.case_number(outcome.index)].label if task.cases else None
    is_same = summary.task == task.name and outcome.case == case
    return is_same and bool(task.props) and robot in (SIMULATION, TWIN)


def _drawn(seed: int, index: int, task: Task) -> np.ndarray:
    case = task.case_number(index) if task.cases else None
    return sample_start(task, np.random.default_rng([seed, Stream.EVALUATE, index]), case)


def _recorded(outcome: Outcome, episodes: Path | None) -> np.ndarray | None:
    """What the episode of a run says; None if it says nothing, or cannot be read."""
    if outcome.episode is None or episodes is None:
        return None
    try:
        return read_start(episodes / Path(outcome.episode).name)[1]
    except (EpisodeError, OSError):
        return None


def _name(summary: Summary, outcome: Outcome) -> str:
    """An attempt in words."""
    reward, labels = outcome.highest_reward or 0, summary.stages
    reached = f", got as far as {labels[reward - 1]!r}" if reward and not summary.is_success(outcome) else ""
    is_run = summary.settings is not None and summary.settings.robot != SIMULATION
    where = f"run {outcome.index}" if is_run else f"rollout {outcome.index}"
    return f"{where}{reached}"


def share_failed(tried: Sequence[TriedStart]) -> list[tuple[TriedStart, float]]:
    """Each start once, with the share of the attempts there that failed; the first attempt that failed names
    it.
    """
    by_start: dict[bytes, list[TriedStart]] = {}
    for each in tried:
        by_start.setdefault(each.start.tobytes(), []).append(each)
    return [
        (max(same, key=lambda each: each.failed), sum(each.failed for each in same) / len(same))
        for same in by_start.values()
    ]
