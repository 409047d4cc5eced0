"""The plots of an episode over its steps: one for each entry of state and action, by its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constants import TASKS
from episodes import Episode, action_entries, entries


@dataclass(frozen=True, eq=False)
class Series:
    """One plot: state and command, each (T,) or None."""

    group: str  # such as an arm
    name: str
    unit: str
    state: np.ndarray | None = None
    command: np.ndarray | None = None


def series_of(episode: Episode) -> list[Series]:
    """All entries of state and action of an episode, and the speeds of a mobile base."""
    states, width = entries(episode), episode.action.shape[1]
    commands = dict(zip(action_entries(episode), _commands(episode), strict=True))
    measured = dict(zip(states, episode.qpos.T, strict=True))
    shown = [*states, *action_entries(episode)[min(width, len(states)) :]]
    return [
        Series(entry.group, entry.label, entry.unit, measured.get(entry), commands.get(entry))
        for entry in shown
    ]


def _commands(episode: Episode) -> list[np.ndarray]:
    """(T,) values of each entry of an action; the speeds of a mobile base are as recorded."""
    return [*episode.action.T, *(() if episode.base_action is None else episode.base_action.T)]


def camera_order(episode: Episode) -> list[str]:
    """Cameras in the order of pages and videos: the task's first, in its order."""
    known = TASKS[episode.task].cameras if episode.task in TASKS else ()
    own = [camera for camera in known if camera in episode.images]
    return own + sorted(set(episode.images) - set(own))
