"""The registry of what may be wrong with a dataset: a symptom is one function, in the file of its group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common import command_line, quoted
from doctor.survey import Examined, Survey

JOINTS, PICTURES = "joints", "pictures"  # what a symptom looks at; joints come with the header
LISTED = 6  # episodes that a line names
WITHOUT_THEM = "to leave them out: " + command_line(
    "edit_episodes.py delete --dataset_dir {folder} --output_dir NEW --episodes {episodes}"
)
LEAVE_OUT = f"look at them; {WITHOUT_THEM}"
OF_ALL = "all episodes are like this: record anew"  # instead of leaving all of them out
OTHER_CAMERAS = ", or train without this camera (--camera_names)"


@dataclass(frozen=True)
class Sign:
    """Where a symptom shows."""

    what: str  # in words
    episodes: Sequence[Examined] = ()  # empty: all of them
    camera: str = ""
    values: Mapping[str, str] = field(default_factory=dict)  # for the remedy's text


@dataclass(frozen=True)
class Finding:
    """What is wrong with a dataset, what comes of it, and what to do."""

    name: str  # of its symptom
    what: str
    consequence: str
    remedy: str
    episodes: tuple[str, ...] = ()  # stems of their files; empty: all of them
    camera: str = ""

    @property
    def line(self) -> str:
        """All about it, in one line."""
        where = f"camera {self.camera!r}: " if self.camera else ""
        return f"{where}{self.what}{_listed(self.episodes)}: {self.consequence}; {self.remedy}"

    def plain(self) -> dict[str, Any]:
        """As plain values, for scripts."""
        return {
            "name": self.name,
            "what": self.what,
            "consequence": self.consequence,
            "remedy": self.remedy,
            "episodes": list(self.episodes),
            "camera": self.camera,
        }


def _listed(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f" (episodes {' '.join(map(_word, names[:LISTED]))}{more})"


def _word(name: str) -> str:
    """An episode as `--episodes` takes it."""
    short = name.removeprefix("episode_")
    return short if short.isdecimal() else name


@dataclass(frozen=True)
class Symptom:
    """One thing that may be wrong."""

    name: str
    looks_at: str  # JOINTS or PICTURES
    consequence: str
    remedy: str  # {folder}, {episodes} and the values of a sign are put in
    signs: Callable[[Survey], Iterable[Sign]]

    def findings(self, survey: Survey) -> Iterator[Finding]:
        """What shows of it in a dataset."""
        for sign in self.signs(survey):
            names = tuple(one.name for one in sign.episodes)
            values = {
                "folder": quoted(survey.folder),
                "episodes": quoted(*map(_word, names)),
                **sign.values,
            }
            remedy = self.remedy
            if len(names) == len(survey.every):
                remedy = remedy.replace(WITHOUT_THEM, OF_ALL + OTHER_CAMERAS * bool(sign.camera))
            remedy = remedy.format(**values)
            yield Finding(self.name, sign.what, self.consequence, remedy, names, sign.camera)


SYMPTOMS: dict[str, Symptom] = {}


def symptom(name: str, looks_at: str, consequence: str, remedy: str) -> Callable:
    """Register a function from a survey to its signs under a name."""

    def register(signs: Callable[[Survey], Iterable[Sign]]) -> Callable[[Survey], Iterable[Sign]]:
        SYMPTOMS[name] = Symptom(name, looks_at, consequence, remedy, signs)
        return signs

    return register
