"""Write what a reader read as episodes: the one place for all formats. All files appear at once, or none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common import Workers, complete_file, empty_folder, hold, remove_unfinished, spread
from constants import TASKS
from episodes import Episode, EpisodeError
from readers.base import BROKEN, Recorded, Recording, damaged
from readers.conversion.layout import Layout
from readers.conversion.units import Conversion, unit_note
from readers.registry import READERS

MARK = "import.json"  # in the new folder: where the episodes come from, and what was left out


@dataclass(frozen=True)
class Job:
    """An episode to write."""

    reader: str
    recording: Recording
    layout: Layout
    convert: Mapping[str, Conversion]  # by role
    task: str  # one of ours, or ""
    fps: int
    file: str


@dataclass(frozen=True)
class Outcome:
    """What became of it."""

    job: Job
    notes: tuple[str, ...] = ()  # for the user
    left_out: tuple[str, ...] = ()  # of the recording
    problem: EpisodeError | None = None  # why there is no episode


def write_all(
    jobs: Sequence[Job], identity: Any, target: Path, workers: Workers, label: str, is_strict: bool
) -> list[Outcome]:
    """Write the episodes beside the folder `target`, or the rest of them after a stop.

    Args:
        jobs: the episodes.
        identity: what tells this import from others, as JSON values.
        target: the folder, which must not exist; `publish` moves what is written there.
        workers: how many are made at a time, and where.
        label: the command's name.
        is_strict: a recording that is damaged ends everything.
    """
    stage = stage_of(target)
    identity, mark = json.loads(json.dumps(identity)), stage / MARK
    if not mark.is_file() or json.loads(mark.read_text(encoding="utf-8")) != identity:
        empty_folder(stage)
        _write_json(mark, identity)
    remove_unfinished(stage)
    calls = [(job, stage / job.file, is_strict) for job in jobs if not (stage / job.file).exists()]
    progress = tqdm(total=len(jobs), initial=len(jobs) - len(calls), desc=label, unit="episode")
    outcomes: list[Outcome] = []
    try:
        if calls:
            with progress, spread(convert, calls, workers, progress) as results:
                outcomes = list(results)
    except BaseException:
        remove_unfinished(stage)
        if any((stage / job.file).exists() for job in jobs):
            print(f"\nstopped; the same command goes on where it was; or remove {stage}")
        else:
            shutil.rmtree(stage)
        raise
    return outcomes


def stage_of(target: Path) -> Path:
    """The folder that files are in until all are written."""
    return target.with_name(f".{target.name}.unfinished")


def staging(target: Path) -> Any:
    """Hold the folder that `write_all` writes to."""
    return hold(stage_of(target))


def publish(target: Path, content: Any) -> None:
    """Make the written files appear as `target`, with a note of where they come from (None: without)."""
    mark = stage_of(target) / MARK
    if content is None:
        mark.unlink()
    else:
        _write_json(mark, content)
    stage_of(target).rename(target)


def _write_json(path: Path, content: Any) -> None:
    with complete_file(path) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def convert(job: Job, place: Path, is_strict: bool = False) -> Outcome:
    """Write one episode file; EpisodeError if `is_strict` and the recording is damaged."""
    try:
        recorded = read(job)
        episode = episode_of(recorded, job)
        episode.check(job.recording.name)
    except EpisodeError as error:
        if is_strict:
            raise
        return Outcome(job, problem=error)
    episode.save(place)
    note = unit_note(episode.qpos, job.convert["state"])
    return Outcome(job, (note,) if note else (), tuple(recorded.notes))


def read(job: Job) -> Recorded:
    """What the reader makes of a recording; EpisodeError for whatever is wrong with it."""
    reader = READERS[job.reader]
    try:
        return reader.read(job.recording, list(job.layout.cameras), job.fps)
    except BROKEN as error:
        raise damaged(job.recording.name, error) from error


def episode_of(recorded: Recorded, job: Job) -> Episode:
    """The episode in our units and under our names; EpisodeError if the arrays do not fit each other."""
    layout, name = job.layout, job.recording.name
    rows = {role: _numbers(layout.rows(role, recorded.numbers), f"{name}: {role}") for role in layout.roles}
    state = job.convert["state"]
    arrays: dict[str, Any] = {"qpos": state(rows["state"])}
    width = arrays["qpos"].shape[1]
    recorded_action = rows.get("action")
    if recorded_action is None:
        arrays["action"] = np.concatenate([arrays["qpos"][1:], arrays["qpos"][-1:]])
    else:
        arrays["action"] = job.convert["action"](recorded_action)
    for role, wanted in (("qvel", width), ("base_action", 2), ("reward", 1), ("time", 1)):
        if role in rows and rows[role].shape[1] == wanted and np.isfinite(rows[role]).all():
            arrays[role] = rows[role]
        elif role in rows:
            recorded.notes.append(f"{role} does not fit the state, or is not finite, and is left out")
    if "qvel" in arrays:
        arrays["qvel"] = state.rates(arrays["qvel"])
    for role in ("reward", "time"):
        if role in arrays:
            arrays[role] = arrays[role][:, 0]
    task = job.task
    facts = {"sim": bool(task) and TASKS[task].scene is not None, **recorded.facts}
    facts["task"] = task or facts.get("task", "")
    images = {ours: recorded.images[theirs] for theirs, ours in layout.cameras.items()}
    with np.errstate(over="ignore"):
        return Episode(**arrays, images=images, fps=job.fps, **facts)


def _numbers(rows: np.ndarray, what: str) -> np.ndarray:
    """Floats (T, D) of any numbers."""
    if rows.dtype.kind not in "biuf" or not len(rows):
        raise EpisodeError(f"{what} is {rows.dtype} {rows.shape}; it must be numbers, one row a step")
    return rows if rows.dtype.kind == "f" else rows.astype(np.float64)
