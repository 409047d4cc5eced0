"""Makes episodes of journals; those that were cut off go to a folder of their own, `recovered`.

Whenever this is interrupted, a journal becomes exactly one episode: the episode is written whole into the
journal, the steps are removed, the episode moves to its place, the journal goes. Its files show the progress.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common import Held, hold, replace_file
from episodes import Episode, JpegFrames
from mycobot_scripts.demos.journal import (
    HEADER,
    STEPS,
    VERDICT,
    is_running,
    list_journals,
    read_header,
    read_steps,
    read_verdict,
    steps_behind,
    sync_folder,
)

FOLDER = "recovered"  # beside the demonstrations: nobody has said whether these are good
KEPT, CUT_OFF = "kept.hdf5", "recovered.hdf5"  # in a journal: the whole episode, kept by a person or cut off


@dataclass(frozen=True)
class Recovered:
    """What became of a journal."""

    path: Path | None  # the episode file; None: there was nothing to keep
    steps: int
    lost_bytes: int  # of a record that was torn or damaged, and all after it
    is_kept: bool = False  # a person had kept it, as a demonstration
    damaged: Path | None = None  # folder of the raw steps, if whole ones lie behind a damaged one


def recover(folder: str | Path) -> Recovered:
    """Make an episode of a journal that was cut off, in the folder FOLDER beside it, and remove the journal.

    What was kept before it was cut off takes its place among the demonstrations. An empty journal is removed.

    Raises:
        ValueError: it is still being recorded, or cannot be read; it stays as it is.
    """
    folder = Path(folder)
    try:
        header = read_header(folder)
    except ValueError:
        header = None
    if header is not None and is_running(header["process"]):
        raise ValueError(
            f"{folder} is still being recorded by process {header['process'][0]}; end that first"
        )
    try:
        with hold(folder):
            return _recover(folder)
    except Held as error:
        raise ValueError(f"{folder} is still being recorded ({error})") from None


def _recover(folder: Path) -> Recovered:
    target = folder.with_suffix(".hdf5")
    if (folder / KEPT).exists():
        return make_episode(folder, target, KEPT)
    if (folder / CUT_OFF).exists():
        return make_episode(folder, target.parent / FOLDER / target.name, CUT_OFF)
    is_kept, success = read_verdict(folder)
    if is_kept:
        return make_episode(folder, target, KEPT, success)
    steps = folder / STEPS
    is_empty = not read_steps(steps, ())[0]
    foreign = [path.name for path in folder.iterdir() if not _is_ours(path)]
    damaged = _set_aside(folder, target.parent / FOLDER) if steps_behind(steps) else None
    if is_empty and not foreign:
        lost = steps.stat().st_size if steps.is_file() else 0
        shutil.rmtree(folder)
        return Recovered(None, 0, lost, damaged=damaged)
    read_header(folder)  # says what is wrong with it
    if is_empty:
        raise ValueError(f"{folder} holds no whole step, but {', '.join(foreign)}; look at it")
    made = make_episode(folder, target.parent / FOLDER / target.name, CUT_OFF)
    return replace(made, damaged=damaged)


def _set_aside(folder: Path, place: Path) -> Path:
    """Copy the raw steps of a journal to a folder of their own."""
    aside = place / f"{folder.stem}.damaged"
    aside.mkdir(parents=True, exist_ok=True)
    for name in (HEADER, STEPS):
        if (folder / name).is_file():
            shutil.copy2(folder / name, aside / name)
    return aside


def _is_ours(path: Path) -> bool:
    return path.name in (HEADER, STEPS, VERDICT) or path.suffix == ".part"


def make_episode(folder: Path, target: Path, name: str, success: bool | None = None) -> Recovered:
    """Make an episode of a journal and remove the journal.

    Args:
        folder: the journal, which nobody else uses.
        target: the file to be, or the next free number if somebody has recorded that since.
        name: KEPT or CUT_OFF; a file of that name in the journal is the episode already.
        success: whether the file says that it succeeded.
    """
    lost_bytes = 0
    if not (folder / name).exists():
        episode, lost_bytes = _read(folder)
        episode.success = success
        episode.save(folder / name)
        sync_folder(folder)
    length = len(Episode.load(folder / name, cameras=()))
    (folder / STEPS).unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    path = _free_path(target)
    replace_file(folder / name, path)
    sync_folder(path.parent)
    shutil.rmtree(folder)
    return Recovered(path, length, lost_bytes, name == KEPT)


def discard(folder: str | Path) -> None:
    """Forget a recording that was cut off; ValueError if it is still being recorded."""
    folder = Path(folder)
    try:
        with hold(folder):
            shutil.rmtree(folder)
    except Held as error:
        raise ValueError(f"{folder} is still being recorded ({error})") from None


def _read(folder: Path) -> tuple[Episode, int]:
    """The episode that a journal's steps make, and bytes that are lost; ValueError if there is no step."""
    header = read_header(folder)
    cameras = header["cameras"]
    steps, lost_bytes = read_steps(folder / STEPS, cameras)
    if not steps:
        raise ValueError(f"{folder} holds no whole step; there is nothing to keep, remove the folder")
    images = {
        name: JpegFrames.from_padded([step.images[name] for step in steps], f"{folder}: camera {name!r}")
        for name in cameras
    }
    times = np.array([step.time for step in steps])
    facts = {
        name: np.array(value) if name == "env_state" else value for name, value in header["facts"].items()
    }
    episode = Episode(
        **{name: np.stack([getattr(step, name) for step in steps]) for name in ("qpos", "qvel", "action")},
        images=images,
        reward=None if any(step.reward is None for step in steps) else [step.reward for step in steps],
        time=times - times[0],
        **facts,
    )
    return episode, lost_bytes


def _free_path(path: Path) -> Path:
    """`path`, or if that exists the next number that is free."""
    stem, _, number = path.stem.rpartition("_")
    while path.exists():
        number = str(int(number) + 1) if number.isdecimal() else f"{number}_1"
        path = path.with_name(f"{stem}_{number}{path.suffix}")
    return path


def clear_empty(folder: str | Path) -> list[Path]:
    """Remove the empty journals in a folder; returns the others, which were cut off or go on."""
    for journal in list_journals(folder):
        path = journal / STEPS
        is_empty = not path.is_file() or not path.stat().st_size
        if is_empty and all(_is_ours(entry) for entry in journal.iterdir()):
            with contextlib.suppress(ValueError):  # it has only just begun
                recover(journal)
    return list_journals(folder)
