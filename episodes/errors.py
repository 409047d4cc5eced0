"""Why an episode cannot be used."""

from __future__ import annotations


class EpisodeError(ValueError):
    """An episode that cannot be used; the message is one line: file, what is wrong, what would be right."""


class OpenError(EpisodeError):
    """A file that cannot be opened: locked, forbidden, missing. Its content may be sound."""


class CameraError(EpisodeError):
    """An episode lacks a requested camera."""
