"""The episodes of a LeRobot dataset (lerobot_format.py), and where they lie."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from episodes import EpisodeError, episode_path, is_episode_name
from readers.base import one_line
from readers.lerobot import lerobot_format as lerobot
from readers.lerobot.info import Info, pointer_error, read_json, table_files
from readers.lerobot.paths import Places, inside

MOST_EPISODES = 10**9


@dataclass(frozen=True)
class Span:
    """Where a camera's pictures of an episode are: from `start` to `end` (s) of a video."""

    path: Path
    start: float = 0.0
    end: float | None = None  # None: to its end
    is_shared: bool = False  # by episodes of which nothing says where in it they begin


@dataclass(frozen=True)
class LeRobotEpisode:
    """Where an episode is in a LeRobot dataset."""

    index: int
    length: int | None  # None: as many rows as the file has
    data: Path
    is_alone: bool  # in its data file
    rows: tuple[int, int] | None  # first and one after the last, in the whole dataset, if known
    videos: dict[str, Span]  # by feature
    task: str = ""  # in words
    extras: dict[str, Any] = field(default_factory=dict)  # as `lerobot_export` kept them


@dataclass(frozen=True)
class Index:
    """The episodes that were found."""

    episodes: Sequence[LeRobotEpisode]
    damaged: Mapping[str, EpisodeError]  # entries of the table that cannot be read, by a name for each
    notes: Sequence[str]


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


def missing_file(entry: LeRobotEpisode, paths: Sequence[Path]) -> FileNotFoundError | None:
    """The error for the first of an episode's files that is not there, or only as a pointer; else None."""
    for path in paths:
        if not path.is_file():
            return FileNotFoundError(f"{path} is missing; episode {entry.index} is in it")
        if error := pointer_error(path):
            return error
    return None


def why_no_pictures(entry: LeRobotEpisode, features: Sequence[str]) -> Exception | None:
    """Why the videos of these features cannot be read; None if they can, as far as is known."""
    spans = [entry.videos[feature] for feature in features if feature in entry.videos]
    shared = next((span.path for span in spans if span.is_shared), None)
    if shared is not None and shared.is_file():
        return EpisodeError(f"{shared} is of several episodes; nothing says where {entry.index} begins in it")
    return missing_file(entry, [span.path for span in spans])


def read_index(info: Info, cameras: Sequence[str]) -> Index:
    """All episodes of the dataset, whether or not their files are there; ValueError if there is none.

    Args:
        info: of the dataset.
        cameras: features that are videos.
    """
    places = Places(info.root, cameras)
    rows = _rows_v3(info.root) if info.is_v3 else _rows_v2(info.root, places)
    make = _entry_v3 if info.is_v3 else _entry_v2
    extras = _extras(info.root)
    entries, damaged = [], {}
    for name, row in rows:
        index = whole(row, "episode_index") if isinstance(row, dict) else None
        if index is None:
            damaged[name] = EpisodeError(f"{name} has no episode_index that can be read, and is left out")
            continue
        own = extras[index] if index < len(extras) else {}
        entries.append(make(info, row, index, places, own))
    if not entries:
        first = next(iter(damaged.values()), None)
        what = f"; {first}" if first else ": its table of them is empty, or not there"
        raise ValueError(f"{info.root} holds no episodes{what}")
    _end_at_the_next(entries)
    return Index(sorted(entries, key=lambda entry: entry.index), damaged, places.notes)


def _end_at_the_next(entries: Sequence[LeRobotEpisode]) -> None:
    """Let no episode take frames of the one after it in its video, or those of any, where that is unknown."""
    starts: dict[tuple[str, Path], list[float]] = {}
    for entry in entries:
        for key, span in entry.videos.items():
            starts.setdefault((key, span.path), []).append(span.start)
    for of_video in starts.values():
        of_video.sort()
    for entry in entries:
        for key, span in entry.videos.items():
            of_video = starts[key, span.path]
            place = bisect_right(of_video, span.start)
            ends = [*([] if span.end is None else [span.end]), *of_video[place : place + 1]]
            is_shared = place > 1 and of_video[place - 2] == span.start
            entry.videos[key] = replace(span, end=min(ends, default=None), is_shared=is_shared)


def whole(row: Mapping[str, Any], name: str) -> int | None:
    """A number of a row, from 0 on; None if it is not there or no such number."""
    value = row.get(name)
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value < MOST_EPISODES else None


def _extras(root: Path) -> list[dict[str, Any]]:
    ours = root / lerobot.OURS
    extras = read_json(ours) if ours.is_file() else []
    if not isinstance(extras, list) or not all(isinstance(one, dict) for one in extras):
        raise ValueError(f"{ours} is not of this program; it must hold a list of objects, one an episode")
    return extras


def _task(row: Mapping[str, Any]) -> str:
    tasks = row.get("tasks")
    first = tasks[0] if isinstance(tasks, list) and tasks else tasks
    return first if isinstance(first, str) else ""


def _rows_v3(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of the table of episodes, with a name for each."""
    _, arrow = lerobot.import_packages()
    for path in table_files(root):
        if error := pointer_error(inside(root, path)):
            raise error
        try:
            rows = _contents(path)
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"{path} is no Parquet file that can be read ({one_line(error)})") from None
        for i, row in enumerate(rows):
            yield f"row {i} of the table of episodes", row


def _contents(path: Path) -> list[dict[str, Any]]:
    """The rows of a table of episodes without their statistics; of columns of one name, the last counts."""
    _, arrow = lerobot.import_packages()
    names = arrow.parquet.read_schema(path).names
    if len(set(names)) < len(names):
        return arrow.parquet.ParquetFile(path).read().to_pylist()
    wanted = [name for name in names if not name.startswith("stats/")]
    return arrow.parquet.read_table(path, columns=wanted).to_pylist()


def _rows_v2(root: Path, places: Places) -> Iterator[tuple[str, Any]]:
    """Lines of the table of episodes, with a name for each; without a table, one for each data file."""
    path = root / lerobot.EPISODES_PATH_V2
    if not path.is_file():
        tables = [file for file in places.files if file.endswith(".parquet")]
        yield from ((file, {"episode_index": i}) for i, file in _numbered(tables).items())
        return
    if error := pointer_error(path):
        raise error
    for i, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines()):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield f"line {i + 1} of {lerobot.EPISODES_PATH_V2}", row


def _numbered(files: Sequence[str]) -> dict[int, str]:
    """Files by the last number in their name; only those whose number is theirs alone."""
    numbers: dict[int, list[str]] = {}
    for file in files:
        digits = "".join(c if c.isdecimal() else " " for c in Path(file).stem).split()
        if digits and len(digits[-1]) < 10:
            numbers.setdefault(int(digits[-1]), []).append(file)
    return {number: own[0] for number, own in numbers.items() if len(own) == 1}


def _entry_v2(
    info: Info, row: Mapping[str, Any], index: int, places: Places, extras: dict[str, Any]
) -> LeRobotEpisode:
    numbers = {"episode": index, "chunk": index // info.chunks_size, "file": index}
    data, is_alone = places.place(info.data_path, "", numbers, lerobot.DATA_PATH_V2, True)
    template = lerobot.VIDEO_PATH_V2
    videos = {key: places.place(info.video_path, key, numbers, template, True)[0] for key in places.cameras}
    return LeRobotEpisode(
        index,
        whole(row, "length"),
        data,
        is_alone,
        None,
        {key: Span(path) for key, path in videos.items()},
        _task(row),
        extras,
    )


def _entry_v3(
    info: Info, row: Mapping[str, Any], index: int, places: Places, extras: dict[str, Any]
) -> LeRobotEpisode:
    def place(key: str, prefix: str, template: Any, default: str) -> tuple[Path, bool]:
        numbers = {kind: whole(row, f"{prefix}/{kind}_index") for kind in ("chunk", "file")}
        known = {kind: number for kind, number in numbers.items() if number is not None}
        return places.place(template, key, {"episode": index, **known}, default, False)

    data, is_alone = place("", "data", info.data_path, lerobot.DATA_PATH)
    videos = {}
    for key in places.cameras:
        path, is_own = place(key, f"videos/{key}", info.video_path, lerobot.VIDEO_PATH)
        start, end = (row.get(f"videos/{key}/{side}_timestamp") for side in ("from", "to"))
        if isinstance(start, int | float) and not is_own:
            # some programs write when the last frame begins, in place of when it ends
            end = end + 1 / info.fps if isinstance(end, int | float) else None
            videos[key] = Span(path, start, end)
        else:
            videos[key] = Span(path)
    first, last = whole(row, "dataset_from_index"), whole(row, "dataset_to_index")
    rows = (first, last) if first is not None and last is not None and first < last else None
    return LeRobotEpisode(index, whole(row, "length"), data, is_alone, rows, videos, _task(row), extras)
