"""Changes of a dataset's files: planned, checked, and then carried out as a whole or not at all.

New files are made in a folder of their own inside the one that they are for (UNFINISHED), several at a time,
and take their places when all are there. Whoever is stopped before has every old file as it was, and goes on
with the same command; whoever is stopped while files take their places has the rest done by the same command,
which then does nothing more, or by the next one that changes the folder. Until then readers refuse it.
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
    spread,
    this_command,
)
from episodes import Episode

HISTORY = "edits.json"  # in the folder of a dataset: how its files were made


@dataclass(frozen=True)
class Write:
    """A file to be made."""

    source: Path
    target: Path
    edit: Callable[[Episode], Episode] | None = None  # of an importable module; None: a copy
    what: str = ""  # that changes, in words
    fps: int | None = None  # steps a second of the source, instead of what it says


@dataclass(frozen=True)
class Plan:
    """What a command is to do to the files in and below one folder."""

    root: Path
    writes: tuple[Write, ...] = ()
    moves: tuple[tuple[Path, Path], ...] = ()  # within `root`, before new files take their places
    notes: tuple[str, ...] = ()  # for the user
    in_place: bool = False  # whether new files may replace those that they are made of
    growth: float = 1.0  # size of the new files, as a multiple of the old ones', at most

    def text(self) -> str:
        """Each change on a line."""
        lines = [
            f"{write.source} -> {write.target}{f' ({write.what})' if write.what else ''}"
            for write in self.writes
        ]
        lines += [f"{old} -> {new}" for old, new in self.moves]
        return "\n".join([*lines, *self.notes])

    def check(self) -> None:
        """FileExistsError for a file that another would overwrite; OSError if the disk is too full."""
        for source, target in [*((w.source, w.target) for w in self.writes), *self.moves]:
            if target.exists() and not (self.in_place and target.resolve() == source.resolve()):
                raise FileExistsError(f"{target} exists already; choose another --output_dir")
            if target.is_symlink():
                raise FileExistsError(
                    f"{target} is a link to {target.resolve()}, which others may use; choose --output_dir, "
                    "not --in_place"
                )
        there = next(folder for folder in (self.root, *self.root.absolute().parents) if folder.is_dir())
        needed = self.growth * sum(write.source.stat().st_size for write in self.writes)
        free = shutil.disk_usage(there).free
        if needed > free:
            raise OSError(
                f"{there} has {free / 1e9:.3g} GB free; {needed / 1e9:.3g} GB are needed; make room, then "
                "give the same command again"
            )


def carry_out(plan: Plan, command: str, flags: dict[str, Any], workers: Workers) -> None:
    """Do it, or what is left of it after it was stopped, and say what was done.

    Args:
        plan: whose `check` passes.
        command: in words.
        flags: what, besides the files, the plan depends on.
        workers: how many files are made at a time, and where.
    """
    began, stage = time.perf_counter(), plan.root / UNFINISHED
    content = {"identity": _identity(plan, command, flags), "again": this_command()}
    content["wish"] = _wish(command, flags)
    if read_plan(plan.root).get("identity") != content["identity"]:
        shutil.rmtree(stage, ignore_errors=True)  # of another command, which never came to its end
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
    megabytes = sum(place.stat().st_size for place in places) / 1e6
    _note(stage, **content, is_complete=True)
    count = f"{len(plan.writes)} files, {megabytes:.0f} MB, {time.perf_counter() - began:.0f} s"
    said = f"{command}: {count}, in {plan.root}"
    if plan.moves:
        said = f"{command}: {len(plan.moves)} files moved to {plan.moves[0][1].parent}"
    finish(plan.root, said)


def make(write: Write, place: Path) -> None:
    """Make one file, in `place`."""
    if write.edit is None:
        with complete_file(place) as part:
            shutil.copyfile(write.source, part)
    else:
        write.edit(Episode.load(write.source, fps=write.fps)).save(place)


def finish(root: Path, said: str) -> None:
    """Let the files of a complete plan take their places, tell the user so, and only then forget the plan:
    whoever is stopped before can tell, by giving the command again, that it is done.
    """
    stage, identity = root / UNFINISHED, read_plan(root)["identity"]
    for old, new in identity["moves"]:
        if os.path.lexists(root / old):
            move_file(root / old, root / new)
    for place in sorted(stage.rglob("*.hdf5")):
        target = root / place.relative_to(stage)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(place, target)
    history = root / HISTORY
    entries = json.loads(history.read_text(encoding="utf-8")) if history.exists() else []
    if identity not in entries[-1:]:  # stopped after it was noted, before the plan was forgotten
        with complete_file(history) as part:
            part.write_text(json.dumps([*entries, identity], indent=1) + "\n", encoding="utf-8")
    print(said, flush=True)
    for folder in [path for path in stage.iterdir() if path.is_dir()]:
        shutil.rmtree(folder)
    (stage / PLAN).unlink()
    shutil.rmtree(stage)


def finish_earlier(root: Path, command: str = "", flags: Mapping[str, Any] | None = None) -> bool:
    """Finish what was stopped while its files took their places; whether that was this very command, which
    then is done.
    """
    plan = read_plan(root)
    if not plan.get("is_complete"):
        return False
    earlier, is_same = plan["identity"], plan.get("wish") == _wish(command, flags or {})
    if is_same:
        count = len(earlier["files"]) + len(earlier["moves"])
        said = f"{command}: the rest of what was stopped is done, {count} files in all, in {root}"
    else:
        said = f"{root}: the rest of an earlier change ({earlier['command']}) was done first"
    finish(root, said)
    return is_same


def _wish(command: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What a user asks for, however the folders are written."""
    wish = {"command": command, **flags}
    for name in ("dataset_dir", "output_dir"):
        value = wish.get(name)
        if value:
            folders = value if isinstance(value, list | tuple) else [value]
            wish[name] = [os.path.realpath(folder) for folder in folders]
    return json.loads(json.dumps(wish))


def _identity(plan: Plan, command: str, flags: dict[str, Any]) -> dict[str, Any]:
    """What tells a plan from all others, as JSON gives it back."""
    sources = [[str(w.source), *file_identity(w.source)] for w in plan.writes]
    targets = [str(w.target.relative_to(plan.root)) for w in plan.writes]
    moves = [[str(path.relative_to(plan.root)) for path in move] for move in plan.moves]
    identity = {"command": command, "flags": flags, "files": dict(zip(targets, sources, strict=True))}
    return json.loads(json.dumps({**identity, "moves": moves}))


def _note(stage: Path, **content: Any) -> None:
    with complete_file(stage / PLAN) as part:
        part.write_text(json.dumps(content), encoding="utf-8")
