"""Read the attributes of an HDF5 file, whoever wrote it, and cast only what is understood.

MATLAB, C and netCDF write arrays of one element, Julia and R bytes, people words; h5py writes none of these.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from common import command_line
from episodes.errors import EpisodeError
from episodes.hdf5.files import READ_ERRORS

MOST_BYTES = 1 << 16  # of an attribute
MOST_FPS = 10_000
RATE_SLACK = 1.1e-3  # relative distance of a rate from a whole number: 29.97 is 30 / 1.001
LARGEST = 2**63 - 1  # whole number in HDF5
MOST_TEXT = 1000  # characters
_HUGE = 1e300
_YES = {"true", "yes", "y", "t", "on", "1", "1.0"}
_NO = {"false", "no", "n", "f", "off", "0", "0.0"}
_SUCCESS = {*_YES, "success", "successful", "succeeded", "succ", "pass", "passed"}
_FAILURE = {*_NO, "failure", "fail", "failed", "unsuccessful", "not successful"}
_UNKNOWN = {"unknown", "?", "n/a"}
_ABSENT = {"", "none", "null"}  # words for a missing value


class Attributes:
    """The attributes of a file.

    Each method returns `default` for a missing attribute; for one that cannot be read, it raises EpisodeError
    with the file, the attribute and its value. `notes` says which values were reinterpreted.
    """

    def __init__(self, attributes: h5py.AttributeManager, path: Path) -> None:
        self._attributes, self._path = attributes, path
        self.notes: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """Text on one line, of printable characters."""
        value = self._value(name)
        if value is None:
            return default
        if not isinstance(value, str | int | float) or len(str(value)) > MOST_TEXT:
            raise self._error(name, _shown(value), f"must be text of at most {MOST_TEXT} characters")
        return plain_text(str(value))

    def whole(self, name: str, default: int | None, least: int = 0, most: int = LARGEST) -> int | None:
        """A whole number from `least` to `most`."""
        value = self._number(name)
        if value is None:
            return default
        if value != int(value) or not least <= value <= most:
            raise self._error(name, _shown(value), f"must be a whole number from {least} to {most}")
        return int(value)

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        value = self._number(name)
        return default if value is None else float(value)

    def yes(self, name: str, default: bool) -> bool:
        """A bool."""
        value = self._value(name)
        if value is None:
            return default
        word = _word(value)
        if word not in _YES | _NO:
            raise self._error(name, _shown(value), "must be true or false")
        return word in _YES

    def outcome(self, name: str, default: bool | None = None) -> bool | None:
        """Whether it is a success; `default` for anything that is not understood, with a note."""
        try:
            value = self._value(name)
        except EpisodeError as error:
            self.notes.append(f"{str(error).removeprefix(f'{self._path}: ')}; success is unknown")
            return default
        word = _word(value)
        if word in _SUCCESS:
            return True
        if word in _FAILURE:
            return False
        if value is not None and word not in _UNKNOWN:
            self.notes.append(
                f"attribute {name!r} is {_shown(value)}, which is not understood; it is unknown"
            )
        return default

    def rate(self, name: str, default: int) -> int:
        """Steps a second (`whole_rate`)."""
        value = self._number(name)
        if value is None:
            return default
        rate = whole_rate(value)
        if rate is None:
            problem = (
                f"must be a whole number from 1 to {MOST_FPS}; "
                f"{command_line('edit_episodes.py relabel --fps')} sets it"
            )
            raise self._error(name, _shown(value), problem)
        if rate != value:
            self.notes.append(f"fps is {value:g}, which is taken as {rate}")
        return rate

    def _number(self, name: str) -> int | float | None:
        """A finite number; None if it is missing."""
        value = self._value(name)
        if value is None:
            return None
        number = _parsed(value) if isinstance(value, str) else value
        if not isinstance(number, int | float) or not -_HUGE < number < _HUGE:
            raise self._error(name, _shown(value), "must be a finite number")
        return number

    def _value(self, name: str) -> Any:
        """An attribute's single value as a Python type; None if it is missing or says so."""
        try:
            value = self._stored(name)
        except READ_ERRORS as error:
            raise self._error(name, f"unreadable ({plain_text(str(error))})", "must be one value") from error
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.reshape(-1)[0]
        if isinstance(value, np.ndarray):
            raise self._error(name, f"an array of shape {value.shape}", "must be one value")
        if isinstance(value, h5py.Empty):
            raise self._error(name, "empty", "must be one value")
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bytes):
            value = value.rstrip(b"\0").decode("utf-8", "replace")
        return None if isinstance(value, str) and _word(value) in _ABSENT else value

    def _stored(self, name: str) -> Any:
        """The attribute as h5py gives it; an empty stand-in of the same shape if it is large."""
        if name not in self._attributes:
            return None
        stored = self._attributes.get_id(name)
        is_large = max(stored.get_storage_size(), math.prod(stored.shape or ())) > MOST_BYTES
        return np.broadcast_to(np.int8(0), stored.shape) if is_large else self._attributes[name]

    def _error(self, name: str, value: str, problem: str) -> EpisodeError:
        return EpisodeError(f"{self._path}: attribute {name!r} is {value}; it {problem}")


def whole_rate(value: float) -> int | None:
    """Steps a second as a whole number: 29.97 is 30; None if none is near, or it is out of range."""
    rate = round(value) if math.isfinite(value) else 0
    return rate if 1 <= rate <= MOST_FPS and abs(value - rate) <= RATE_SLACK * rate else None


def plain_text(text: str) -> str:
    """A file's text on one line, without control characters and invalid bytes."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _word(value: Any) -> str:
    return str(value).strip().lower()


def _parsed(text: str) -> int | float | None:
    """The number in a text; None if it is no number."""
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return None


def _shown(value: Any) -> str:
    """A value for a message, cut off if it is long."""
    text = plain_text(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
