"""What a LeRobot dataset says of itself (meta/info.json), and what its meta folder holds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from episodes import MOST_FPS, listed, whole_rate
from readers.base import one_line
from readers.lerobot import lerobot_format as lerobot
from readers.videos import VIDEOS

LINES, TABLE = lerobot.EPISODES_PATH_V2, "meta/episodes"  # of the episodes: in v2, in v3
KEYS = {"codebase_version", "features", "fps", "data_path", "video_path", "total_frames", "chunks_size"}
POINTER = b"version https://git-lfs.github.com/spec/"
_VERSION = re.compile(r"v?(\d+)\.(\d+)(\.\d+)?")


@dataclass(frozen=True)
class Info:
    """meta/info.json, as far as it can be used."""

    root: Path
    version: str  # of READ_VERSIONS: how the dataset is read
    fps: int
    given_fps: Any  # as the file says it
    features: Mapping[str, Mapping[str, Any]]
    data_path: Any  # templates; None if it gives none
    video_path: Any
    chunks_size: int
    notes: tuple[str, ...]  # for the user

    @property
    def is_v3(self) -> bool:
        return self.version == lerobot.VERSION


def is_dataset(root: Path) -> bool:
    """Whether a folder has the meta data of a LeRobot dataset, or a part of it."""
    return (root / lerobot.INFO).is_file() or any(_tables(root).values())


def read_info(root: Path, fps: int | None = None) -> Info:
    """What meta/info.json says, else what the folder shows; ValueError if that is too little.

    The rate becomes a whole number: `fps` if given, or the nearest one if it is as close as 29.97 is to 30.
    """
    if not is_dataset(root):
        raise FileNotFoundError(f"{root} is no LeRobot dataset: it has no {lerobot.INFO}")
    content, notes = _content(root / lerobot.INFO)
    given = content.get("fps") if fps is None else fps
    is_rate = isinstance(given, int | float) and not isinstance(given, bool)
    rate = whole_rate(given) if is_rate else None
    if rate is None:
        lacking = f"{notes[0]}; there are {contents(root)}; " if notes else ""
        raise ValueError(
            f"{lacking}{root} has {one_line(repr(given))} fps; a whole number from 1 to {MOST_FPS} is "
            "needed: --fps says which"
        )
    version, more = _version(root, content)
    size = content.get("chunks_size")
    features = content.get("features")
    features = features if isinstance(features, dict) else {}
    return Info(
        root,
        version,
        rate,
        content.get("fps"),
        {name: feature for name, feature in features.items() if isinstance(feature, dict)},
        content.get("data_path"),
        content.get("video_path"),
        size if isinstance(size, int) and size > 0 else lerobot.CHUNK_FILES,
        (*notes, *more),
    )


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file ({error})") from None


def pointer_error(path: Path) -> FileNotFoundError | None:
    """The error if a file is only what Git LFS puts in place of one that was not fetched; else None."""
    try:
        with path.open("rb") as file:
            is_pointer = file.read(len(POINTER)) == POINTER
    except OSError:  # whoever reads it says why
        return None
    text = f"{path} is only a pointer of Git LFS, not the file: `git lfs pull` fetches it"
    return FileNotFoundError(text) if is_pointer else None


def contents(root: Path) -> str:
    """What a dataset's folder holds, in words."""
    kinds = {"tables": (".parquet",), "videos": VIDEOS}
    files = [path for path in root.rglob("*") if path.relative_to(root).parts[0] != "meta"]
    parts = [f"{sum(path.suffix.lower() in ends for path in files)} {kind}" for kind, ends in kinds.items()]
    meta = sorted(path.name for path in (root / "meta").iterdir()) if (root / "meta").is_dir() else []
    return f"{', '.join(parts)}, and in meta {', '.join(meta[:10]) or 'nothing'}"


def _content(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The object in info.json, {} if there is none, and a note about that."""
    if not path.is_file():
        return {}, [f"{path} is not there"]
    if error := pointer_error(path):
        raise error
    if not path.read_bytes().strip():
        return {}, [f"{path} is empty"]
    try:
        content = read_json(path)
    except ValueError as error:
        raise ValueError(
            f"{error}; with {{}} in it and --fps, the files are read by what they hold"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; it must hold an object, {{...}}")
    if not KEYS & set(content):
        if content:
            raise ValueError(
                f"{path} is not of LeRobot: it has {listed(content)}, but neither codebase_version nor "
                "features"
            )
        return {}, [f"{path} is empty"]
    return content, []


def _tables(root: Path) -> dict[str, bool]:
    """Whether the tables of episodes are there, by the version that has them."""
    return {"v2.1": (root / LINES).is_file(), "v3.0": bool(table_files(root))}


def table_files(root: Path) -> list[Path]:
    """The table of episodes of v3: files in folders of chunks, or one beside them."""
    return sorted((root / TABLE).glob("*/*.parquet")) or sorted((root / TABLE).glob("*.parquet"))


def _version(root: Path, content: Mapping[str, Any]) -> tuple[str, list[str]]:
    """How the dataset is read, and notes where that is not what info.json says.

    Raises:
        ValueError: it says a format that is not read.
    """
    given = content.get("codebase_version")
    match = _VERSION.fullmatch(given) if isinstance(given, str) else None
    said = f"v{match[1]}.{match[2]}" if match else None
    if given is not None and said not in lerobot.READ_VERSIONS:
        raise ValueError(
            f"{root} has LeRobot's format {one_line(given)}; {', '.join(lerobot.READ_VERSIONS)} are read: "
            "convert it with LeRobot first"
        )
    there = [version for version, is_there in _tables(root).items() if is_there]
    name = {"v2.1": LINES, "v3.0": f"{TABLE}/*.parquet"}
    other = [version for version in there if (version == lerobot.VERSION) != (said == lerobot.VERSION)]
    if said is not None and not there:
        return said, [f"there is no table of episodes ({contents(root)})"]
    if said is not None and other != there:
        also = [
            f"{lerobot.INFO} says {said}, which is read; {name[one]} of another format is not"
            for one in other
        ]
        return said, also
    if len(there) == 2:
        raise ValueError(
            f"{root} has {LINES} of format v2 and {TABLE} of v3, and {lerobot.INFO} does not say which "
            'counts; write "codebase_version": "v2.1" or "v3.0" into it'
        )
    version = there[0] if there else "v2.1"
    why = f"{lerobot.INFO} says {said or 'no codebase_version'}"
    what = (
        f"but there is {name[version]}" if there else f"and there is no table of episodes ({contents(root)})"
    )
    return version, [f"{why}, {what}: read as {version}"]
