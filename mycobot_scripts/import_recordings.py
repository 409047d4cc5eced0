"""Import recordings of act-plus-plus_one (degrees, gripper 0-100, BGR pictures, no speeds) as episodes.

    python3 mycobot_scripts/import_recordings.py --source_dir all_data --task_name mycobot320_move_cube
    python3 mycobot_scripts/import_recordings.py --source_dir all_data --rgb --dataset_dir data/imported

Angles become rad, grippers 0 (closed) to 1 (open), pictures RGB; speeds are taken from the angles; a gripper
that reads 255 (it could not be read) is at its last command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from tqdm import tqdm

from common import cli, hold
from constants import MYCOBOT, TASKS
from episodes import (
    Episode,
    EpisodeError,
    Images,
    JpegFrames,
    data_dir,
    episode_path,
    how_to_look,
    list_episodes,
)
from mycobot_scripts.demos import own_note, own_task
from mycobot_scripts.kinematics import JOINTS
from tasks import Task

UNREADABLE = 255  # what the arm replies for a gripper that it cannot read
MAX_DEGREES = 181  # a joint turns 180 at most; rounding
MAX_RADIANS = 3.2


@dataclass(frozen=True)
class ImportConfig:
    """Flags of this script."""

    source_dir: str = cli.flag(None, "folder of the recordings (*.hdf5)", required=True)
    task_name: str = cli.flag("mycobot320_move_cube", "task of the recordings")
    dataset_dir: str | None = cli.flag(None, "folder for the episodes; data/<task> if not given")
    fps: int = cli.flag(10, "frames a second of the recordings", least=1, most=1000)
    rgb: bool = cli.flag(False, "the pictures are RGB already; leave their colours as they are")
    overwrite: bool = cli.flag(False, "replace existing episodes")


def convert(recorded: Episode, task: Task, fps: int, is_rgb: bool = False) -> Episode:
    """An episode of ours from a recording in degrees and percent."""
    action, qpos = _to_ours(recorded.action), _to_ours(_readable(recorded.qpos, recorded.action))
    qvel = np.diff(qpos, axis=0, prepend=qpos[:1]) * fps
    qvel[:, JOINTS] = 0.0  # a gripper that reports its command, as on the arm
    images = {name: _converted(frames, is_rgb) for name, frames in recorded.images.items()}
    about = {"sim": False, "task": task.name, "fps": fps, "robot": MYCOBOT.name}
    return Episode(qpos=qpos, action=action, qvel=qvel, images=images, **about)


def _readable(qpos: np.ndarray, action: np.ndarray) -> np.ndarray:
    """State (T, 7) with the last command in place of grippers that could not be read."""
    commanded = np.concatenate([action[:1, JOINTS], action[:-1, JOINTS]])
    outside = (qpos[:, JOINTS] < 0) | (qpos[:, JOINTS] > 100)
    return np.column_stack([qpos[:, :JOINTS], np.where(outside, commanded, qpos[:, JOINTS])])


def _to_ours(rows: np.ndarray) -> np.ndarray:
    """(T, 7) degrees and percent to rad and [0, 1]."""
    gripper = np.clip(rows[:, JOINTS:] / 100, 0, 1)
    return np.concatenate([np.radians(rows[:, :JOINTS]), gripper], axis=1).astype(np.float32)


def _converted(frames: Images, is_rgb: bool) -> JpegFrames:
    kept = JpegFrames()
    for t in range(len(frames)):
        kept.append(frames[t] if is_rgb else frames[t][:, :, ::-1])
    return kept


def check(path: Path, task: Task) -> None:
    """EpisodeError unless a file is such a recording."""
    recorded = Episode.load(path, cameras=(), in_memory=False)
    for name in ("qpos", "action"):
        rows = getattr(recorded, name)
        if rows.shape[1] != task.dim:
            raise EpisodeError(
                f"{path}: {name} has {rows.shape[1]} entries a step; {task.dim} are needed: 6 angles, gripper"
            )
        largest = np.abs(rows[:, :JOINTS]).max()
        if not MAX_RADIANS < largest <= MAX_DEGREES:
            what = "rad, as in our own episodes" if largest <= MAX_RADIANS else "neither rad nor degrees"
            raise EpisodeError(
                f"{path}: the largest angle in {name} is {largest:.4g}: {what}; it takes degrees"
            )
        gripper = rows[:, JOINTS]
        odd = gripper[((gripper < 0) | (gripper > 100)) & ((gripper != UNREADABLE) | (name == "action"))]
        if len(odd):
            raise EpisodeError(
                f"{path}: a gripper in {name} is {odd[0]:g}; it takes 0 (closed) to 100 (open)"
            )
    Episode.load(path, cameras=task.cameras, in_memory=False)


def task_of(name: str, source_dir: str) -> Task:
    """The task of that name; if there is none, a person's own, with the cameras of the recordings."""
    if name in TASKS:
        return TASKS[name]
    first = Episode.load(list_episodes(source_dir)[0], in_memory=False)
    task = replace(own_task(name), cameras=tuple(sorted(first.images)))
    print(own_note(task))
    return task


def import_all(config: ImportConfig, task: Task) -> None:
    """Check every file, then convert them, in the order of their numbers."""
    sources = list_episodes(config.source_dir)
    folder = Path(config.dataset_dir or data_dir(task.name))
    if folder.resolve() == Path(config.source_dir).resolve():
        raise ValueError(
            f"--dataset_dir is {folder}, the folder of the recordings; give another, which is new"
        )
    targets = [episode_path(folder, i) for i in range(len(sources))]
    existing = [path for path in targets if path.exists()]
    if existing and not config.overwrite:
        raise FileExistsError(f"{existing[0]} exists already; --overwrite, or another --dataset_dir")
    others = sorted(set(folder.glob("*.hdf5")) - set(targets))
    if others:
        raise FileExistsError(
            f"{others[0]} would stay among the {len(targets)} new ones; remove it, or give another "
            "--dataset_dir"
        )
    for path in tqdm(sources, desc="checking", unit="episode"):
        check(path, task)
    for source, target in tqdm(list(zip(sources, targets, strict=True)), desc="importing", unit="episode"):
        recorded = Episode.load(source, cameras=task.cameras, in_memory=False)
        convert(recorded, task, config.fps, config.rgb).save(target, config.overwrite)
    print(f"{len(sources)} recordings of {config.source_dir} are episodes in {folder}, in the same order")
    print(how_to_look(folder))
    if not config.rgb:
        print("if red is blue there: the same command with --rgb --overwrite")


def parse_flags(argv: Sequence[str] | None = None) -> ImportConfig:
    """This script's flags."""
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, ImportConfig)
    return cli.from_flags(ImportConfig, parser.parse_args(argv))


def main() -> None:
    config = parse_flags()
    task = task_of(config.task_name, config.source_dir)
    if task.scene or task.dim != JOINTS + 1:
        raise ValueError(
            f"--task_name is {task.name!r}; it must be a task of the real arm, of 7 numbers a step"
        )
    with hold(config.dataset_dir or data_dir(task.name)):
        import_all(config, task)


if __name__ == "__main__":
    cli.run(main)
