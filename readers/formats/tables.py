"""CSV tables with one row a frame, and a video for each camera: what people make at home.

    recording_3.csv     time,qpos_0,...,qpos_6,action_0,...,action_6
    recording_3.mp4     or recording_3_top.mp4, recording_3/top.mp4: one video a camera

or a folder for each recording, with one CSV file and one video for each camera. Columns that share a name
before their number (qpos_0, qpos_1), or begin with state, qpos or action, are one array.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common import is_number
from episodes import EpisodeError
from readers.base import Reader, Recorded, Recording, Survey
from readers.videos import VIDEOS, whole_video

STATES = ("state", "qpos", "observation.state", "joints", "joint", "joint_pos", "position", "positions", "q")
ACTIONS = ("action", "actions", "command", "target")
TIMES = ("time", "timestamp", "t", "time_s")
_NUMBERED = re.compile(r"(.*?)[ ._\[(]*(\d+)[\])]?")
_NAMED = re.compile(
    rf"({'|'.join(map(re.escape, sorted((*STATES[:3], *ACTIONS), key=len, reverse=True)))})[ ._]+(.+)"
)
MOST_RATE_SPREAD = 0.05  # of the times between rows, relative: a rate is told from them
LOOKED_AT = 1 << 16  # characters of a table in which its delimiter is looked for


class Tables(Reader):
    """See the file."""

    name = "csv"
    title = "CSV tables with one row a frame, and a video for each camera"
    roles = {
        "state": tuple((name,) for name in STATES),
        "action": tuple((name,) for name in ACTIONS),
        "qvel": (("qvel",), ("velocity",)),
        "reward": (("reward",),),
        "time": tuple((name,) for name in TIMES),
    }

    def recognises(self, path: Path) -> bool:
        return bool(_tables(path))

    def survey(self, path: Path, fps: int | None) -> Survey:
        tables = _tables(path)
        if not tables:
            raise FileNotFoundError(f"{path} has no CSV tables")
        root = path if path.is_dir() else path.parent
        recordings, rates = [], set()
        for file in tables:
            recording, rate = _looked_at(file, file.relative_to(root).as_posix())
            recordings.append(recording)
            if not recording.problem:
                rates.add(rate)
        rate = rates.pop() if len(rates) == 1 else None
        notes = (f"{rate} steps a second, as the times of the rows say",) if rate and fps is None else ()
        return Survey(recordings, rate, tasks=(root.resolve().name,), notes=notes)

    def read(self, recording: Recording, cameras: Sequence[str], fps: int) -> Recorded:
        names, rows = _read(recording.path)
        places = _places(names)
        recorded = Recorded({array: rows[:, places[array]] for array in recording.numbers})
        for camera in cameras:
            video = dict(recording.key)[camera]
            recorded.images[camera] = whole_video(video, len(rows), f"{recording.name}, {camera}")
        return recorded


def _tables(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() in (".csv", ".tsv") else []
    return sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in (".csv", ".tsv") and file.is_file() and not file.name.startswith(".")
    )


def _looked_at(file: Path, name: str) -> tuple[Recording, int | None]:
    """A table's columns and videos, and the rate that its times say."""
    try:
        names, rows = _read(file)
    except (EpisodeError, OSError) as error:
        return Recording(name, file, problem=error), None
    is_whole, arrays, videos = np.isfinite(rows).all(axis=0), _arrays(names), _videos(file)
    numbers = {
        array: tuple(arrays[i][1] for i in columns)
        for array, columns in _places(names).items()
        if is_whole[columns].all()
    }
    empty = [name for name, each in zip(names, is_whole, strict=True) if not each]
    left_out = tuple(f"column {column}: not a number in every row" for column in empty)
    recording = Recording(name, file, tuple(videos.items()), len(rows), numbers, tuple(videos), left_out)
    return recording, _rate(numbers, names, rows)


def _read(file: Path) -> tuple[list[str], np.ndarray]:
    """Names of the columns and the values (T, columns), NaN for whatever is no number."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise EpisodeError(f"{file.name} is no text in UTF-8 ({error.reason})") from error
    try:
        delimiter = csv.Sniffer().sniff(text[:LOOKED_AT].partition("\n")[0], ",;\t").delimiter
    except csv.Error:
        delimiter = ","
    try:
        lines = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if row]
    except csv.Error as error:
        raise EpisodeError(f"{file.name} is no table that can be read ({error})") from error
    if len(lines) < 2:
        raise EpisodeError(
            f"{file.name} has no rows; the first line names the columns, each other is a frame"
        )
    names = [name.strip() for name in lines[0]]
    wrong = next((i for i, line in enumerate(lines) if len(line) != len(names)), None)
    if wrong is not None:
        raise EpisodeError(f"{file.name} has {len(lines[wrong])} columns in row {wrong}, not {len(names)}")
    if len(set(names)) < len(names) or all(map(is_number, names)):
        raise EpisodeError(f"{file.name} must begin with a line that names its columns, each once")
    return names, np.array([[_value(word) for word in line] for line in lines[1:]], float)


def _value(word: str) -> float:
    return float(word) if is_number(word) else np.nan


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    """The columns of each array, in the order of their numbers if they have numbers."""
    arrays, places = _arrays(names), {}
    for i, (array, _) in enumerate(arrays):
        places.setdefault(array, []).append(i)
    for columns in places.values():
        if all(arrays[i][1].isdecimal() for i in columns):
            columns.sort(key=lambda i: int(arrays[i][1]))
    return places


def _arrays(names: Sequence[str]) -> list[tuple[str, str]]:
    """The array that each column belongs to, and its name there."""
    found = []
    for name in names:
        named, numbered = _NAMED.fullmatch(name), _NUMBERED.fullmatch(name)
        if named:
            found.append((named[1], named[2]))
        elif numbered and numbered[1]:
            found.append((numbered[1], numbered[2]))
        else:
            found.append((name, name))
    return found


def _videos(file: Path) -> dict[str, Path]:
    """The videos of a table, by camera."""
    videos: dict[str, Path] = {}
    beside = [each for each in sorted(file.parent.iterdir()) if each.suffix.lower() in VIDEOS]
    tables = [each for each in file.parent.iterdir() if each.suffix.lower() in (".csv", ".tsv")]
    below = file.parent / file.stem
    for video in beside:
        if video.stem == file.stem:
            videos["video"] = video
        elif match := re.fullmatch(rf"{re.escape(file.stem)}[_\-. ](\D.*)", video.stem):
            videos[match[1]] = video
    if not videos and below.is_dir():
        videos = {each.stem: each for each in sorted(below.iterdir()) if each.suffix.lower() in VIDEOS}
    if not videos and len(tables) == 1:
        videos = {each.stem: each for each in beside}
    return videos


def _rate(numbers: dict[str, tuple[str, ...]], names: Sequence[str], rows: np.ndarray) -> int | None:
    """Steps a second by the times of the rows (s); None if there are none, or they are uneven."""
    column = next((names.index(name) for name in TIMES if name in names and name in numbers), None)
    if column is None or len(rows) < 3:
        return None
    gaps = np.diff(rows[:, column])
    gap = float(np.median(gaps))
    if gap <= 0 or abs(rows[-1, column] - rows[0, column] - gap * len(gaps)) > MOST_RATE_SPREAD * gap * len(
        gaps
    ):
        return None
    rate = round(1 / gap)
    return rate if 1 <= rate <= 1000 and abs(rate * gap - 1) <= MOST_RATE_SPREAD else None
