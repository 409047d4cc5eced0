"""LeRobot's datasets (lerobot_format.py), v2.0, v2.1 and v3.0, e.g. the published ALOHA sets.

Those (lerobot/aloha_sim_*, which are ACT's) have joints in rad and grippers in [0 closed, 1 open].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from episodes import EpisodeError, JpegFrames
from readers import lerobot_format as lerobot
from readers.base import Reader, Recorded, Recording, Survey, labels
from readers.lerobot_index import (
    LeRobotEpisode,
    cameras_of,
    file_names,
    missing_file,
    read_entries,
    read_info,
    width_of,
)

OTHERS = (*lerobot.INDICES, "timestamp", lerobot.DONE, lerobot.SUCCESS)  # columns of every set


class LeRobot(Reader):
    """See the file."""

    name = "lerobot"
    title = "LeRobot datasets, v2.0, v2.1 and v3.0"
    roles = {
        "state": ((lerobot.STATE,),),
        "action": ((lerobot.ACTION,),),
        "qvel": ((lerobot.VELOCITY,),),
        "base_action": ((lerobot.BASE,),),
        "reward": ((lerobot.REWARD,),),
    }

    def recognises(self, path: Path) -> bool:
        return (path / lerobot.INFO).is_file()

    def survey(self, path: Path, fps: int | None) -> Survey:
        lerobot.import_packages()
        info = read_info(path, fps)
        entries = read_entries(path, info)
        first = entries[0]
        folder = path.resolve().name.removeprefix("aloha_").removesuffix("_image")
        rate = (
            str(info["fps"])
            if info["given_fps"] == info["fps"]
            else f"{info['fps']} (not {info['given_fps']})"
        )
        files = file_names(path, entries)
        recordings = [_recording(entry, info, files[entry.index]) for entry in entries]
        return Survey(
            recordings,
            info["fps"],
            rate,
            tasks=(first.extras.get("task", ""), first.task, folder),
        )

    def read(self, recording: Recording, cameras: Sequence[str], fps: int) -> Recorded:
        entry, features = recording.key
        rows = _read_rows(entry)
        numbers = {name: rows[name] for name in recording.numbers if name in rows}
        kept = {name: value for name, value in entry.extras.items() if name in lerobot.EXTRAS}
        success = rows.get(lerobot.SUCCESS)
        start = entry.extras.get("env_state")
        facts = {
            "success": bool(success.any()) if success is not None else None,
            **kept,
            "env_state": None if start is None else np.array(start),
        }
        times = rows["timestamp"][:, 0].astype(float)
        images = {camera: _jpegs(entry, features[camera], rows, times, fps) for camera in cameras}
        return Recorded(numbers, images, facts)


def _recording(entry: LeRobotEpisode, info: Mapping[str, Any], file: str) -> Recording:
    features = {camera: feature for feature, camera in cameras_of(info).items()}
    numbers = {}
    for name, feature in info["features"].items():
        if name not in OTHERS and name not in features.values() and feature["dtype"] != "string":
            width = width_of(info, name)
            names = tuple(lerobot.flat_names(feature.get("names")))
            numbers[name] = names if len(names) == width else labels(width)
    return Recording(
        f"episode_{entry.index}",
        entry.data,
        (entry, features),
        entry.length,
        numbers,
        tuple(features),
        task=entry.task,
        file=file,
        problem=missing_file(entry, [entry.data]),
        without_pictures=missing_file(entry, [path for path, _ in entry.videos.values()]),
    )


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
