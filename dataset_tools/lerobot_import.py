"""Read a LeRobot dataset (lerobot_format.py) as episodes.

The files do not give units. Unless flags say otherwise, joints are taken to be in radians and grippers in
[0 closed, 1 open], as in the published ALOHA sets (lerobot/aloha_sim_*, which are ACT's).
Of entries named left_... and right_..., the left arm's come first in our episodes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common import Workers, choose, cli, empty_folder, hold, remove_unfinished, spread
from constants import TASKS
from dataset_tools import lerobot_format as lerobot
from dataset_tools.edits import FolderFlags
from dataset_tools.lerobot_export import ARRAYS, EXTRAS
from dataset_tools.lerobot_index import (
    LeRobotEpisode,
    cameras_of,
    file_names,
    read_entries,
    read_info,
    width_of,
)
from episodes import Episode, EpisodeError, JpegFrames, entries_of

UNITS = ("rad", "deg")
MOST_RADIANS, GRIPPER_SLACK = 10.0, 0.5  # beyond these, the assumed units are probably wrong


@dataclass(frozen=True)
class ImportFlags(FolderFlags, Workers):
    """Flags of `import_lerobot`."""

    output_dir: str | None = cli.flag(None, "folder of the episodes, which must not exist", required=True)
    task_name: str | None = cli.flag(
        None, "which of our tasks it is; if not given, taken from the dataset or its folder's name"
    )
    joint_unit: str = cli.flag("rad", "unit of its joints", UNITS)
    gripper_range: tuple[float, float] = cli.flag(
        (0.0, 1.0), "values of its grippers when closed and when open"
    )
    fps: int | None = cli.flag(
        None, "steps a second of the episodes; the dataset's if not given, if that is a whole number"
    )
    dry_run: bool = cli.flag(False, "say what would be done, and write nothing")


@dataclass(frozen=True)
class Conversion:
    """How rows of states or actions are converted."""

    order: tuple[int, ...]  # of its entries
    grippers: tuple[int, ...]  # indices in the new order
    joint_unit: str
    gripper_range: tuple[float, float]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows (T, D) in the dataset's units to ours."""
        rows = rows[:, self.order]
        closed, opened = self.gripper_range
        factors = np.full(len(self.order), np.pi / 180 if self.joint_unit == "deg" else 1.0)
        zeros = np.zeros_like(factors)
        factors[list(self.grippers)], zeros[list(self.grippers)] = 1 / (opened - closed), closed
        return (rows - zeros) * factors  # (x - 0) * 1 is x, to the bit

    def rates(self, rows: np.ndarray) -> np.ndarray:
        """Velocities (T, D): as positions, but without the shift of zero."""
        return self(rows) - self(np.zeros_like(rows))


def import_lerobot(flags: ImportFlags) -> None:
    """Read a LeRobot dataset (v2.0, v2.1, v3.0), e.g. the published ALOHA sets, as episodes."""
    lerobot.import_packages()
    root, target = Path(flags.dataset_dir), Path(flags.output_dir)
    if target.exists():
        raise FileExistsError(f"{target} exists already; choose another --output_dir")
    if flags.gripper_range[0] == flags.gripper_range[1]:
        raise ValueError(f"--gripper_range is {flags.gripper_range}; closed and open must differ")
    info = read_info(root, flags.fps)
    entries = read_entries(root, info)
    task = find_task(flags.task_name, root, entries[0], width_of(info, lerobot.STATE))
    file_names(root, entries)
    convert = {name: conversion(info, name, task, flags) for name in (lerobot.STATE, lerobot.ACTION)}
    rate = info["fps"] if info["given_fps"] == info["fps"] else f"{info['fps']} (not {info['given_fps']})"
    steps, cameras = sum(entry.length for entry in entries), ", ".join(cameras_of(info).values()) or "none"
    print(
        f"{root}: {len(entries)} episodes, {steps} steps at {rate} fps, cameras: {cameras}, task: "
        f"{task or 'not one of ours (--task_name says which)'}; assumed: joints in {flags.joint_unit}, "
        "grippers {:g} closed, {:g} open".format(*flags.gripper_range)
    )
    if flags.dry_run:
        print("nothing was written (--dry_run)")
        return
    stage = target.with_name(f".{target.name}.unfinished")
    with hold(stage):
        notes = _convert_all(entries, info, task, convert, stage, flags)
        stage.rename(target)
    print("\n".join([*sorted(set(notes)), f"{target}: {len(entries)} episodes"]))


def _convert_all(
    entries: Sequence[LeRobotEpisode],
    info: Mapping[str, Any],
    task: str,
    convert: Mapping[str, Conversion],
    stage: Path,
    flags: ImportFlags,
) -> list[str]:
    """Write the episodes into the folder `stage`, or the rest of them after a stop; returns notes."""
    units = [flags.joint_unit, list(flags.gripper_range), info["fps"]]
    identity = [str(Path(flags.dataset_dir).resolve()), task, *units]
    mark = stage / "import.json"
    if not mark.is_file() or json.loads(mark.read_text(encoding="utf-8")) != identity:
        empty_folder(stage)
        lerobot.write_json(mark, identity)
    remove_unfinished(stage)
    places = {index: stage / name for index, name in file_names(Path(flags.dataset_dir), entries).items()}
    calls = [
        (entry, dict(info), task, dict(convert), places[entry.index])
        for entry in entries
        if not places[entry.index].exists()
    ]
    progress = tqdm(
        total=len(entries), initial=len(entries) - len(calls), desc="import_lerobot", unit="episode"
    )
    notes: list[str] = []
    try:
        if calls:
            with progress, spread(convert_episode, calls, flags, progress) as results:
                notes = [note for note in results if note]
    except BaseException:
        remove_unfinished(stage)
        if any(place.exists() for place in places.values()):
            print(f"\nstopped; the same command goes on where it was; or remove {stage}")
        else:
            shutil.rmtree(stage)
        raise
    mark.unlink()
    return notes


def find_task(asked: str | None, root: Path, entry: LeRobotEpisode, dim: int) -> str:
    """Which of our tasks a dataset is of; "" if that is unknown.

    Args:
        asked: the user's, if any.
        root: the folder; aloha_sim_insertion_human(_image) stands for sim_insertion_human.
        entry: an episode, which may name its task.
        dim: number of entries in a state.

    Raises:
        ValueError: the user's task does not exist, or has states of another width.
    """
    if asked:
        task = TASKS[choose("task", asked, TASKS)]
        if task.dim != dim:
            raise ValueError(f"states have {dim} entries; those of {asked} have {task.dim}")
        return asked
    folder = root.resolve().name.removeprefix("aloha_").removesuffix("_image")
    candidates = [entry.extras.get("task", ""), entry.task, folder]
    return next((name for name in candidates if name in TASKS and TASKS[name].dim == dim), "")


def conversion(info: Mapping[str, Any], feature: str, task: str, flags: ImportFlags) -> Conversion:
    """How a state or an action is converted, by the names of its entries."""
    names = lerobot.flat_names(info["features"][feature].get("names"))
    dim = width_of(info, feature)
    names = names if len(names) == dim else []
    order = list(range(dim))
    if names and all(name.startswith(("left", "right")) for name in names):
        order.sort(key=lambda i: not names[i].startswith("left"))
    if any("gripper" in name for name in names):
        grippers = [place for place, i in enumerate(order) if "gripper" in names[i]]
    else:
        grippers = [i for i, entry in enumerate(entries_of(task, dim)) if entry.is_gripper]
    return Conversion(tuple(order), tuple(grippers), flags.joint_unit, tuple(flags.gripper_range))


# --- an episode


def convert_episode(
    entry: LeRobotEpisode, info: Mapping[str, Any], task: str, convert: Mapping[str, Conversion], place: Path
) -> str:
    """Write one episode file; returns a note for the user, or ""."""
    rows = _read_rows(entry)
    arrays = {}
    for name, feature in ARRAYS.items():
        if feature in rows:
            arrays[name] = rows[feature][:, 0] if name == "reward" else rows[feature]
    for name in ("qpos", "action"):
        arrays[name] = convert[ARRAYS[name]](arrays[name])
    width = arrays["qpos"].shape[1]
    if "qvel" in arrays and arrays["qvel"].shape[1] == width:
        arrays["qvel"] = convert[lerobot.STATE].rates(arrays["qvel"])
    for name, wanted in (("qvel", width), ("base_action", 2)):  # foreign data may be something else
        if name in arrays and arrays[name].shape[1] != wanted:
            del arrays[name]
    kept = {name: value for name, value in entry.extras.items() if name in EXTRAS}
    success = rows.get(lerobot.SUCCESS)
    start = entry.extras.get("env_state")
    attributes = {
        "success": bool(success.any()) if success is not None else None,
        "sim": bool(task) and TASKS[task].scene is not None,
        **kept,
        "task": task or kept.get("task", ""),
        "env_state": None if start is None else np.array(start),
    }
    times = rows["timestamp"][:, 0].astype(float)
    images = {
        camera: _jpegs(entry, feature, rows, times, info["fps"])
        for feature, camera in cameras_of(info).items()
    }
    Episode(**arrays, images=images, fps=info["fps"], **attributes).save(place)
    return _unit_note(arrays["qpos"], convert[lerobot.STATE])


def _read_rows(entry: LeRobotEpisode) -> dict[str, Any]:
    """Columns of an episode: arrays (T, D), or lists of images; EpisodeError if rows are missing."""
    _, arrow = lerobot.import_packages()
    try:
        table = arrow.parquet.read_table(entry.data, filters=[("episode_index", "=", entry.index)])
    except (arrow.ArrowException, OSError) as error:
        raise EpisodeError(f"{entry.data} is no Parquet file that can be read ({error})") from error
    table = table.sort_by("frame_index")
    if len(table) != entry.length:
        raise EpisodeError(
            f"{entry.data} has {len(table)} steps of episode {entry.index}; it must have {entry.length}"
        )
    rows: dict[str, Any] = {}
    for name in table.column_names:
        values = table[name].to_pylist()
        is_plain = not isinstance(values[0], dict | str)
        rows[name] = np.array(values).reshape(len(table), -1) if is_plain else values
    return rows


def _jpegs(
    entry: LeRobotEpisode, feature: str, rows: Mapping[str, Any], times: np.ndarray, fps: int
) -> JpegFrames:
    """The frames of a camera."""
    name = f"episode {entry.index}, {feature}"
    if feature in entry.videos:
        path, start = entry.videos[feature]
        frames = lerobot.decode_video(path, (start + times).tolist(), fps)
    else:
        frames = lerobot.decode_images(rows[feature], name)
    encoded = JpegFrames(name=name)
    for frame in frames:
        encoded.append(frame)
    return encoded


def _unit_note(qpos: np.ndarray, convert: Conversion) -> str:
    """A line if the states are hardly in the assumed units, else ""; joints come before grippers."""
    grippers = list(convert.grippers)
    joints = np.abs(np.delete(qpos, grippers, axis=1))
    if joints.size and joints.max() > MOST_RADIANS:
        return "note: joints beyond 10 rad: they are probably in degrees; import again with --joint_unit deg"
    opening = qpos[:, grippers]
    if opening.size and (opening.min() < -GRIPPER_SLACK or opening.max() > 1 + GRIPPER_SLACK):
        return "note: grippers far outside [0, 1]; import again with --gripper_range CLOSED OPEN"
    return ""
