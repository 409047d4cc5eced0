"""What the folder of a run holds: flags, losses, evaluations and their videos, commands."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from common import Losses, cli
from evaluation import ARM, Summary, Sweep, content_version, list_results, list_sweeps, read_result
from viewers.provenance import NOTED, NotedCommand, read_commands

PAGE = "report.html"


@dataclass
class Evaluation:
    """An evaluation and its videos."""

    summary: Summary
    folder: Path
    is_stale: bool = False  # its checkpoint has been trained anew since
    videos: dict[int, Path] = field(default_factory=dict)  # by number of the rollout

    @cached_property
    def facts(self) -> dict[str, str]:
        """How the evaluation was made, in words, by topic."""
        summary, settings = self.summary, self.summary.settings
        if settings is not None:
            made = settings.facts()
        else:
            made = {"execution": summary.execution, "seed": f"seed {summary.seed}"}
        earlier = {"version": "an earlier training"} if self.is_stale else {}
        names = [str(Path(*Path(name).parts[-2:])) for name in summary.checkpoint.split(" + ")]
        return {"checkpoint": " + ".join(names), **earlier, **made}

    def plot(self, index: int) -> Path | None:
        """The plot of a filmed rollout's joints, if there is one."""
        video = self.videos.get(index)
        plot = video and video.with_name(f"rollout_{index}_qpos.png")
        return plot if plot and plot.is_file() else None


@dataclass
class KeptSweep:
    """A sweep over disturbances, and where it is kept."""

    sweep: Sweep
    folder: Path
    is_stale: bool = False  # its checkpoint has been trained anew since


@dataclass
class RunFolder:
    """What a run's folder holds."""

    folder: Path
    name: str
    flags: dict[str, Any] = field(default_factory=dict)  # config.json
    history: list[Losses] = field(default_factory=list)  # history.csv
    evaluations: list[Evaluation] = field(default_factory=list)  # newest first
    sweeps: list[KeptSweep] = field(default_factory=list)  # newest first
    commands: list[NotedCommand] = field(default_factory=list)  # commands.json
    problems: list[str] = field(default_factory=list)  # files that cannot be read

    @property
    def related(self) -> list[tuple[str, Path]]:
        """Titles and files of the other pages about this run."""
        pages = [("runs on the arm", self.folder / ARM / PAGE)]
        if self.folder.resolve().name == ARM:
            pages.append(("training and evaluation of the policy", self.folder.resolve().parent / PAGE))
        return [(what, page) for what, page in pages if page.is_file()]


def run_name(folder: Path) -> str:
    """A run's name: its folder's; for runs on an arm, that of the training they belong to."""
    folder = folder.resolve()
    return f"{folder.parent.name}, on the arm" if folder.name == ARM and folder.parent.name else folder.name


def is_run(folder: Path) -> bool:
    """Whether the folder holds anything to report."""
    files = ("config.json", "history.csv", NOTED)
    return any((folder / file).is_file() for file in files) or bool(list_results(folder))


def read_run(folder: Path, name: str) -> RunFolder:
    """What a folder holds; files that cannot be read are noted. ValueError if it holds no run."""
    if not is_run(folder):
        raise ValueError(
            f"{folder} holds no run (config.json, history.csv, result_*.json); give the --ckpt_dir of one"
        )
    run = RunFolder(folder, name)
    readers = {
        folder / "config.json": lambda path: run.flags.update(cli.read_flags(str(path))),
        folder / "history.csv": lambda path: run.history.extend(_read_history(path)),
        folder / NOTED: lambda path: run.commands.extend(
            NotedCommand(**entry) for entry in read_commands(folder)
        ),
    }
    add = lambda path: run.evaluations.append(Evaluation(read_result(path), path.parent))  # noqa: E731
    readers |= dict.fromkeys(list_results(folder), add)
    add_sweep = lambda path: run.sweeps.append(KeptSweep(Sweep.read(path), path.parent))  # noqa: E731
    readers |= dict.fromkeys(list_sweeps(folder), add_sweep)
    for path, read in readers.items():
        if not path.is_file():
            continue
        try:
            read(path)
        except (ValueError, KeyError, TypeError, OSError, RecursionError, csv.Error) as error:
            problem = f"{path.relative_to(folder)} cannot be read: {error}"
            run.problems.append(problem if len(problem) < 400 else f"{problem[:400]}...")
    _find_videos(run)
    _find_stale(run)
    return run


def _read_history(path: Path) -> list[Losses]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [Losses.from_row(row) for row in rows]


def _find_videos(run: RunFolder) -> None:
    """Give each evaluation the videos beside it.

    Earlier versions wrote the videos of all evaluations into the run's folder. There, a video belongs to the
    newest evaluation that filmed this rollout.
    """
    taken: set[int] = set()  # rollouts whose video in the run's folder belongs to a newer evaluation
    for evaluation in run.evaluations:
        is_old = evaluation.summary.settings is None
        place = run.folder if is_old else evaluation.folder
        for outcome in evaluation.summary.outcomes:
            path = place / f"rollout_{outcome.index}.mp4"
            if not outcome.filmed or (is_old and outcome.index in taken) or not path.is_file():
                continue
            evaluation.videos[outcome.index] = path
            taken |= {outcome.index} if is_old else set()


def _find_stale(run: RunFolder) -> None:
    """Mark the evaluations and sweeps of a checkpoint that has changed since."""
    versions: dict[Path, str] = {}
    made = [(evaluation, evaluation.summary) for evaluation in run.evaluations]
    for each, result in [*made, *((kept, kept.sweep) for kept in run.sweeps)]:
        settings, path = result.settings, run.folder / result.checkpoint
        if settings is None or not settings.version or not path.is_file():
            continue
        versions.setdefault(path, content_version([path]))
        each.is_stale = versions[path] != settings.version


def labels(runs: Sequence[RunFolder]) -> list[tuple[RunFolder, Evaluation, str]]:
    """Every evaluation with a label that tells it from the others."""
    named = []
    for run in runs:
        differing = _differing([evaluation.facts for evaluation in run.evaluations])
        for evaluation in run.evaluations:
            words = [run.name] if len(runs) > 1 else [evaluation.facts["checkpoint"]]
            words += [evaluation.facts[fact] for fact in differing if fact in evaluation.facts]
            named.append((run, evaluation, ", ".join(dict.fromkeys(words))))
    names = [name for *_, name in named]
    return [
        (run, evaluation, f"{name}, {_when(evaluation)}" if names.count(name) > 1 else name)
        for run, evaluation, name in named
    ]


def _differing(facts: Sequence[Mapping[str, str]]) -> list[str]:
    names = dict.fromkeys(name for each in facts for name in each)
    return [name for name in names if len({each.get(name) for each in facts}) > 1]


def _when(evaluation: Evaluation) -> str:
    return evaluation.summary.made[:19].replace("T", " ") or evaluation.folder.name
