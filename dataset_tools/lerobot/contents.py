"""What a dataset holds that is exported to LeRobot's format, and what a writer of one version of it does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from constants import MYCOBOT, TASKS
from episodes import BASE, Episode, EpisodeError, entries_of
from readers import lerobot_format as lerobot
from tasks import Entry

EpisodeStats = Mapping[str, lerobot.Stats]  # by feature


@dataclass(frozen=True)
class ExportedEpisode:
    """An episode to write."""

    path: Path
    header: Episode  # without images
    sizes: Mapping[str, tuple[int, int]]  # by camera: height, width (pixels)


@dataclass(frozen=True)
class Contents:
    """The episodes of a dataset, as the columns and features that every version of the format has."""

    sources: Sequence[ExportedEpisode]
    task_text: str | None = None  # the task in words; each episode's own if None
    robot_type: str | None = None  # that of the task's arm if None

    @cached_property
    def lengths(self) -> list[int]:
        """Steps of each episode."""
        return [len(source.header) for source in self.sources]

    @cached_property
    def starts(self) -> list[int]:
        """The number of each episode's first step in the whole dataset."""
        return np.cumsum([0, *self.lengths[:-1]]).tolist()

    @cached_property
    def texts(self) -> list[str]:
        """Each episode's task in words."""
        return [self.task_text or source.header.task or "unknown task" for source in self.sources]

    @cached_property
    def tasks(self) -> list[str]:
        """The different tasks, by their number."""
        return list(dict.fromkeys(self.texts))

    @property
    def cameras(self) -> list[str]:
        return list(self.sources[0].sizes)

    @property
    def fps(self) -> int:
        return self.sources[0].header.fps

    @cached_property
    def tells_success(self) -> bool:
        """Whether every episode says if it succeeded."""
        return all(source.header.success is not None for source in self.sources)

    def columns(self, i: int) -> dict[str, np.ndarray]:
        """The columns of an episode, by feature: (T, D), or (T,) if D is 1."""
        task = self.tasks.index(self.texts[i])
        columns = _columns(self.sources[i].header, self.tells_success)
        steps = columns[lerobot.INDICES[0]]
        numbers = (steps, np.full_like(steps, i), self.starts[i] + steps, np.full_like(steps, task))
        return columns | dict(zip(lerobot.INDICES, numbers, strict=True))

    @property
    def info(self) -> dict[str, Any]:
        """What meta/info.json says in every version."""
        header = self.sources[0].header
        task = TASKS.get(header.task)
        return {
            "robot_type": self.robot_type or (task.arms[0].model if task else header.robot or None),
            "total_episodes": len(self.sources),
            "total_frames": sum(self.lengths),
            "total_tasks": len(self.tasks),
            "chunks_size": lerobot.CHUNK_FILES,
            "fps": self.fps,
            "splits": {"train": f"0:{len(self.sources)}"},
            "features": features(self.sources[0], self.tells_success),
        }

    @property
    def extras(self) -> list[dict[str, Any]]:
        """Of each episode, the data that the format has no place for."""
        return [_extras(source) for source in self.sources]


class Writer(ABC):
    """Writes a dataset in one version of the format into an empty folder."""

    version: ClassVar[str]
    readers: ClassVar[str]  # which programs read it

    def __init__(self, contents: Contents, root: Path) -> None:
        self.contents, self.root = contents, root

    @abstractmethod
    def video(self, camera: str, i: int) -> Path:
        """The file that the frames of an episode are encoded to; its folder need not exist."""

    @abstractmethod
    def write(self, stats: Sequence[EpisodeStats]) -> None:
        """Write all the rest, once the videos are there; `stats` are those of each episode's features."""


def check_alike(sources: Sequence[ExportedEpisode]) -> None:
    """EpisodeError for an episode that differs from the first in cameras, rate or widths."""
    first = sources[0]
    for source in sources[1:]:
        for name, own, wanted in (
            ("cameras", dict(source.sizes), dict(first.sizes)),
            ("fps", source.header.fps, first.header.fps),
            *((name, _width(source.header, name), _width(first.header, name)) for name in lerobot.ARRAYS),
        ):
            if own != wanted:
                raise EpisodeError(
                    f"{source.path}: {name} is {own}, but {wanted} in {first.path}; all must be alike"
                )


def _width(episode: Episode, name: str) -> int | None:
    """Entries a step; None if the episode lacks it."""
    array = getattr(episode, name)
    return None if array is None else array[0].size


def _columns(episode: Episode, tells_success: bool) -> dict[str, np.ndarray]:
    """Columns of an episode by itself, without images; its numbers are 0."""
    steps = np.arange(len(episode))
    columns = {
        feature: getattr(episode, name).reshape(len(episode), -1)
        for name, feature in lerobot.ARRAYS.items()
        if getattr(episode, name) is not None
    }
    columns = {name: rows[:, 0] if rows.shape[1] == 1 else rows for name, rows in columns.items()}
    columns[lerobot.DONE] = steps == len(episode) - 1
    if tells_success:
        columns[lerobot.SUCCESS] = columns[lerobot.DONE] & bool(episode.success)
    columns["timestamp"] = (steps / episode.fps).astype(np.float32)
    return columns | dict.fromkeys(lerobot.INDICES, np.zeros_like(steps)) | {lerobot.INDICES[0]: steps}


def arrow_table(columns: Mapping[str, np.ndarray]) -> Any:
    """A pyarrow table of columns (T, D) or (T,)."""
    _, arrow = lerobot.import_packages()

    def column(values: np.ndarray) -> Any:
        if values.ndim == 1:
            return arrow.array(values)
        return arrow.FixedSizeListArray.from_arrays(arrow.array(values.ravel()), values.shape[1])

    return arrow.table({name: column(values) for name, values in columns.items()})


def features(source: ExportedEpisode, tells_success: bool) -> dict[str, Any]:
    """The entry of each column and video in info.json."""
    episode, entries = source.header, {}
    for camera, (height, width) in source.sizes.items():
        entries[f"{lerobot.IMAGES}{camera}"] = {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": lerobot.pixel_format(height, width),
                "video.is_depth_map": False,
                "video.fps": episode.fps,
                "video.channels": 3,
                "has_audio": False,
            },
        }
    for name, values in _columns(episode, tells_success).items():
        width = values[0].size
        names = _names(episode, name, width) if values.ndim > 1 else None
        entries[name] = {"dtype": str(values.dtype), "shape": [width], "names": names}
    return entries


def _names(episode: Episode, feature: str, width: int) -> list[str]:
    own = BASE if feature == lerobot.BASE else entries_in(episode, width)
    return [entry.name for entry in own]


def entries_in(episode: Episode, width: int) -> Sequence[Entry]:
    """The entries of its state or action; a person's own task on the myCobot has those of the arm."""
    is_mycobots = episode.robot == MYCOBOT.name and width == len(MYCOBOT.entries)
    return MYCOBOT.entries if is_mycobots else entries_of(episode.task, width)


def _extras(source: ExportedEpisode) -> dict[str, Any]:
    episode = source.header
    start = None if episode.env_state is None else episode.env_state.tolist()
    return {
        "file": source.path.name,
        **{name: getattr(episode, name) for name in lerobot.EXTRAS},
        "env_state": start,
    }
