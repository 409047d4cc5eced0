"""What the folder of a run holds: flags, losses, evaluations and their videos, commands."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cli
from viewers.provenance import read_commands


@dataclass
class Run:
    """What a run's folder holds."""

    folder: Path
    name: str
    flags: dict[str, Any] = field(default_factory=dict)  # config.json
    history: list[dict[str, float]] = field(default_factory=list)  # history.csv
    results: list[dict[str, Any]] = field(default_factory=list)  # result_*.json, newest first
    commands: list[dict[str, Any]] = field(default_factory=list)  # commands.json
    problems: list[str] = field(default_factory=list)  # files that cannot be read


def read_run(folder: Path, name: str) -> Run:
    """What a folder holds; a file that cannot be read is noted. ValueError if there is nothing."""
    run = Run(folder, name)
    readers = {
        "config.json": lambda path: run.flags.update(cli.read_flags(str(path))),
        "history.csv": lambda path: run.history.extend(_read_history(path)),
        "commands.json": lambda path: run.commands.extend(read_commands(folder)),
    }
    newest_first = sorted(
        folder.glob("result_*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True
    )
    readers |= {path.name: lambda path: run.results.append(_read_result(path)) for path in newest_first}
    found = [folder / file for file in readers if (folder / file).is_file()]
    if not found:
        raise ValueError(
            f"{folder} holds no run (config.json, history.csv, result_*.json); give the --ckpt_dir of one"
        )
    for path in found:
        try:
            readers[path.name](path)
        except (ValueError, KeyError, TypeError) as error:
            run.problems.append(f"{path.name} cannot be read: {error}")
    _own_videos(run)
    return run


def _read_history(path: Path) -> list[dict[str, float]]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    if any("step" not in row for row in rows):
        raise ValueError("a row has no step")
    return rows


def _read_result(path: Path) -> dict[str, Any]:
    result = json.loads(path.read_text(encoding="utf-8"))
    for name in ("task", "checkpoint", "outcomes", "stages", "rollouts", "successes"):
        result[name]  # noqa: B018 - KeyError names what is missing
    return result


def _own_videos(run: Run) -> None:
    """Give each outcome the path of its video, if it has one.

    The newest evaluation that filmed a rollout wrote it last. Old evaluations did not say what they filmed.
    """
    taken: set[int] = set()
    for result in run.results:
        for outcome in result["outcomes"]:
            index = outcome["index"]
            path = run.folder / f"rollout_{index}.mp4"
            if outcome.get("filmed", True) and index not in taken and path.is_file():
                taken.add(index)
                outcome["video"] = path
