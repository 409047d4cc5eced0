"""Folders of episodes: how their files are named, listed and found."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import check_whole, command_line, quoted
from episodes.hdf5 import listed

SUFFIX = ".hdf5"
LEROBOT = "meta/info.json"  # in the folder of a LeRobot dataset
MIRROR = "mirror_"  # begins the name of a mirrored episode's file (ACT++: postprocess_episodes.py)
OTHER_SUFFIXES = (".h5", ".hdf", ".he5", ".hdf5")  # upper or lower case; of other people's HDF5 files


def data_dir(task_name: str) -> Path:
    """Where a task's episodes live unless `--dataset_dir` is given: `$ACT_DATA_DIR` or `./data`."""
    return Path(os.environ.get("ACT_DATA_DIR") or "data") / task_name


def how_to_look(folder: str | Path) -> str:
    """What to type to look at an episode of a folder that was filled just now."""
    words = quoted("visualize_episodes.py", "--dataset_dir", folder, "--episode_idx", 0)
    return f"look at one: {command_line(words)}"


def episode_path(dataset_dir: str | Path, i: int, mirror: bool = False) -> Path:
    """File of episode `i` (or of its mirror image), named as ACT++ names it."""
    return Path(dataset_dir) / f"{MIRROR if mirror else ''}episode_{i}{SUFFIX}"


def source_name(path: Path) -> str:
    """What episodes that were made of another one call it: folder and stem of its file."""
    return f"{path.resolve().parent.name}/{path.stem}"


def missing_numbers(dataset_dir: str | Path, count: int) -> list[int]:
    """Numbers below `count` for which the folder has no file named as in `episode_path`."""
    pattern = re.compile(r"episode_(0|[1-9]\d*)", re.ASCII)
    names = (pattern.fullmatch(path.stem) for path in Path(dataset_dir).glob("episode_*.hdf5"))
    recorded = {int(name[1]) for name in names if name}
    return [number for number in range(count) if number not in recorded]


def list_episodes(dataset_dir: str | Path) -> list[Path]:
    """All episode files of a folder, by number.

    As in ACT++, files of cached features (`*features*`, VINN) are skipped; so are unfinished ones.

    Raises:
        FileNotFoundError: there are none; it says what to do.
        OSError: a change of the folder was stopped halfway (`common.check_whole`).
    """
    folder = Path(dataset_dir)
    check_whole(folder)
    paths = _episodes(folder)
    if not paths:
        raise FileNotFoundError(f"{folder} {_problem(folder)}")
    return sorted(paths, key=_by_number)


def find_episode(paths: Sequence[Path], number: int, mirror: bool = False) -> Path:
    """The file of episode `number` (or of its mirror image) among those of a folder.

    Other people call theirs episode_000003, episode3 or demo_3; if several have the number, ours wins.

    Raises:
        FileNotFoundError: there is none; it lists what there is.
        ValueError: several have the number, none of them named like ours.
    """
    folder = paths[0].parent
    ours = episode_path(folder, number, mirror)
    numbered = [
        path for path in paths if episode_number(path) == number and path.name.startswith(MIRROR) == mirror
    ]
    for fits in (lambda path: path == ours, lambda path: "episode" in path.stem, lambda path: True):
        fitting = [path for path in numbered if fits(path)]
        if len(fitting) > 1:
            raise ValueError(
                f"{folder} has several of number {number}: {listed(path.name for path in fitting)}"
            )
        if fitting:
            return fitting[0]
    raise FileNotFoundError(f"{folder} has no {ours.name}; it has {_extent(paths)}")


def find_episodes(dataset_dir: str | Path, number: int | None = None, mirror: bool = False) -> list[Path]:
    """The episode files of a folder: all, only the mirrored, or the one with a number.

    Raises:
        FileNotFoundError: there is none; it lists what there is.
        ValueError: as for `find_episode`.
    """
    paths = list_episodes(dataset_dir)
    if number is not None:
        return [find_episode(paths, number, mirror)]
    wanted = [path for path in paths if path.name.startswith(MIRROR) or not mirror]
    if not wanted:
        raise FileNotFoundError(f"{dataset_dir} has no {MIRROR}episode_*.hdf5; it has {_extent(paths)}")
    return wanted


def _extent(paths: Sequence[Path]) -> str:
    """How many files there are, and which, for a message."""
    return f"{len(paths)} episodes, {paths[0].name} to {paths[-1].name}"


def episode_number(path: Path) -> int | None:
    """The last number in a file's name; None if there is none."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else None


def is_episode_name(name: str) -> bool:
    """Whether `list_episodes` takes a file of this name for an episode."""
    return name.endswith(SUFFIX) and not name.startswith(".") and "features" not in name


def _episodes(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"*{SUFFIX}") if is_episode_name(path.name)]


def _hdf5_names(folder: Path) -> list[str]:
    """Names of HDF5 files, whatever their ending."""
    return sorted(p.name for p in folder.iterdir() if p.suffix.lower() in OTHER_SUFFIXES and p.name[0] != ".")


def _problem(folder: Path) -> str:
    """Why a folder has no episodes, and what to do."""
    place = quoted(folder)
    record = command_line(f"record_sim_episodes.py --task_name NAME --dataset_dir {place} --num_episodes 50")
    if folder.is_file():
        return f"is a file; give the folder that it lies in: {folder.parent}"
    if not folder.is_dir():
        return f"is no folder; record some first: {record}"
    if (folder / LEROBOT).is_file():
        return (
            "is a LeRobot dataset; make episodes of it: "
            f"{command_line('edit_episodes.py import_lerobot')} --dataset_dir {place} --output_dir NEW"
        )
    renamable = [name for name in _hdf5_names(folder) if is_episode_name(f"{Path(name).stem}{SUFFIX}")]
    if renamable:
        suffix = Path(renamable[0]).suffix
        rename = f'for f in {place}/*{suffix}; do mv "$f" "${{f%.*}}{SUFFIX}"; done'
        return f"holds no *{SUFFIX}, but {listed(renamable)}; rename them: {rename}"
    folders = [path for depth in ("*", "*/*") for path in sorted(folder.glob(depth)) if path.is_dir()]
    below = [p for p in folders if _episodes(p) or _hdf5_names(p) or (p / LEROBOT).is_file()]
    if below:
        return f"holds no episodes itself; they are in its folders: --dataset_dir {listed(below)}"
    return f"holds no episodes (*{SUFFIX}); record some first: {record}"


def _by_number(path: Path) -> list[str | int]:
    """`episode_2` before `episode_10`: text and numbers alternate in the key."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.stem)]


def gathered_notes(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each note, with its episodes; `notes` are by the episode's name."""
    names: dict[str, list[str]] = {}
    for name, notes_of_one in notes.items():
        for note in notes_of_one:
            names.setdefault(note, []).append(name)
    return [f"note: {note} ({len(noted)} episodes, from {noted[0]} on)" for note, noted in names.items()]
