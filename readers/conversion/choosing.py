"""Of the recordings that were found: which are meant, which are whole and alike, and their files' names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from common import did_you_mean
from episodes import EpisodeError, episode_path, listed
from readers.base import Reader, Recording, Survey
from readers.conversion.flags import ImportFlags
from readers.conversion.layout import Layout, lay_out

_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})")


def number_of(recording: Recording) -> int | None:
    """The last number in a recording's name; None if there is none."""
    numbers = re.findall(r"\d{1,9}", _stem(recording))
    return int(numbers[-1]) if numbers else None


def _stem(recording: Recording) -> str:
    """Its name without folders and endings: run_2:1 of day/run_2.txt:1."""
    return re.sub(r"\.[A-Za-z]\w*", "", recording.name.rpartition("/")[2])


def chosen(survey: Survey, words: Sequence[str] | None) -> list[Recording]:
    """The recordings of these numbers, ranges, names, or choices of the source; all if None."""
    if words is None:
        return list(survey.recordings)
    names = {one.name for word in words for one in _of_word(survey, word)}
    return [one for one in survey.recordings if one.name in names]


def _of_word(survey: Survey, word: str) -> list[Recording]:
    named = [one for one in survey.recordings if word in (one.name, _stem(one))]
    if not named and word in survey.groups:
        named = [one for one in survey.recordings if one.name in survey.groups[word]]
    if not named and (word.isdecimal() or _RANGE.fullmatch(word)):
        first, _, last = word.partition("-")
        numbers = range(int(first), int(last or first) + 1)
        named = [one for one in survey.recordings if number_of(one) in numbers]
    if named:
        return named
    there = [*(one.name for one in survey.recordings), *survey.groups]
    raise ValueError(f"--episodes has {word!r}; {did_you_mean(word, there)}there are {listed(there)}")


def laid_out(
    recordings: Sequence[Recording], reader: Reader, flags: ImportFlags
) -> tuple[list[Recording], dict[str, Layout]]:
    """The recordings, those that differ from most of the others with a `problem`, and the others' layouts.

    Raises:
        ValueError: none of those that are whole has a state, an action, and what the user names.
    """
    layouts: dict[str, Layout] = {}
    problems: dict[str, Exception] = {one.name: one.problem for one in recordings if one.problem}
    unfit: list[ValueError] = []  # what is wrong with names and flags
    for one in recordings:
        if one.name not in problems:
            try:
                layouts[one.name] = lay_out(one, reader, flags)
            except ValueError as error:
                problems[one.name] = error
                unfit.append(error)
    if not layouts:
        raise next(iter(unfit), next(iter(problems.values())))
    kinds = {name: _kind(layout) for name, layout in layouts.items()}
    usual = Counter(kinds.values()).most_common(1)[0][0]
    for name, kind in kinds.items():
        if kind != usual:
            problems[name] = EpisodeError(f"{name} has {_words(kind)}; most have {_words(usual)}")
            del layouts[name]
    return [replace(one, problem=problems.get(one.name)) for one in recordings], layouts


def _kind(layout: Layout) -> tuple[int, int, tuple[str, ...]]:
    """What recordings must have in common: widths of state and action, cameras."""
    widths = {role: sum(len(columns) for _, columns in parts) for role, parts in layout.roles.items()}
    return widths["state"], widths.get("action", 0), tuple(sorted(layout.cameras.values()))


def _words(kind: tuple[int, int, tuple[str, ...]]) -> str:
    state, action, cameras = kind
    return f"states of {state}, actions of {action or 'none'}, and cameras {', '.join(cameras) or '(none)'}"


def file_names(recordings: Sequence[Recording]) -> tuple[dict[str, str], str]:
    """The file of each recording, by name, and a note if they are numbered anew.

    A recording keeps its number, unless another one has it too, or not all have one.
    """
    if all(one.file for one in recordings):
        return {one.name: one.file for one in recordings}, ""
    numbers: Mapping[str, int | None] = {one.name: number_of(one) for one in recordings}
    note = ""
    if None in numbers.values() or len(set(numbers.values())) < len(numbers):
        numbers = {one.name: i for i, one in enumerate(recordings)}
        note = "numbered from 0 on, as not each has a number of its own; import.json says which is which"
    return {name: episode_path("", number).name for name, number in numbers.items()}, note
