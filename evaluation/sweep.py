"""Sweeps: the same rollouts undisturbed, and under each disturbance at each strength.

    <run>/disturbances/<checkpoint>_<settings>/<name>_<strength>_<value>/result_<checkpoint>.json, .txt
    <run>/disturbances/<checkpoint>_<settings>/disturbances.json, .txt, .png     all of them
    <run>/disturbances_<checkpoint>.json, .txt, .png                             a copy of the newest

What is there already, of the same checkpoint and settings, is not run again. So a sweep that was stopped goes
on, and a wider one adds to a narrower one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common import Workers, complete_file, hold, spread
from disturbances import AXES, STRENGTHS, Applied, Cell
from evaluation.results import FILE, Outcome, Score, Summary, Sweep, read_result, write_summary, write_sweep
from evaluation.rollouts import EvalJob, close_players, prepared, run_one
from evaluation.settings import Settings

FOLDER = "disturbances"
UNDISTURBED = "undisturbed"


class _Kept:
    """The cells of one checkpoint and setting, in a folder of their own."""

    def __init__(self, folder: Path, job: EvalJob, settings: Settings) -> None:
        self.folder, self._job, self._settings = folder, job, settings

    def place(self, cell: Cell) -> Path:
        """The folder of a cell; its name has the value, so that nothing is taken for what it was once."""
        name = "_".join(f"{each.disturbance.name}_{each.level}_{each.strength:g}" for each in cell)
        return self.folder / (name or UNDISTURBED)

    def settings(self, cell: Cell) -> Settings:
        return replace(self._settings, disturb=tuple(map(str, cell)))

    def read(self, cell: Cell) -> Summary | None:
        """The result of a cell; None if it is not there, or not of these settings."""
        path = self.place(cell) / f"result_{self._job.checkpoint.stem}.json"
        try:
            summary = read_result(path)
        except (OSError, ValueError):
            return None
        wanted = Summary.of(self._job.task, self._job.checkpoint.name, self.settings(cell), summary.outcomes)
        is_whole = len(summary.outcomes) == self._settings.count
        return summary if is_whole and replace(summary, made=wanted.made) == wanted else None

    def write(self, cell: Cell, outcomes: Sequence[Outcome]) -> Summary:
        """Keep the result of a cell."""
        outcomes = sorted(outcomes, key=lambda outcome: outcome.index)
        summary = Summary.of(self._job.task, self._job.checkpoint.name, self.settings(cell), outcomes)
        self.place(cell).mkdir(parents=True, exist_ok=True)
        write_summary(summary, self.place(cell))
        return summary

    def gather(self) -> Sweep:
        """All cells that are there."""
        cells: list[Cell] = [()]
        cells += [(Applied(each, level),) for each in AXES.values() for level in STRENGTHS]
        results = [(cell, self.read(cell)) for cell in cells]
        scores = [Score.of(cell, summary) for cell, summary in results if summary is not None]
        return Sweep.of(self._job.task, self._job.checkpoint.name, self._settings, scores)


def run_cell(job: EvalJob, number: int, index: int, view: Any = None) -> tuple[int, Outcome]:
    """Rollout `index` of cell `number`."""
    return number, run_one(job, index, view)


def evaluate_sweep(
    job: EvalJob,
    cells: Sequence[Cell],
    settings: Settings,
    run: Path,
    workers: Workers | None = None,
    view: Any = None,
    trained_for: str = "",
) -> tuple[Sweep, Path]:
    """Run the rollouts of all cells that are not there yet, several at a time; films none.

    Args:
        job: what runs; its own disturbances do not count.
        cells: what disturbs each evaluation; the empty one is undisturbed.
        settings: of the undisturbed one; its first and count say which rollouts there are.
        run: the run's folder.
        workers, view: as for `evaluate`.
        trained_for: the policy's task, if it is known; what is of another has a folder of its own.

    Returns:
        All cells that are there now, and the folder that holds them.

    Raises:
        Held: another command is at work in that folder.
    """
    is_other = trained_for not in ("", job.task.name)
    folder = run / FOLDER / (settings.name() + is_other * f"_{job.task.name}")
    kept = _Kept(folder, job, settings)
    with hold(folder):
        missing = [cell for cell in cells if kept.read(cell) is None]
        if missing:
            _run(job, missing, kept, range(settings.first, settings.first + settings.count), workers, view)
        result = kept.gather()
        write_sweep(result, folder)
    for ending in ("json", "txt", "png"):
        with complete_file(run / f"{FILE}_{job.checkpoint.stem}.{ending}") as part:
            shutil.copyfile(folder / f"{FILE}.{ending}", part)
    return result, folder


def _run(
    job: EvalJob, cells: Sequence[Cell], kept: _Kept, indices: range, workers: Workers | None, view: Any
) -> None:
    """Run cells, and keep each as soon as its last rollout has ended."""
    job, workers = prepared(job, workers, view)
    jobs = [replace(job, flags=replace(job.flags, disturb=tuple(map(str, cell)) or None)) for cell in cells]
    calls = [(one, number, index, view) for number, one in enumerate(jobs) for index in indices]
    progress = tqdm(total=len(calls), desc=f"{len(cells)} evaluations", unit="rollout")
    outcomes: list[list[Outcome]] = [[] for _ in cells]
    try:
        with progress, spread(run_cell, calls, workers, progress) as results:
            for number, outcome in results:
                outcomes[number].append(outcome)
                if len(outcomes[number]) == len(indices):
                    summary = kept.write(cells[number], outcomes[number])
                    name = ", ".join(map(str, cells[number])) or UNDISTURBED
                    progress.set_postfix_str(f"{name}: success {summary.successes}/{summary.n}")
    finally:
        close_players()
