"""What there is to work with: tasks, presets, datasets, runs and their checkpoints and evaluations."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cockpit_app.places import PRESETS, Places, folders_below

CHECKPOINTS = ("policy_last.ckpt", "policy_best.ckpt", "policy_best_success.ckpt")
MOST_ROWS = 400  # of a history that are sent
MOST_EVALUATIONS = 20
PAGE_OF_DATASET = "html/index.html"
COVERAGE = "coverage.html"
OWN_FOLDERS = ("html", "recovered")  # below a dataset
OURS = re.compile(r"\.|episode_\d+\.hdf5$")  # names that are hidden, or of our episodes
HDF5 = (".hdf5", ".h5", ".hdf", ".he5")
LOGS = {".csv": "CSV", ".txt": "text", ".log": "text"}  # several of them are one recording
_headers: dict[tuple[str, int], dict[str, Any]] = {}  # what episode files say, by path and time of change


def present(paths: Iterable[Path]) -> dict[Path, os.stat_result]:
    """What the system says of files and folders, as far as they are there: one may be deleted meanwhile, or
    be a link to a disk that is not.
    """
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[path] = path.stat()
    return found


def tasks() -> list[dict[str, Any]]:
    """The tasks that can be simulated, and whether the twin of the myCobot 320 has them."""
    from constants import TASKS, is_mycobot

    return [
        {
            "name": task.name,
            "twin": is_mycobot(task),
            "scripted": bool(task.script) or any(case.script for case in task.cases),
            "cameras": list(task.cameras),
            "steps": task.episode_len,
            "fps": task.fps,
        }
        for task in TASKS.values()
        if task.scene is not None
    ]


def presets(places: Places) -> list[dict[str, Any]]:
    """The presets, with what they say of the length of a run."""
    found = []
    for path in sorted(PRESETS.glob("*.json")):
        flags = _read_json(path)
        about = {name: flags.get(name) for name in ("policy_class", "num_steps", "batch_size")}
        found.append({"name": path.stem, "path": places.shown(path), **about})
    return sorted(found, key=lambda one: (one["num_steps"] or 0, one["name"]))


def datasets(places: Places) -> list[dict[str, Any]]:
    """Folders of episodes, the newest first."""
    from episodes import is_episode_name

    found = []
    for folder in folders_below(places.data):
        names = sorted(path.name for path in folder.glob("*.hdf5") if is_episode_name(path.name))
        files = present(folder / name for name in names)
        if not files:
            continue
        page = folder / PAGE_OF_DATASET
        found.append(
            {
                "name": folder.relative_to(places.data).as_posix(),
                "path": places.shown(folder),
                "episodes": len(files),
                "megabytes": sum(about.st_size for about in files.values()) / 1e6,
                "changed": max(about.st_mtime for about in files.values()),
                "page": places.link(page) if page.is_file() else None,
                "coverage": places.link(folder / COVERAGE) if (folder / COVERAGE).is_file() else None,
                **_header(*next(iter(files.items()))),
            }
        )
    return sorted(found, key=lambda one: -one["changed"])


def importable(places: Places) -> list[dict[str, str]]:
    """Folders and files of the data folder that look like recordings of others, by their names alone."""
    listed: list[tuple[Path, str]] = []
    for folder in folders_below(places.data):
        parts = folder.relative_to(places.data).parts
        if any(part in OWN_FOLDERS for part in parts) or any(folder.is_relative_to(one) for one, _ in listed):
            continue
        names = sorted(path.name for path in folder.glob("*") if path.is_file())
        others = [name for name in names if not OURS.match(name)]
        if (folder / "meta" / "info.json").is_file():
            listed.append((folder, "LeRobot"))
        elif folder.suffix == ".zarr":
            listed.append((folder, "Zarr"))
        else:
            files = [name for name in others if "features" not in name]
            listed += [(folder / name, "HDF5") for name in files if Path(name).suffix.lower() in HDF5]
            if parts and names == others:  # beside episodes of ours it is a table about them
                endings = {Path(name).suffix.lower() for name in names}
                listed += [(folder, word) for ending, word in LOGS.items() if ending in endings][:1]
    return [
        {"path": places.shown(path), "name": path.relative_to(places.data).as_posix(), "kind": kind}
        for path, kind in listed
    ]


def _header(file: Path, about: os.stat_result) -> dict[str, Any]:
    """Task, cameras and rate that an episode file tells; `problem` where it cannot be read."""
    from episodes import read_header

    key = (str(file), about.st_mtime_ns)
    if key not in _headers:
        try:
            facts, cameras = read_header(file)
            told = {name: facts.get(name) for name in ("task", "style", "randomized", "sim")}
            _headers[key] = {**told, "cameras": cameras, "problem": None}
        except (OSError, ValueError) as error:
            _headers[key] = {"task": "", "cameras": [], "problem": str(error)[:300]}
    return _headers[key]


def runs(places: Places) -> list[dict[str, Any]]:
    """Folders of trained policies, the newest first, each in short."""
    found = []
    for folder in folders_below(places.runs):
        if (folder / "config.json").is_file() or any((folder / name).is_file() for name in CHECKPOINTS):
            found.append(run_in_short(places, folder))
    return sorted(found, key=lambda one: -one["changed"])


def run_in_short(places: Places, folder: Path) -> dict[str, Any]:
    """Task, policy, checkpoints and progress of a run."""
    flags = _read_json(folder / "config.json")
    rows = read_history(folder / "history.csv")
    checkpoints = [name for name in CHECKPOINTS if (folder / name).is_file()]
    checkpoints += sorted(path.name for path in folder.glob("policy_step_*.ckpt"))
    report, coverage = folder / "report.html", folder / COVERAGE
    files = [folder / name for name in ("history.csv", "config.json", *checkpoints)]
    return {
        "name": folder.relative_to(places.runs).as_posix(),
        "path": places.shown(folder),
        "task": str(flags.get("task_name", "")),
        "policy": str(flags.get("policy_class", "")),
        "dataset": flags.get("dataset_dir"),
        "checkpoints": checkpoints,
        "step": int(rows[-1]["step"]) if rows else 0,
        "steps": flags.get("num_steps"),
        "loss": next((row["val/loss"] for row in reversed(rows) if "val/loss" in row), None),
        "changed": max((about.st_mtime for about in present(files).values()), default=0.0),
        "report": places.link(report) if report.is_file() else None,
        "coverage": places.link(coverage) if coverage.is_file() else None,
        "disturbed": any(folder.glob("disturbances/*/disturbances.json")),
        "result": _newest_result(folder),
        "arm_result": _newest_result(folder / "arm"),
    }


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a run's `history.csv`: finite values by column; thinned out where there are many."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [
                {name: _number(value) for name, value in row.items() if name and _number(value) is not None}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, csv.Error):
        return []
    rows = [row for row in rows if "step" in row]
    every = max(1, math.ceil(len(rows) / MOST_ROWS))
    return rows[::-1][::every][::-1]  # the last one is always among them


def _number(text: Any) -> float | None:
    """A cell's number; None for an empty one, and for what is none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _listed(content: dict[str, Any], name: str) -> list[Any]:
    """A list in what a file holds; empty where it is none."""
    value = content.get(name)
    return value if isinstance(value, list) else []


def _newest_result(folder: Path) -> dict[str, Any] | None:
    """Successes and rollouts of the newest evaluation, and whether they were the twin's."""
    results = present(folder.glob("result_*.json"))
    newest = max(results, key=lambda path: results[path].st_mtime, default=None)
    content = _read_json(newest) if newest else {}
    counts, settings = _counts(content), content.get("settings")
    on_twin = isinstance(settings, dict) and settings.get("robot") == "twin"
    return counts and {**counts, "on_twin": on_twin}


def _counts(result: dict[str, Any]) -> dict[str, int] | None:
    successes, n = result.get("successes"), result.get("counted")
    if not isinstance(successes, int) or not isinstance(n, int):
        return None
    return {"successes": successes, "n": n}


def evaluations(places: Places, folder: Path) -> list[dict[str, Any]]:
    """A run's evaluations and their videos, the newest first; also one that is being made."""
    parents = [path for path in (folder / "evaluations", folder / "arm" / "evaluations") if path.is_dir()]
    made = present(path for parent in parents for path in parent.iterdir() if path.is_dir())
    newest = sorted(made, key=lambda path: -made[path].st_mtime)[:MOST_EVALUATIONS]
    return [_evaluation(places, path, made[path].st_mtime) for path in newest]


def arm_runs(places: Places, folder: Path) -> dict[str, Any] | None:
    """The episodes of a policy's runs on the arm or the twin, and their page; None without any."""
    arm = folder / "arm"
    episodes = present(arm.glob("episode_*.hdf5"))
    page = arm / PAGE_OF_DATASET
    if not episodes:
        return None
    return {
        "name": places.shown(arm),
        "path": places.shown(arm),
        "episodes": len(episodes),
        "changed": max(about.st_mtime for about in episodes.values()),
        "page": places.link(page) if page.is_file() else None,
    }


def _evaluation(places: Places, folder: Path, changed: float) -> dict[str, Any]:
    result = next(iter(sorted(folder.glob("result_*.json"))), None)
    text = result.with_suffix(".txt") if result else None
    content = _read_json(result) if result else {}
    best = max(1, len(_listed(content, "stages")))
    succeeded = {
        one.get("index"): (_number(one.get("highest_reward")) or 0) >= best
        for one in _listed(content, "outcomes")
        if isinstance(one, dict) and isinstance(one.get("index"), int)
    }
    from episodes import episode_number

    videos = sorted(folder.glob("rollout_*.mp4"), key=lambda path: (len(path.name), path.name))
    return {
        "name": folder.name,
        "at": changed,
        "text": text.read_text(encoding="utf-8", errors="replace") if text and text.is_file() else "",
        "result": _counts(content),
        "on_arm": folder.parent.parent.name == "arm",
        "videos": [
            {
                "name": path.stem,
                "link": places.link(path),
                "success": succeeded.get(episode_number(path)),
            }
            for path in videos
        ],
    }
