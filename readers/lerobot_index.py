"""The contents of a LeRobot dataset (lerobot_format.py), and where they lie."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np

from episodes import MOST_FPS, episode_path, is_episode_name, whole_rate
from readers import lerobot_format as lerobot

_PADDING = {True: re.compile(r"(0?\d{0,2}d)?"), False: re.compile("")}  # of a number, of text


@dataclass(frozen=True)
class LeRobotEpisode:
    """Where an episode is in a LeRobot dataset."""

    index: int
    length: int
    data: Path
    videos: dict[str, tuple[Path, float]]  # by feature: file, and where in it the episode begins (s)
    task: str = ""  # in words
    extras: dict[str, Any] = field(default_factory=dict)  # as `lerobot_export` kept them


def read_info(root: Path, fps: int | None = None) -> dict[str, Any]:
    """meta/info.json; ValueError unless we can read the dataset.

    The rate becomes a whole number: `fps` if given, or the nearest one if it is as close as 29.97 is to 30.
    """
    path = root / lerobot.INFO
    if not path.is_file():
        raise FileNotFoundError(f"{root} is no LeRobot dataset: it has no {lerobot.INFO}")
    info = read_json(path)
    version = info.get("codebase_version")
    if version not in lerobot.READ_VERSIONS:
        raise ValueError(
            f"{root} has LeRobot's format {version}; {', '.join(lerobot.READ_VERSIONS)} are read: convert it "
            "with LeRobot first"
        )
    for name in (lerobot.STATE, lerobot.ACTION):
        if name not in info["features"]:
            raise ValueError(f"{root} has no {name}; its features are {', '.join(info['features'])}")
    given = info.get("fps") if fps is None else fps
    rate = whole_rate(given) if isinstance(given, int | float) else None
    if rate is None:
        raise ValueError(
            f"{root} has {given!r} fps; a whole number from 1 to {MOST_FPS} is needed: --fps says which"
        )
    return {**info, "fps": rate, "given_fps": info.get("fps")}


def read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file ({error})") from None


def width_of(info: Mapping[str, Any], feature: str) -> int:
    """Entries of a state or an action."""
    return int(np.prod(info["features"][feature]["shape"]))


def cameras_of(info: Mapping[str, Any]) -> dict[str, str]:
    """Camera's name by feature, of videos and images; ValueError if two would get the same name.

    Characters that no camera's name may have, such as "/", become "_".
    """
    pictures = [name for name, f in info["features"].items() if f["dtype"] in ("video", "image")]
    cameras = {}
    for feature in pictures:
        name = feature.removeprefix(lerobot.IMAGES).removeprefix("observation.")
        plain = "".join("_" if c in "/\\" or not c.isprintable() else c for c in name)
        cameras[feature] = plain if plain.strip(". ") else "camera"
    if len(set(cameras.values())) < len(cameras):
        names = ", ".join(f"{feature} -> {name}" for feature, name in cameras.items())
        raise ValueError(f"two cameras of the dataset would have one name: {names}; rename one in it")
    return cameras


def file_names(root: Path, entries: Sequence[LeRobotEpisode]) -> dict[int, str]:
    """Name of each episode's file, by its index: the one that `lerobot_export` kept, or made from the index.

    ValueError unless names are plain, distinct, and of a form that `list_episodes` finds.
    """
    names: dict[int, str] = {}
    for entry in entries:
        name = entry.extras.get("file", episode_path("", entry.index).name)
        is_plain = isinstance(name, str) and name.isprintable() and not set("/\\") & set(name)
        if not is_plain or not is_episode_name(name):
            raise ValueError(
                f"{root / lerobot.OURS} calls the file of episode {entry.index} {name!r}; it must be a plain "
                "name that ends in .hdf5"
            )
        if name in names.values():
            raise ValueError(f"{root} has two episodes whose file would be called {name}; leave one out")
        names[entry.index] = name
    return names


def read_entries(root: Path, info: Mapping[str, Any]) -> list[LeRobotEpisode]:
    """All episodes of the dataset, whether or not their files are there; ValueError if there is none."""
    read = _read_v3 if info["codebase_version"] == lerobot.VERSION else _read_v2
    entries = sorted(read(root, info), key=lambda entry: entry.index)
    if not entries:
        raise ValueError(f"{root} holds no episodes")
    return entries


def missing_file(entry: LeRobotEpisode, paths: Sequence[Path]) -> FileNotFoundError | None:
    """The error for the first of an episode's files that is not there; None if all are."""
    path = next((path for path in paths if not path.is_file()), None)
    return path and FileNotFoundError(f"{path} is missing; episode {entry.index} is in it")


def _videos(info: Mapping[str, Any]) -> list[str]:
    return [name for name, feature in info["features"].items() if feature["dtype"] == "video"]


def place_in(root: Path, template: Any, **values: Any) -> Path:
    """A file of the dataset, by its template in meta/info.json, such as data/chunk-{chunk_index:03d}/....

    ValueError unless the template has only these values, plain or padded with zeros, and leads to a place
    below `root`: it comes from a stranger, and `str.format` would do whatever it says.
    """
    where = f"{root / lerobot.INFO} has the path {template!r}"
    try:
        parts = list(Formatter().parse(template))
    except (ValueError, TypeError):
        raise ValueError(f"{where}, which is no template of a path") from None
    text = ""
    for literal, name, spec, conversion in parts:
        text += literal
        if name is None:
            continue
        value = values.get(name)
        is_number = isinstance(value, int) and value >= 0
        if conversion or not (is_number or isinstance(value, str)) or not _PADDING[is_number].fullmatch(spec):
            raise ValueError(
                f"{where}; it may have {', '.join(f'{{{known}}}' for known in values)} in it alone"
            )
        text += format(value, spec)
    return inside(root, root / text)


def inside(root: Path, path: Path) -> Path:
    """The path; ValueError if it, or the target of its link, lies outside the dataset.

    In the cache of the Hugging Face Hub, files are links into the same dataset's `blobs`.
    """
    folder, place = root.resolve(), path.resolve()
    store = folder.parent.parent / "blobs"
    if place.is_relative_to(folder) or (folder.parent.name == "snapshots" and place.is_relative_to(store)):
        return path
    raise ValueError(
        f"{root} leads to {place}, which is not in it; only files of the dataset itself are read"
    )


def _read_v3(root: Path, info: Mapping[str, Any]) -> Iterator[LeRobotEpisode]:
    _, arrow = lerobot.import_packages()
    ours = root / lerobot.OURS
    extras = read_json(ours) if ours.is_file() else []
    if not isinstance(extras, list) or not all(isinstance(one, dict) for one in extras):
        raise ValueError(f"{ours} is not of this program; it must hold a list of objects, one an episode")
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        inside(root, path)
        names = [n for n in arrow.parquet.read_schema(path).names if not n.startswith("stats/")]
        for row in arrow.parquet.read_table(path, columns=names).to_pylist():

            def place(template: str, key: str, row: dict[str, Any] = row, **more: str) -> Path:
                numbers = {name: row[f"{key}/{name}"] for name in ("chunk_index", "file_index")}
                return place_in(root, template, **numbers, **more)

            index = row["episode_index"]
            yield LeRobotEpisode(
                index,
                row["length"],
                place(info["data_path"], "data"),
                {
                    key: (
                        place(info["video_path"], f"videos/{key}", video_key=key),
                        row[f"videos/{key}/from_timestamp"],
                    )
                    for key in _videos(info)
                },
                next(iter(row.get("tasks") or []), ""),
                extras[index] if index < len(extras) else {},
            )


def _read_v2(root: Path, info: Mapping[str, Any]) -> Iterator[LeRobotEpisode]:
    path = root / "meta/episodes.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; format {info['codebase_version']} has it")
    for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        index = row["episode_index"]
        numbers = {"episode_index": index, "episode_chunk": index // info["chunks_size"]}
        videos = {key: place_in(root, info["video_path"], video_key=key, **numbers) for key in _videos(info)}
        yield LeRobotEpisode(
            index,
            row["length"],
            place_in(root, info["data_path"], **numbers),
            {key: (path, 0.0) for key, path in videos.items()},
            next(iter(row.get("tasks") or []), ""),
        )
