"""Changes of a dataset's files: planned, checked, and then carried out as a whole or not at all.

New files are made in a folder inside the dataset's (UNFINISHED), several at a time, and move to their places
when all are made. If a command is stopped before that, every old file is as it was, and the same command goes
on. If it is stopped during the moves, the same command, or the next one that changes the folder, does the
rest; until then readers refuse the folder.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common import (
    PLAN,
    UNFINISHED,
    Workers,
    complete_file,
    file_identity,
    move_file,
    read_plan,
    remove_unfinished,
    replace_file,
    spread,
    this_command,
)
from episodes import Episode, EpisodeError

HISTORY = "edits.json"  # in the folder of a dataset: how its files were made


@dataclass(frozen=True)
class Write:
    """A file to make."""

    source: Path
    target: Path
    edit: Callable[[Episode], Episode] | None = None  # can be pickled; None: a copy
    what: str = ""  # what changes, in words
    fps: int | None = None  # steps a second of the source, in place of its own


@dataclass(frozen=True)
class Plan:
    """What a command will do to the files in and below one folder."""

    root: Path
    writes: tuple[Write, ...] = ()
    moves: tuple[tuple[Path, Path], ...] = ()  # within `root`, before new files take their places
    notes: tuple[str, ...] = ()  # for the user
    in_place: bool = False  # whether new files may replace their sources
    growth: float = 1.0  # at most, size of the new files as a multiple of the old

    def text(self) -> str:
        """The changes, one a line, and the notes."""
        lines = [
            f"{write.source} -> {write.target}{f' ({write.what})' if write.what else ''}"
            for write in self.writes
        ]
        lines += [f"{old} -> {new}" for old, new in self.moves]
        return "\n".join([*lines, *self.notes])

    def check(self) -> None:
        """FileExistsError if a file would be overwritten; OSError if the disk is too full."""
        for source, target in [*((w.source, w.target) for w in self.writes), *self.moves]:
            if target.exists() and not (self.in_place and target.resolve() == source.resolve()):
                advice = "choose another --output_dir"
                if self.in_place:
                    advice = "leave its episode out (--episodes)"
                raise FileExistsError(f"{target} exists already; {advice}")
            if target.is_symlink():
                raise FileExistsError(
                    f"{target} is a link to {target.resolve()}, which others may use; choose --output_dir, "
                    "not --in_place"
                )
        existing = next(folder for folder in (self.root, *self.root.absolute().parents) if folder.is_dir())
        needed = self.growth * sum(write.source.stat().st_size for write in self.writes)
        free = shutil.disk_usage(existing).free
        if needed > free:
            raise OSError(
                f"{existing} has {free / 1e9:.3g} GB free; {needed / 1e9:.3g} GB are needed; make room, then "
                "give the same command again"
            )


def carry_out(plan: Plan, command: str, flags: dict[str, Any], workers: Workers) -> None:
    """Carry out a plan, or the rest of one that was stopped, and say what was done.

    Args:
        plan: its `check` has passed.
        command: the sub-command's name.
        flags: what the plan depends on besides the files.
        workers: how many files are made at a time, and where.
    """
    began, stage = time.perf_counter(), plan.root / UNFINISHED
    _noted(plan.root / HISTORY)  # a damaged one is refused before any work
    content = {"identity": _identity(plan, command, flags), "again": this_command()}
    content["wish"] = _wish(command, flags)
    if read_plan(plan.root).get("identity") != content["identity"]:
        shutil.rmtree(stage, ignore_errors=True)  # of another command, which never finished
        stage.mkdir(parents=True)
        _note(stage, **content, is_complete=False)
    places = [stage / write.target.relative_to(plan.root) for write in plan.writes]
    for folder in {place.parent for place in places}:
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
    todo = [(w, place) for w, place in zip(plan.writes, places, strict=True) if not place.exists()]
    progress = tqdm(total=len(places), initial=len(places) - len(todo), desc=command, unit="episode")
    try:
        if todo:
            with progress, spread(make, todo, workers, progress) as results:
                list(results)
    except KeyboardInterrupt:
        for folder in {place.parent for place in places}:
            remove_unfinished(folder)
        print(f"\nstopped; no file is changed. The same command goes on; or remove {stage}")
        raise
    except EpisodeError:  # a file that cannot be done; the others would wait for nothing
        shutil.rmtree(stage, ignore_errors=True)
        raise
    megabytes = sum(place.stat().st_size for place in places) / 1e6
    _note(stage, **content, is_complete=True)
    count = f"{len(plan.writes)} files, {megabytes:.0f} MB, {time.perf_counter() - began:.0f} s"
    summary = f"{command}: {count}, in {plan.root}"
    if plan.moves:
        summary = f"{command}: {len(plan.moves)} files moved to {plan.moves[0][1].parent}"
    finish(plan.root, summary)


def make(write: Write, place: Path) -> None:
    """Make one file at `place`."""
    if write.edit is None:
        with complete_file(place) as part:
            shutil.copyfile(write.source, part)
    else:
        write.edit(Episode.load(write.source, fps=write.fps)).save(place)


def finish(root: Path, summary: str) -> None:
    """Move the files of a complete plan to their places, print `summary`, and only then forget the plan.

    If it is stopped before that, the same command once more finishes it and says so.
    """
    stage, identity = root / UNFINISHED, read_plan(root)["identity"]
    history = root / HISTORY
    entries = _noted(history)
    for old, new in identity["moves"]:
        is_done = os.path.lexists(root / new) and not os.path.islink(root / new)
        if os.path.lexists(root / old) and not is_done:  # else it is another file by now
            move_file(root / old, root / new)
    for place in sorted(stage.rglob("*.hdf5")):
        target = root / place.relative_to(stage)
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(place, target)
    if identity not in entries[-1:]:  # else a stopped command has noted it already
        with complete_file(history) as part:
            part.write_text(json.dumps([*entries, identity], indent=1) + "\n", encoding="utf-8")
    print(summary, flush=True)
    for folder in [path for path in stage.iterdir() if path.is_dir()]:
        shutil.rmtree(folder)
    (stage / PLAN).unlink()
    shutil.rmtree(stage)


def _noted(history: Path) -> list[Any]:
    """The changes that a folder's history tells; ValueError if it is damaged."""
    try:
        entries = json.loads(history.read_text(encoding="utf-8")) if history.exists() else []
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        raise ValueError(f"{history} is damaged; move it away, and give the same command once more")
    return entries


def finish_earlier(root: Path, command: str = "", flags: Mapping[str, Any] | None = None) -> bool:
    """Finish a command that was stopped while its files moved; True if it is the same, and so done."""
    plan = read_plan(root)
    if not plan.get("is_complete"):
        return False
    earlier, is_same = plan["identity"], plan.get("wish") == _wish(command, flags or {})
    if is_same:
        count = len(earlier["files"]) + len(earlier["moves"])
        summary = f"{command}: the rest of what was stopped is done, {count} files in all, in {root}"
    else:
        summary = f"{root}: the rest of an earlier change ({earlier['command']}) was done first"
    finish(root, summary)
    return is_same


def _wish(command: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The command and its flags, with folders in full, so that the same command is recognised."""
    wish = {"command": command, **flags}
    for name in ("dataset_dir", "output_dir"):
        value = wish.get(name)
        if value:
            folders = value if isinstance(value, list | tuple) else [value]
            wish[name] = [os.path.realpath(folder) for folder in folders]
    return json.loads(json.dumps(wish))


def _identity(plan: Plan, command: str, flags: dict[str, Any]) -> dict[str, Any]:
    """What distinguishes a plan from all others, as plain JSON values."""
    sources = [[str(w.source), *file_identity(w.source)] for w in plan.writes]
    targets = [str(w.target.relative_to(plan.root)) for w in plan.writes]
    moves = [[str(path.relative_to(plan.root)) for path in move] for move in plan.moves]
    identity = {"command": command, "flags": flags, "files": dict(zip(targets, sources, strict=True))}
    return json.loads(json.dumps({**identity, "moves": moves}))


def _note(stage: Path, **content: Any) -> None:
    with complete_file(stage / PLAN) as part:
        part.write_text(json.dumps(content), encoding="utf-8")
