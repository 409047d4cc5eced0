"""What a reader is: it knows its format, finds the recordings in a folder or file, and reads one of them."""

from __future__ import annotations

import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from episodes import READ_ERRORS, EpisodeError, JpegFrames

# what libraries raise on damaged files
BROKEN = (*READ_ERRORS, AttributeError, EOFError, zlib.error, struct.error, zipfile.BadZipFile)
Alternatives = tuple[
    tuple[str, ...], ...
]  # each a list of arrays to be put side by side; the first that fits
ROLES = ("state", "action", "qvel", "base_action", "reward", "time")  # what an array can become


@dataclass(frozen=True)
class Recording:
    """One recording, as far as it is known before its contents are read."""

    name: str  # as its source calls it
    path: Path
    key: Any = None  # whatever the reader needs to find it again
    steps: int = 0
    numbers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by array: names of its columns
    cameras: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()  # what it holds besides, and why that is not read
    task: str = ""  # in words, if it says
    file: str = ""  # of the episode to make of it; "" if its number or place decides
    problem: Exception | None = None  # why it cannot be brought in
    without_pictures: Exception | None = None  # why its pictures cannot; its numbers can


@dataclass
class Recorded:
    """The contents of a recording, in its own units."""

    numbers: dict[str, np.ndarray]  # by array: (T, d)
    images: dict[str, JpegFrames] = field(default_factory=dict)  # by camera
    facts: dict[str, Any] = field(default_factory=dict)  # fields of an Episode that are known
    notes: list[str] = field(default_factory=list)  # what was left out or reinterpreted


@dataclass(frozen=True)
class Survey:
    """The recordings that a reader found."""

    recordings: Sequence[Recording]
    fps: int | None = None  # steps a second, if the source says
    rate_text: str = ""  # the same in words
    tasks: tuple[str, ...] = ()  # which of our tasks it could be, by its names
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the source's own choices of them
    notes: tuple[str, ...] = ()


class Reader(ABC):
    """A format. To add one: a subclass in a file of its own, and its line in registry.py."""

    name: ClassVar[str]  # for --format
    title: ClassVar[str]  # what it is, for people
    roles: ClassVar[Mapping[str, Alternatives]]  # arrays that become state, action and so on
    joint_unit: ClassVar[str] = "rad"
    gripper_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    default_fps: ClassVar[int | None] = None  # of sources that do not say; None: the user must
    no_pictures: ClassVar[str] = ""  # what to do about recordings without pictures, if those are incomplete

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether a folder or file is of this format, by a look at its names or first bytes."""

    @abstractmethod
    def survey(self, path: Path, fps: int | None) -> Survey:
        """The recordings in a folder or file; `fps` is the user's. ValueError or OSError if there is none.

        A recording that is damaged is listed with its `problem`.
        """

    @abstractmethod
    def read(self, recording: Recording, cameras: Sequence[str], fps: int) -> Recorded:
        """A recording's contents, with the pictures of these cameras only.

        Raises:
            EpisodeError: it is damaged; other errors of reading are turned into one.
        """


def labels(width: int) -> tuple[str, ...]:
    """Names of columns that have none: their numbers."""
    return tuple(map(str, range(width)))


def damaged(name: str, error: Exception) -> EpisodeError:
    """The error for a recording that could not be read."""
    if isinstance(error, EpisodeError):
        return error
    return EpisodeError(f"{name} cannot be read ({one_line(error)}); it is damaged, or of another format")


def one_line(thing: object) -> str:
    """The text of a library's error, or of a value in a stranger's file, on one line and not too long."""
    return " ".join(str(thing).split())[:300] or type(thing).__name__
