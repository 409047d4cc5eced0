"""Folders of episodes: how files are named, and which there are."""

from __future__ import annotations

import re
from pathlib import Path


def episode_path(dataset_dir: str | Path, i: int, mirror: bool = False) -> Path:
    """File of episode `i` (or of its mirror image), named as ACT++ names it."""
    return Path(dataset_dir) / f"{'mirror_' if mirror else ''}episode_{i}.hdf5"


def list_episodes(dataset_dir: str | Path) -> list[Path]:
    """All episode files of a folder, by number; FileNotFoundError, with what to do about it, if none.

    As in ACT++, files of cached features (`*features*`, VINN) are passed over; so are unfinished ones.
    """
    folder = Path(dataset_dir)
    paths = [p for p in folder.glob("*.hdf5") if not p.name.startswith(".") and "features" not in p.name]
    if not paths:
        problem = "holds no episodes (*.hdf5)" if folder.is_dir() else "is no folder"
        command = f"python3 record_sim_episodes.py --task_name NAME --dataset_dir {folder} --num_episodes 50"
        raise FileNotFoundError(f"{folder} {problem}; record some first: {command}")
    return sorted(paths, key=_by_number)


def _by_number(path: Path) -> list[str | int]:
    """`episode_2` before `episode_10`: text and numbers alternate in the key."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]
