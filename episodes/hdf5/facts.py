"""The attributes of an episode file: each is one field here, and is defined nowhere else.

A field says how its attribute is read, which values it may have, and its words for people. Files, the page of
a dataset and LeRobot datasets loop over the fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from episodes.errors import EpisodeError
from episodes.hdf5.attributes import LARGEST, MOST_FPS, Attributes

FPS = 50  # of files that do not say
_YES, _WHOLE = (bool, np.bool_), (int, np.integer)


@dataclass(frozen=True)
class _Form:
    """How an attribute is read, and which values may be saved."""

    read: Callable[..., Any]  # a method of Attributes; takes the attribute's name and default
    types: tuple[type, ...]
    wanted: str  # what it must be, in words
    least: float | None = None
    most: float | None = None

    def check(self, name: str, value: Any, source: str | Path) -> None:
        """EpisodeError, beginning with `source`, unless the value may be saved."""
        is_fit = isinstance(value, self.types)
        if not is_fit or (self.least is not None and not self.least <= value <= self.most):
            raise EpisodeError(f"{source}: {name} is {value!r}; it must be {self.wanted}")


def _whole(least: int) -> _Form:
    read = partial(Attributes.whole, least=least)
    return _Form(read, _WHOLE, f"a whole number from {least} to {LARGEST}", least, LARGEST)


def _number(least: float) -> _Form:
    types = (float, np.floating, *_WHOLE)
    return _Form(Attributes.number, types, f"a number from {least} to {LARGEST}", least, LARGEST)


_TEXT = _Form(Attributes.text, (str,), "text")
_FLAG = _Form(Attributes.yes, _YES, "true or false")
_OUTCOME = _Form(Attributes.outcome, _YES, "true, false or None")
_RATE = _Form(Attributes.rate, _WHOLE, "positive", 1, MOST_FPS)


def _fact(
    default: Any, form: _Form, words: Callable[[Any], str] | None = None, is_always_written: bool = False
) -> Any:
    """A field that is an attribute of the file.

    Args:
        default: the value in files without it; it is not written, unless `is_always_written`.
        form: how it is read, and which values it may have.
        words: a dataset's page shows these for a value other than the default; None: nothing.
        is_always_written: see `default`.
    """
    return field(
        default=default, metadata={"form": form, "words": words, "is_always_written": is_always_written}
    )


@dataclass(kw_only=True, eq=False)
class EpisodeFacts:
    """The attributes of an episode."""

    task: str = _fact("", _TEXT, is_always_written=True)
    sim: bool = _fact(True, _FLAG, is_always_written=True)
    fps: int = _fact(FPS, _RATE, is_always_written=True)  # steps a second
    seed: int | None = _fact(None, _whole(-LARGEST), "seed {}".format)
    success: bool | None = _fact(None, _OUTCOME)
    render_quality: str = _fact("", _TEXT, "rendered {}".format, is_always_written=True)
    # m, on the waypoints of the script
    noise: float = _fact(0.0, _number(-LARGEST), lambda metres: f"noise {1000 * metres:g} mm")
    # control steps that the arms may have waited before they began
    hesitate: int = _fact(0, _whole(0), "begins up to {} steps late".format)
    # how the script was followed: a name of constants.STYLES
    style: str = _fact("script", _TEXT, "as a {} does it".format)
    # it begins in the middle of an attempt, with the arms as in the first state
    recovers: bool = _fact(False, _FLAG, "begins in the middle of an attempt".format)
    # its looks were drawn at random (tasks/looks/looks.py)
    randomized: bool = _fact(False, _FLAG, "randomized looks".format)
    # how far they go: a level of tasks/looks/ranges.py
    looks: str = _fact("mild", _TEXT, "{} ones".format)
    # steps that each of them lasts; 0: the whole episode
    looks_hold: int = _fact(
        0, _whole(0), lambda n: "a look per step" if n == 1 else f"a look every {n} steps"
    )
    # disturbances that were in its way, as `--disturb` takes them
    disturbed: str = _fact("", _TEXT, "disturbed: {}".format)
    # demonstration that it was made from, as folder/name (`edit_episodes.py multiply`)
    source: str = _fact("", _TEXT, "made from {}".format)
    # how it was found where its objects were at the start (`edit_episodes.py places`); "": it was known
    places: str = _fact("", _TEXT, "places found {}".format)
    # of the twin that recorded it: seconds of the episode in a real second
    pace: float = _fact(1.0, _number(0), "twin in slow motion (pace {:g})".format)
    # name of the arm that recorded it, or whose twin did
    robot: str = _fact("", _TEXT)

    def facts(self) -> dict[str, Any]:
        """All attributes, by name."""
        return {name: getattr(self, name) for name in FACTS}

    def written_facts(self) -> dict[str, Any]:
        """The attributes to write: those that differ from their defaults, and some always."""
        facts = {name: (value, FACTS[name]) for name, value in self.facts().items()}
        return {
            name: value
            for name, (value, fact) in facts.items()
            if fact.metadata["is_always_written"] or value != fact.default
        }

    def check_facts(self, source: str | Path) -> None:
        """EpisodeError, beginning with `source`, for the first value that may not be saved."""
        for name, value in self.facts().items():
            if value is not None or FACTS[name].default is not None:
                FACTS[name].metadata["form"].check(name, value, source)

    def words(self) -> list[str]:
        """What is unusual about the episode, for people."""
        facts = [(FACTS[name].metadata["words"], name, value) for name, value in self.facts().items()]
        return [words(value) for words, name, value in facts if words and value != FACTS[name].default]


FACTS: dict[str, Field] = {fact.name: fact for fact in fields(EpisodeFacts)}


def read_facts(attributes: Attributes, **known: Any) -> dict[str, Any]:
    """Attributes of a file, by name; values in `known` replace the file's."""
    return {
        name: known[name] if name in known else fact.metadata["form"].read(attributes, name, fact.default)
        for name, fact in FACTS.items()
    }
