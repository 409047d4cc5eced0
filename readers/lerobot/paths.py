"""Where the files of a LeRobot dataset lie: by the templates in its meta/info.json, else by their names.

Templates come from a stranger: `str.format` would do whatever they say, so they are filled by hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Any

from readers.lerobot import lerobot_format as lerobot
from readers.videos import VIDEOS

_PADDING = {True: re.compile(r"(0?\d{0,2}d?)?"), False: re.compile("s?")}  # of a number, of text
_NO_CAMERA = re.compile(r"(?i)videos?|data|(chunk|episode|ep|set)?[-_ ]*\d*")
LONGEST_NAME = 255  # bytes that a file system takes
MOST_FILES = 1_000_000  # that are looked at where files are found by their names
NAMES = {  # in the templates of LeRobot and of other programs
    "chunk": ("chunk_index", "episode_chunk", "chunk", "chunk_id", "chunk_idx"),
    "file": ("file_index", "file", "file_id", "file_idx"),
    "episode": ("episode_index", "episode", "episode_id", "episode_idx"),
    "key": ("video_key", "camera_key", "image_key", "camera", "key"),
}


class TemplateError(ValueError):
    """A template that cannot be filled; one that leads out of the dataset is a plain ValueError."""


def template_values(**values: int | str) -> dict[str, int | str]:
    """What a template may have in it, under all names in use; `values` by NAMES."""
    return {name: value for kind, value in values.items() for name in NAMES[kind]}


def place_in(root: Path, template: Any, values: Mapping[str, int | str]) -> Path:
    """A file of the dataset, by its template in meta/info.json, such as data/chunk-{chunk_index:03d}/....

    Raises:
        TemplateError: the template has other values, or values that are not plain or padded with zeros.
        ValueError: it leads to a place that is not below `root`.
    """
    where = f"{root / lerobot.INFO} has the path {template!r}"
    try:
        parts = list(Formatter().parse(template))
    except (ValueError, TypeError):
        raise TemplateError(f"{where}, which is no template of a path") from None
    text = ""
    for literal, name, spec, conversion in parts:
        text += literal
        if name is None:
            continue
        value = values.get(name)
        is_number = isinstance(value, int) and value >= 0
        if conversion or not (is_number or isinstance(value, str)) or not _PADDING[is_number].fullmatch(spec):
            raise TemplateError(f"{where}; {{{name}}} in it is not known")
        text += format(value, spec)
    if any(len(part.encode("utf-8", "replace")) > LONGEST_NAME for part in text.split("/")):
        raise TemplateError(f"{where}, which is too long for a file's name")
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


class Places:
    """The data and video files of a dataset; `notes` says which were found by their names."""

    def __init__(self, root: Path, cameras: Sequence[str]) -> None:
        self.root = root
        self.cameras = cameras  # features
        self._found: dict[str, list[str]] = {}  # by what was looked for: the files
        self._doubtful: dict[str, str] = {}  # by what was looked for: a line

    def place(
        self, template: Any, key: str, numbers: Mapping[str, int], default: str, by_episode: bool
    ) -> tuple[Path, bool]:
        """A file, and whether it is known to hold a single episode, as its name says.

        Args:
            template: of meta/info.json.
            key: the camera's feature, or "" for a table.
            numbers: episode, and chunk and file as far as they are known.
            default: where LeRobot has such a file: its template, for an error.
            by_episode: whether each file is of one episode, and bare numbers are those of episodes.

        Raises:
            ValueError: the template leads out of the dataset.
        """
        values = template_values(**numbers, **({"key": key} if key else {}))
        what = f"videos of {key}" if key else "tables"
        expected = None
        for each in (template, default):
            try:
                path = place_in(self.root, each, values)
            except TemplateError:
                continue
            expected = expected or path
            if path.is_file():
                if each is default and template not in (None, default):
                    self._note(what, path.relative_to(self.root).as_posix())
                return path, by_episode
        file, is_single = self._by_name(key, numbers, by_episode, what)
        if file is not None:
            self._note(what, file)
            return inside(self.root, self.root / file), is_single
        zeros = dict.fromkeys((*NAMES["chunk"], *NAMES["file"]), 0)
        return expected or place_in(self.root, default, {**zeros, **values}), by_episode

    def _note(self, what: str, file: str) -> None:
        self._found.setdefault(what, []).append(file)

    @property
    def notes(self) -> list[str]:
        """Lines on files that were found by their names, and on those of which there are several."""
        return [
            f"{len(files)} {what} are not where {lerobot.INFO} says, and are found by their names "
            f"({files[0]} ...)"
            for what, files in self._found.items()
        ] + list(self._doubtful.values())

    def _by_name(
        self, key: str, numbers: Mapping[str, int], by_episode: bool, what: str
    ) -> tuple[str | None, bool]:
        episode = numbers["episode"]
        wanted = [("episode", episode), ("number", episode)] if by_episode else []
        if not by_episode:
            wanted = [("episode", episode)]
            if "chunk" in numbers and "file" in numbers:
                wanted.insert(0, ("file", (numbers["chunk"], numbers["file"])))
        for kind, value in wanted:
            files = self._index.get((key, kind, value), [])
            if len(files) == 1:
                return files[0], kind != "file"
            if files:
                text = f"{len(files)} files could be it: {files[0]}, {files[1]}"
                self._doubtful.setdefault(what, f"of {what}, episode {episode}: {text}; none is taken")
                break
        return None, by_episode

    @cached_property
    def _index(self) -> dict[tuple[str, str, Any], list[str]]:
        """Files by camera ("" for tables) and number: of an episode, of chunk and file, or any."""
        index: dict[tuple[str, str, Any], list[str]] = {}
        for file in self.files:
            key, rest = _owner(file, self.cameras) if _is_video(file) else ("", file)
            if _is_video(file) and not key:
                continue
            for kind, number in _numbers(os.path.splitext(rest)[0]):
                index.setdefault((key, kind, number), []).append(file)
        return index

    @cached_property
    def files(self) -> list[str]:
        """Tables and videos of the dataset, by their path in it; not those of its meta."""
        return sorted(_walk(self.root))


def camera_folders(root: Path) -> list[str]:
    """The names of folders that tell videos apart, such as `top` of videos/chunk-000/top/1.mp4."""
    paths = [Path(file).parts[:-1] for file in _walk(root) if _is_video(file)]
    named = [[part for part in parts if not _NO_CAMERA.fullmatch(part)] for parts in paths]
    return sorted({parts[-1] for parts in named if parts})


def _is_video(file: str) -> bool:
    return Path(file).suffix.lower() in VIDEOS


def _walk(root: Path) -> Iterator[str]:
    count = 0
    for folder, folders, names in os.walk(root):
        below = Path(folder).relative_to(root)
        folders[:] = [f for f in folders if not f.startswith(".") and (below / f).as_posix() != "meta"]
        for name in names:
            count += 1
            if Path(name).suffix.lower() in (".parquet", *VIDEOS) and not name.startswith("."):
                yield (below / name).as_posix()
        if count > MOST_FILES:
            return


def _owner(file: str, cameras: Iterable[str]) -> tuple[str, str]:
    """The camera whose name is in a video's path, the longest one, and the path without that name."""
    best, rest, length, is_tie = "", file, 0, False
    cameras = list(cameras)
    for camera in cameras:
        for form in {camera, camera.removeprefix(lerobot.IMAGES), camera.removeprefix("observation.")}:
            found = re.search(rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])", file)
            if found and len(form) > length:
                best, rest, length, is_tie = (
                    camera,
                    file[: found.start()] + file[found.end() :],
                    len(form),
                    False,
                )
            elif found and len(form) == length and camera != best:
                is_tie = True
    if not best and len(cameras) == 1:
        best = cameras[0]
    return ("", file) if is_tie else (best, rest)


def _numbers(path: str) -> Iterator[tuple[str, Any]]:
    """The numbers in a file's path that can tell which one it is."""
    named = re.findall(r"(?i)(?<![a-z])ep(?:isode)?[ _\-]*(\d{1,9})(?!\d)", path)
    if named:
        yield "episode", int(named[-1])
    numbers = [int(number) for number in re.findall(r"(?<!\d)\d{1,9}(?!\d)", path)]
    own = re.findall(r"(?<!\d)\d{1,9}(?!\d)", path.rpartition("/")[2])
    if numbers and not named:
        yield "number", int(own[-1]) if own else numbers[-1]
        if len(numbers) > 1:
            yield "file", (numbers[-2], numbers[-1])
