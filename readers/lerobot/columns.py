"""What the columns of a LeRobot data file hold: numbers, pictures or text. The file counts, not info.json."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from episodes import EpisodeError
from readers.base import labels, one_line
from readers.lerobot import lerobot_format as lerobot
from readers.lerobot.info import Info
from readers.pictures import is_depth, picture_form

OTHERS = (*lerobot.INDICES, "timestamp", lerobot.DONE, lerobot.SUCCESS)  # columns of every set
LOOKED_AT = 20  # rows of a file: the first may have gaps
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
SIGNATURES = (b"\x89PNG", b"\xff\xd8", b"BM", b"RIFF")  # first bytes of encoded pictures


@dataclass(frozen=True)
class Column:
    """A column of a data file."""

    kind: str  # numbers, pictures (encoded, or paths of files), pixels, text, other
    shape: tuple[int, ...] = ()  # of a row


@dataclass(frozen=True)
class Contents:
    """What the recordings of a dataset hold."""

    numbers: Mapping[str, tuple[str, ...]]  # by feature: names of its columns
    cameras: Mapping[str, str]  # feature by camera's name
    videos: tuple[str, ...]  # features that are videos
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def columns_of(path: Path) -> dict[str, Column]:
    """The columns of a data file, by its types and its first rows; EpisodeError if it cannot be read."""
    _, arrow = lerobot.import_packages()
    cells: dict[str, Any] = {}  # of each column, the first that holds something
    try:
        with arrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names if file.metadata.num_rows else []
            for batch in itertools.islice(file.iter_batches(batch_size=1), LOOKED_AT):
                (row,) = batch.to_pylist()
                cells = {name: value for name, value in row.items() if _is_whole(value)} | cells
                if len(cells) == len(names):
                    break
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise EpisodeError(f"{path} is no Parquet file that can be read ({one_line(error)})") from error
    return {name: _column(name, cells.get(name)) for name in names}


def _is_whole(value: Any) -> bool:
    """Whether a cell holds something, without gaps."""
    return value is not None and not (isinstance(value, list) and None in value)


def _column(name: str, value: Any) -> Column:
    """What a column holds, by a value of it."""
    if isinstance(value, Mapping):
        is_file = str(value.get("path")).lower().endswith(PICTURES)
        return Column("pictures" if value.get("bytes") or is_file else "other")
    if isinstance(value, bytes):
        return Column("pictures" if value.startswith(SIGNATURES) else "other")
    if isinstance(value, str):
        return Column("pictures" if value.lower().endswith(PICTURES) else "text")
    try:
        rows = np.array(value)
    except ValueError:
        return Column("other")
    if rows.dtype.kind not in "biuf":
        return Column("other")
    is_picture = len(rows.shape) == 3 and picture_form(name, rows.dtype, (1, *rows.shape)) in ("hwc", "chw")
    return Column("pixels" if is_picture else "numbers", rows.shape)


def contents_of(info: Info, columns: Mapping[str, Column]) -> Contents:
    """What the recordings hold, by info.json and the columns of a data file ({}: none can be read).

    Raises:
        ValueError: two cameras would get the same name.
    """
    numbers, left_out, notes, videos, pictures = {}, [], [], [], []
    for name in dict.fromkeys((*info.features, *columns)):
        feature, column = info.features.get(name, {}), columns.get(name)
        dtype = feature.get("dtype")
        is_video = dtype == "video" and (column is None or column.kind in ("text", "other"))
        is_camera = is_video or dtype == "image" or (column and column.kind in ("pictures", "pixels"))
        if is_camera and _is_depth(name, feature):
            left_out.append(f"{name}: taken for depth, which no policy here looks at")
        elif is_camera and (is_video or column or not columns):
            pictures.append(name)
            videos += [name] if is_video else []
        elif name in OTHERS:
            continue
        elif column and column.kind != "numbers":
            left_out.append(f"{name}: {column.kind}")
        elif columns and not column:
            left_out.append(f"{name}: {lerobot.INFO} names it, but the tables lack it")
        elif dtype != "string":
            said = _said_width(feature)
            width = math.prod(column.shape) if column else said
            if width:
                numbers[name] = _labels(feature, width)
            elif column:
                left_out.append(f"{name}: empty lists")
            if column and said not in (None, width):
                notes.append(f"{name} has {width} entries; {lerobot.INFO} says {said}")
    cameras = cameras_of(pictures)
    return Contents(numbers, cameras, tuple(videos), tuple(left_out), tuple(notes))


def cameras_of(features: Sequence[str]) -> dict[str, str]:
    """Feature by camera's name; ValueError if two would get the same name.

    Characters that no camera's name may have, such as "/", become "_".
    """
    names = {}
    for feature in features:
        name = feature.removeprefix(lerobot.IMAGES).removeprefix("observation.")
        plain = "".join("_" if c in "/\\" or not c.isprintable() else c for c in name)
        names[feature] = plain if plain.strip(". ") else "camera"
    if len(set(names.values())) < len(names):
        text = ", ".join(f"{feature} -> {name}" for feature, name in names.items())
        raise ValueError(f"two cameras of the dataset would have one name: {text}; rename one in it")
    return {name: feature for feature, name in names.items()}


def _is_depth(name: str, feature: Mapping[str, Any]) -> bool:
    details = [feature.get(key) for key in ("info", "video_info")]
    said = any(one.get("video.is_depth_map") is True for one in details if isinstance(one, dict))
    return said or is_depth(name)


def _said_width(feature: Mapping[str, Any]) -> int | None:
    """Entries of a state or an action as info.json says it; None if it does not."""
    shape = feature.get("shape")
    shape = shape if isinstance(shape, list) else [shape]
    is_whole = all(isinstance(side, int) and 0 < side < 1 << 20 for side in shape)
    return math.prod(shape) if is_whole and math.prod(shape) < 1 << 20 else None


def _labels(feature: Mapping[str, Any], width: int) -> tuple[str, ...]:
    names = tuple(lerobot.flat_names(feature.get("names")))
    return names if len(names) == width and len(set(names)) == width else labels(width)
