"""LeRobot's datasets (lerobot_format.py), v2.0, v2.1 and v3.0, as they are written and as they are mended.

The published ALOHA sets (lerobot/aloha_sim_*, which are ACT's) have joints in rad and grippers in [0 closed,
1 open].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from episodes import EpisodeError, JpegFrames, listed
from readers.base import Reader, Recorded, Recording, Survey
from readers.lerobot import lerobot_format as lerobot
from readers.lerobot.columns import Column, Contents, columns_of, contents_of
from readers.lerobot.frames import choose_frames, decode_images
from readers.lerobot.index import (
    Index,
    LeRobotEpisode,
    Span,
    file_names,
    missing_file,
    read_index,
    why_no_pictures,
)
from readers.lerobot.info import Info, is_dataset, read_info
from readers.lerobot.paths import camera_folders
from readers.lerobot.rows import Rows, read_rows, rows_in
from readers.pictures import frames_of

LOOKED_AT = 20  # data files that are tried until one can be read


@dataclass(frozen=True)
class Key:
    """What is needed to read an episode."""

    root: Path
    entry: LeRobotEpisode
    features: Mapping[str, str]  # by camera
    first: int  # the first row of its data file, in the whole dataset


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
        return is_dataset(path)

    def survey(self, path: Path, fps: int | None) -> Survey:
        lerobot.import_packages()
        info = _with_cameras(read_info(path, fps))
        index = read_index(info, [name for name, f in info.features.items() if f.get("dtype") == "video"])
        contents = contents_of(info, _first_columns(index))
        contents, notes = _without_lost_cameras(contents, index)
        recordings = _recordings(info, index, contents)
        rate = str(info.fps) if info.given_fps == info.fps else f"{info.fps} (not {info.given_fps})"
        first = index.episodes[0]
        folder = path.resolve().name.removeprefix("aloha_").removesuffix("_image")
        return Survey(
            [*recordings, *(Recording(name, path, problem=error) for name, error in index.damaged.items())],
            info.fps,
            rate,
            tasks=(first.extras.get("task", ""), first.task, folder),
            notes=(*info.notes, *index.notes, *contents.notes, *notes),
        )

    def read(self, recording: Recording, cameras: Sequence[str], fps: int) -> Recorded:
        key: Key = recording.key
        entry, extras = key.entry, key.entry.extras
        embedded = [key.features[camera] for camera in cameras]
        rows = read_rows(entry, [*recording.numbers, *embedded, lerobot.SUCCESS], key.first)
        videos = {
            camera: choose_frames(span, rows.times, len(rows), fps, camera)
            for camera in cameras
            if (span := _span(entry, rows, key.features[camera])) is not None
        }
        steps = min([len(rows), *(len(choice.times) for choice in videos.values())])
        recorded = Recorded(_numbers(recording, rows, steps), notes=list(rows.notes))
        for camera in cameras:
            if camera in videos:
                recorded.notes += videos[camera].notes
                recorded.images[camera] = _jpegs(
                    videos[camera].frames(), f"{recording.name}, {camera}", steps
                )
            else:
                recorded.images[camera] = _from_table(rows, key, camera, steps, recorded.notes)
        success = rows.numbers(lerobot.SUCCESS) if rows.has(lerobot.SUCCESS) else None
        start = extras.get("env_state")
        recorded.facts = {
            "success": bool(success.any()) if success is not None else None,
            **{name: value for name, value in extras.items() if name in lerobot.EXTRAS},
            "env_state": None if start is None else np.array(start),
        }
        return recorded


def _with_cameras(info: Info) -> Info:
    """The same, with the cameras whose folders are there, where info.json names no features."""
    cameras = [] if info.features else camera_folders(info.root)
    if not cameras:
        return info
    note = f"{lerobot.INFO} names no cameras; folders of videos are taken for them: {listed(cameras)}"
    features = {camera: {"dtype": "video"} for camera in cameras}
    return replace(info, features=features, notes=(*info.notes, note))


def _first_columns(index: Index) -> dict[str, Column]:
    """The columns of the first data file that can be read; {} if none can."""
    for path in list(dict.fromkeys(entry.data for entry in index.episodes if entry.data.is_file()))[
        :LOOKED_AT
    ]:
        try:
            return columns_of(path)
        except EpisodeError:
            continue
    return {}


def _without_lost_cameras(contents: Contents, index: Index) -> tuple[Contents, list[str]]:
    """The cameras of which there is a file at all, and a line on each other one; all, if none has a file."""
    lost = {
        camera: feature
        for camera, feature in contents.cameras.items()
        if feature in contents.videos
        and not any(entry.videos[feature].path.is_file() for entry in index.episodes)
    }
    if len(lost) == len(contents.cameras):
        return contents, []
    kept = {camera: feature for camera, feature in contents.cameras.items() if camera not in lost}
    notes = [f"left out: the camera {camera}, none of whose videos is there" for camera in lost]
    return replace(contents, cameras=kept), notes


def _recordings(info: Info, index: Index, contents: Contents) -> list[Recording]:
    files = file_names(info.root, index.episodes)
    firsts: dict[Path, int] = {}
    for entry in index.episodes:
        if entry.rows:
            firsts[entry.data] = min(entry.rows[0], firsts.get(entry.data, entry.rows[0]))
    return [
        Recording(
            f"episode_{entry.index}",
            entry.data,
            Key(info.root, entry, contents.cameras, firsts.get(entry.data, 0)),
            entry.length or rows_in(entry.data),
            contents.numbers,
            tuple(contents.cameras),
            contents.left_out,
            task=entry.task,
            file=files[entry.index],
            problem=missing_file(entry, [entry.data]),
            without_pictures=why_no_pictures(
                entry, [name for name in contents.cameras.values() if name in contents.videos]
            ),
        )
        for entry in index.episodes
    ]


def _span(entry: LeRobotEpisode, rows: Rows, feature: str) -> Span | None:
    """Where a camera's video of an episode is; None if its pictures are in the table."""
    span = entry.videos.get(feature)
    return None if span is None or (rows.has(feature) and not span.path.is_file()) else span


def _numbers(recording: Recording, rows: Rows, steps: int) -> dict[str, np.ndarray]:
    numbers = {}
    for name, columns in recording.numbers.items():
        values = rows.numbers(name)
        if values.shape[1] != len(columns):
            raise EpisodeError(
                f"{recording.name}: {name} has {values.shape[1]} entries, in most episodes {len(columns)}"
            )
        numbers[name] = values[:steps]
    return numbers


def _jpegs(pictures: Any, name: str, steps: int) -> JpegFrames:
    encoded = JpegFrames(name=name)
    for _, picture in zip(range(steps), pictures, strict=False):
        encoded.append(picture)
    return encoded


def _from_table(rows: Rows, key: Key, camera: str, steps: int, notes: list[str]) -> JpegFrames:
    """The pictures of a camera that are in the table: encoded, or as nested lists."""
    feature = key.features[camera]
    name = f"episode {key.entry.index}, {feature}"
    if not rows.has(feature):
        raise EpisodeError(f"{name}: the table has no such column")
    values = rows.table[feature].to_pylist()[:steps]
    if not isinstance(values[0], list):
        return _jpegs(decode_images(values, key.root, name), name, steps)
    frames, more = frames_of(np.array(values), feature, name)
    notes += more
    return frames
