"""Why an episode cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class EpisodeError(ValueError):
    """An episode that cannot be used; the message is one line: file, what is wrong, what would be right."""


class OpenError(EpisodeError):
    """A file that cannot be opened: locked, forbidden, missing. Its content may be sound."""


class CameraError(EpisodeError):
    """An episode lacks a requested camera."""


def is_plain(camera: str) -> bool:
    """Whether an episode can hold a camera of that name."""
    return camera.isprintable() and bool(camera.strip(". ")) and "/" not in camera


def check_widths(name: str, paths: Sequence[Path], widths: Sequence[int]) -> None:
    """EpisodeError for the first file whose rows are not as wide as those of the first."""
    for path, width in zip(paths, widths, strict=True):
        if width != widths[0]:
            raise EpisodeError(f"{path}: {name} has {width} entries a step, but {paths[0]} has {widths[0]}")
