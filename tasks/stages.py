"""Judge an episode by contacts and positions: reward, strict success, choice.

Geoms are looked up by name once; afterwards the contacts of a step are a set of numbers. `scene.Places` looks
places up in the scene and passes their positions by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from common import did_you_mean
from tasks.parts import Near, Pair, Stage
from tasks.schema import Task

Positions = Mapping[str, np.ndarray]  # of props and places: (3,) in m, world frame


def all_stages(task: Task) -> tuple[Stage, ...]:
    """Every stage that the judge follows: for the reward, strict success and the choice."""
    return (*task.stages, *task.choices, *([task.strict] if task.strict else []))


def places_of(task: Task) -> list[str]:
    """Names of the props and places whose positions the judge needs, in order."""
    nears = [near for stage in all_stages(task) for way in stage.ways for near in way.nears]
    names = [name for prop, place, _ in nears for name in (prop, place) if isinstance(name, str)]
    return list(dict.fromkeys(names))


def _is_near(near: Near, where: Positions) -> bool:
    prop, place, metres = near
    goal = where[place] if isinstance(place, str) else np.array(place)
    return float(np.linalg.norm(where[prop][: len(goal)] - goal)) <= metres


def _contacts(geoms: Sequence[str], pair: Pair) -> frozenset[int]:
    """Every contact of a pair of names or patterns; two geoms in any order are one number."""
    one, other = ([i for i, name in enumerate(geoms) if fnmatchcase(name, pattern)] for pattern in pair)
    if not (one and other):
        names = sorted(filter(None, geoms))
        hint = did_you_mean(pair[0] if not one else pair[1], names)
        problem = f"the scene lacks a geom of the pair {pair}; it has {', '.join(names)}"
        raise ValueError(f"{problem}; {hint}".rstrip("; "))
    return frozenset(min(a, b) * len(geoms) + max(a, b) for a in one for b in other)


class _StageIndex:
    """A stage in numbers."""

    def __init__(self, task: Task, geoms: Sequence[str], stage: Stage) -> None:
        try:
            self._ways = [_WayIndex(geoms, way) for way in stage.ways]
        except ValueError as error:
            raise ValueError(f"task {task.name!r}: stage {stage.label!r}: {error}") from None
        self.counting = [way for way in self._ways if way.after]

    def holds(self, touching: set[int], where: Positions) -> bool:
        return any(way.holds(touching, where) for way in self._ways)


class _WayIndex:
    """One way for a stage to hold: one contact of each set in `touch`, and none of `clear`."""

    def __init__(self, geoms: Sequence[str], stage: Stage) -> None:
        self.touch = [_contacts(geoms, pair) for pair in stage.touch]
        self.clear = frozenset().union(*(_contacts(geoms, pair) for pair in stage.clear))
        self.nears, self.after = stage.nears, stage.after
        self.steps_clear = 0  # of this episode

    def holds(self, touching: set[int], where: Positions) -> bool:
        return (
            self.steps_clear >= self.after
            and touching.isdisjoint(self.clear)
            and not any(map(touching.isdisjoint, self.touch))
            and all(_is_near(near, where) for near in self.nears)
        )


class Judge:
    """Follows an episode of a task, step by step."""

    def __init__(self, task: Task, geoms: Sequence[str]) -> None:
        """`geoms`: names, by number. ValueError if a stage names a geom that is missing."""
        self._n_geoms = len(geoms)
        self._stages = [_StageIndex(task, geoms, stage) for stage in task.stages]
        self._strict = _StageIndex(task, geoms, task.strict) if task.strict else None
        self._strict_steps = task.strict_steps
        self._choices = {stage.label: _StageIndex(task, geoms, stage) for stage in task.choices}
        stages = [*self._stages, *self._choices.values(), *([self._strict] if self._strict else [])]
        self._counting = [way for stage in stages for way in stage.counting]
        self.reset()

    def reset(self) -> None:
        """Begin an episode."""
        for way in self._counting:
            way.steps_clear = 0
        self._strict_run, self._strict_success = 0, False  # steps; in this episode so far
        self._choice: str | None = None

    def observe(self, contacts: np.ndarray, where: Positions | None = None) -> None:
        """Take in a control step: contacts (C, 2), as geom numbers, and positions of `places_of` the task."""
        touching, where = self._touching(contacts), where or {}
        for way in self._counting:
            way.steps_clear += touching.isdisjoint(way.clear)
        for label, stage in self._choices.items():
            if stage.holds(touching, where):
                self._choice = label
        if self._stages:
            held = self._stages[-1].holds(touching, where)
            if self._strict:
                held = held and self._strict.holds(touching, where)
            self._strict_run = self._strict_run + 1 if held else 0
            self._strict_success |= self._strict_run >= self._strict_steps

    def reward(self, contacts: np.ndarray, where: Positions | None = None) -> int:
        """Number of the highest stage that holds at contacts (C, 2) and positions; 0 if none does."""
        touching, where = self._touching(contacts), where or {}
        numbers = range(len(self._stages), 0, -1)
        return next((number for number in numbers if self._stages[number - 1].holds(touching, where)), 0)

    def _touching(self, contacts: np.ndarray) -> set[int]:
        """Contacts, numbered as in `_contacts`."""
        return set((contacts.min(axis=1) * self._n_geoms + contacts.max(axis=1)).tolist())

    @property
    def strict_success(self) -> bool | None:
        """Whether the last stage and `strict` have held for `strict_steps` running in this episode.

        Without `strict`: whether the last stage holds now, and has held for `strict_steps`. None if the task
        has no stages.
        """
        if not self._stages:
            return None
        return self._strict_success if self._strict else self._strict_run >= self._strict_steps

    @property
    def choice(self) -> str | None:
        """Label of the choice (`Task.choices`) that held last in this episode; None if none did."""
        return self._choice
