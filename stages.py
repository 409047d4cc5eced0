"""What an episode has come to, by its contacts: reward, strict success, and what was chosen.

Geoms are looked up by name once; afterwards the contacts of a step are a set of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from schema import Pair, Stage, Task


def _contacts(geoms: Sequence[str], pair: Pair) -> frozenset[int]:
    """Every contact that a pair of names, or patterns, stands for: one number for two geoms in any order."""
    one, other = ([i for i, name in enumerate(geoms) if fnmatchcase(name, pattern)] for pattern in pair)
    if not (one and other):
        raise ValueError(f"the scene lacks a geom of the pair {pair}; it has {', '.join(sorted(geoms))}")
    return frozenset(min(a, b) * len(geoms) + max(a, b) for a in one for b in other)


class _StageIndex:
    """A stage in numbers."""

    def __init__(self, geoms: Sequence[str], stage: Stage) -> None:
        self._ways = [_WayIndex(geoms, way) for way in stage.ways]
        self.counting = [way for way in self._ways if way.after]

    def holds(self, touching: set[int]) -> bool:
        return any(way.holds(touching) for way in self._ways)


class _WayIndex:
    """A way in which a stage can hold: sets of contacts, of which one each must be there, and contacts that
    must not.
    """

    def __init__(self, geoms: Sequence[str], stage: Stage) -> None:
        self.touch = [_contacts(geoms, pair) for pair in stage.touch]
        self.clear = frozenset().union(*(_contacts(geoms, pair) for pair in stage.clear))
        self.after = stage.after
        self.steps_clear = 0  # of this episode

    def holds(self, touching: set[int]) -> bool:
        return (
            self.steps_clear >= self.after
            and touching.isdisjoint(self.clear)
            and not any(map(touching.isdisjoint, self.touch))
        )


class Judge:
    """Follows an episode of a task, step by step."""

    def __init__(self, task: Task, geoms: Sequence[str]) -> None:
        """`geoms`: names, by number. ValueError if a stage names one that is not there."""
        self._n_geoms = len(geoms)
        self._stages = [_StageIndex(geoms, stage) for stage in task.stages]
        self._strict = _StageIndex(geoms, task.strict) if task.strict else None
        self._strict_steps = task.strict_steps
        self._choices = {stage.label: _StageIndex(geoms, stage) for stage in task.choices}
        stages = [*self._stages, *self._choices.values(), *([self._strict] if self._strict else [])]
        self._counting = [way for stage in stages for way in stage.counting]
        self.reset()

    def reset(self) -> None:
        """Begin an episode."""
        for way in self._counting:
            way.steps_clear = 0
        self._strict_run, self._strict_success = 0, False  # steps; in this episode so far
        self._choice: str | None = None

    def observe(self, contacts: np.ndarray) -> None:
        """Take note of the contacts (C, 2), as geom numbers, after a control step."""
        touching = self._touching(contacts)
        for way in self._counting:
            way.steps_clear += touching.isdisjoint(way.clear)
        for label, stage in self._choices.items():
            if stage.holds(touching):
                self._choice = label
        if self._strict:
            held = self._stages[-1].holds(touching) and self._strict.holds(touching)
            self._strict_run = self._strict_run + 1 if held else 0
            self._strict_success |= self._strict_run >= self._strict_steps

    def reward(self, contacts: np.ndarray) -> int:
        """Number of the highest stage that holds at contacts (C, 2); 0 if none does."""
        touching = self._touching(contacts)
        numbers = range(len(self._stages), 0, -1)
        return next((number for number in numbers if self._stages[number - 1].holds(touching)), 0)

    def _touching(self, contacts: np.ndarray) -> set[int]:
        """Contacts as `_contacts` numbers them."""
        return set((contacts.min(axis=1) * self._n_geoms + contacts.max(axis=1)).tolist())

    @property
    def strict_success(self) -> bool | None:
        """Whether the last stage and the task's `strict` have held for `strict_steps` running, this episode.

        None if the task does not say what strict is.
        """
        return self._strict_success if self._strict else None

    @property
    def choice(self) -> str | None:
        """Label of the one of the task's `choices` that held last in this episode; None if none has."""
        return self._choice
