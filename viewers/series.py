"""What is plotted of an episode over its steps: each entry of state and action, by the name it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from constants import TASKS
from episodes import Episode

SPEEDS = ("linear speed", "angular speed")  # of a mobile base, as ACT++ orders them
GRIPPER, UNKNOWN = "0 closed, 1 open", "as recorded"  # units


@dataclass(frozen=True, eq=False)
class Series:
    """One plot: state and command (T,) each, where there is one."""

    group: str  # an arm, for example
    name: str
    unit: str
    state: np.ndarray | None = None
    command: np.ndarray | None = None


def _joint_names(episode: Episode) -> list[tuple[str, str, str]]:
    """Group, name and unit of each entry of the state: by arm where the task is ours, else by number."""
    task, dim = TASKS.get(episode.task), episode.qpos.shape[1]
    if task is None or task.dim != dim:  # recorded elsewhere: the file does not tell
        return [("joints", f"joint {i}", UNKNOWN) for i in range(dim)]
    return [
        (f"{arm.label} arm", name.replace("_", " "), GRIPPER if name == "gripper" else "rad")
        for arm in task.arms
        for name in arm.entries
    ]


def series_of(episode: Episode) -> list[Series]:
    """All entries of state and action of an episode, and the speeds of a mobile base."""
    commands = list(episode.action.T)
    found = [
        Series(*names, state, commands[i] if i < len(commands) else None)
        for i, (names, state) in enumerate(zip(_joint_names(episode), episode.qpos.T, strict=True))
    ]
    for i in range(len(found), len(commands)):
        found.append(Series("more actions", f"action {i}", UNKNOWN, command=commands[i]))
    if episode.base_action is not None:
        for name, speed in zip(SPEEDS, episode.base_action.T, strict=True):
            found.append(Series("base", name, UNKNOWN, command=speed))
    return found


def camera_order(episode: Episode) -> list[str]:
    """Cameras to show, on pages and in videos: those of the task first, as it has them."""
    known = TASKS[episode.task].cameras if episode.task in TASKS else ()
    own = [camera for camera in known if camera in episode.images]
    return own + sorted(set(episode.images) - set(own))
