"""What is in a LeRobot dataset (lerobot_format.py), and where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools import lerobot_format as lerobot


@dataclass(frozen=True)
class Entry:
    """Where an episode is in a LeRobot dataset."""

    index: int
    length: int
    data: Path
    videos: dict[str, tuple[Path, float]]  # by feature: file, and where in it the episode begins (s)
    task: str = ""  # in words
    extras: dict[str, Any] = field(default_factory=dict)  # as `lerobot_export` kept them


def read_info(root: Path) -> dict[str, Any]:
    """meta/info.json; ValueError unless it is of a dataset that we read."""
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
    fps_of(info)
    return info


def read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file ({error})") from None


def fps_of(info: Mapping[str, Any]) -> int:
    """Steps a second; ValueError unless a whole number."""
    if info["fps"] != int(info["fps"]) or info["fps"] < 1:
        raise ValueError(f"the dataset has {info['fps']} fps; a whole number is needed")
    return int(info["fps"])


def width_of(info: Mapping[str, Any], feature: str) -> int:
    """Entries of a state or an action."""
    return int(np.prod(info["features"][feature]["shape"]))


def cameras_of(info: Mapping[str, Any]) -> dict[str, str]:
    """Feature to camera's name, of videos and images."""
    pictures = [name for name, f in info["features"].items() if f["dtype"] in ("video", "image")]
    return {name: name.removeprefix(lerobot.IMAGES).removeprefix("observation.") for name in pictures}


def read_entries(root: Path, info: Mapping[str, Any]) -> list[Entry]:
    """All episodes of the dataset; ValueError if there is none."""
    read = _read_v3 if info["codebase_version"] == lerobot.VERSION else _read_v2
    entries = sorted(read(root, info), key=lambda entry: entry.index)
    if not entries:
        raise ValueError(f"{root} holds no episodes")
    for entry in entries:
        for path in (entry.data, *(path for path, _ in entry.videos.values())):
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing, which episode {entry.index} is in")
    return entries


def _videos(info: Mapping[str, Any]) -> list[str]:
    return [name for name, feature in info["features"].items() if feature["dtype"] == "video"]


def _read_v3(root: Path, info: Mapping[str, Any]) -> Iterator[Entry]:
    _, arrow = lerobot.import_packages()
    ours = root / lerobot.OURS
    extras = read_json(ours) if ours.is_file() else []
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        names = [n for n in arrow.parquet.read_schema(path).names if not n.startswith("stats/")]
        for row in arrow.parquet.read_table(path, columns=names).to_pylist():

            def place(template: str, key: str, row: dict[str, Any] = row, **more: str) -> Path:
                numbers = {name: row[f"{key}/{name}"] for name in ("chunk_index", "file_index")}
                return root / template.format(**numbers, **more)

            index = row["episode_index"]
            yield Entry(
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


def _read_v2(root: Path, info: Mapping[str, Any]) -> Iterator[Entry]:
    path = root / "meta/episodes.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; format {info['codebase_version']} has it")
    for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        index = row["episode_index"]
        numbers = {"episode_index": index, "episode_chunk": index // info["chunks_size"]}
        videos = {key: info["video_path"].format(video_key=key, **numbers) for key in _videos(info)}
        yield Entry(
            index,
            row["length"],
            root / info["data_path"].format(**numbers),
            {key: (root / name, 0.0) for key, name in videos.items()},
            next(iter(row.get("tasks") or []), ""),
        )
