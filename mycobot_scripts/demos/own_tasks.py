"""Finds the arm's task: one of constants.py, or a person's own, of which only the name is known.

A person's own task has the cameras of --cameras; its rate and length come from the waypoints, its earlier
episodes, or flags.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common import did_you_mean
from constants import MYCOBOT, TASKS
from episodes import Episode, list_episodes
from mycobot_scripts.robot import Setup, cameras_text, check_task, parse_cameras, tasks_of
from tasks import Task

FPS = 10  # steps a second, if nothing says otherwise: the pace of the tasks of constants.py
TWIN_TASK = "sim_mycobot320_move_cube_scripted"  # that the twin plays, if none is named
SECONDS = 60  # length of an episode, if nothing says otherwise


def is_own(task: Task) -> bool:
    """Whether a task is not in constants.py."""
    return task.name not in TASKS


def own_note(task: Task) -> str:
    """A note on the name of a person's own task, which may be a typing error."""
    hint = did_you_mean(task.name, tasks_of("mycobot320"))
    return f"{task.name!r} is a task of your own; {hint}".rstrip("; ")


def find_task(name: str, setup: Setup) -> Task:
    """The task of that name; a new one on the real arm, at 10 steps a second, if constants.py has none.

    ValueError if the arm, or its twin, cannot do it.
    """
    robot = setup.config.robot
    if name in TASKS:
        check_task(TASKS[name], robot)
        return TASKS[name]
    fit = tasks_of(robot)
    if robot == "twin":
        raise ValueError(
            f"--task_name is {name!r}, which has no scene; {did_you_mean(name, fit)}the twin plays "
            f"{', '.join(fit)}; tasks of your own are for the real arm"
        )
    task = own_task(name)
    cameras = tuple(parse_cameras(setup.config.cameras))
    if not cameras:
        raise ValueError(f"{own_note(task)}; say what it sees with, e.g. --cameras top=1; {cameras_text()}")
    return replace(task, cameras=cameras)


def task_to_drive(name: str | None, setup: Setup) -> Task:
    """What an arm without a task of its own does: the twin's scene, or a task with the cameras there are."""
    if setup.config.robot == "twin":
        return find_task(name or TWIN_TASK, setup)
    return replace(own_task(name or "drive"), cameras=tuple(parse_cameras(setup.config.cameras)))


def own_task(name: str) -> Task:
    """A person's own task, without cameras; ValueError if no folder can have its name."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"--task_name is {name!r}; it must be made of letters, digits, _ - and ., as its folder will be"
        )
    return Task(name, episode_len=SECONDS * FPS, cameras=(), arms=(MYCOBOT,), fps=FPS)


def first_episode(folder: Path) -> Episode | None:
    """The first episode of a folder, its pictures left in the file; None if there is none."""
    try:
        path = list_episodes(folder)[0]
    except FileNotFoundError:
        return None
    return Episode.load(path, in_memory=False)


def check_same_task(task: Task, folder: Path) -> None:
    """ValueError if a folder's episodes say that they are of another task."""
    first = first_episode(folder)
    if first is not None and first.task not in ("", task.name):
        raise ValueError(
            f"the episodes in {folder} are of {first.task}, not {task.name}; give that --task_name, "
            "or another --dataset_dir"
        )


def like_the_others(task: Task, folder: Path, fps: int | None) -> Task:
    """A person's own task at the rate of its earlier episodes, or else at `fps`; ValueError if its cameras
    or its rate differ from theirs.
    """
    first = first_episode(folder)
    if first is None:
        return replace(task, fps=fps or task.fps)
    if sorted(first.images) != sorted(task.cameras):
        raise ValueError(
            f"the episodes in {folder} have the cameras {', '.join(sorted(first.images))}; --cameras names "
            f"{', '.join(task.cameras)}; give the same, or another --dataset_dir"
        )
    if fps is not None and fps != first.fps:
        raise ValueError(
            f"the episodes in {folder} have {first.fps} steps a second, not {fps}; record at theirs, or into "
            "another --dataset_dir"
        )
    return replace(task, fps=first.fps)


def as_long_as(task: Task, lengths: Sequence[int | None], seconds: Sequence[float] | None) -> Task:
    """A person's own task, as long as its longest demonstrations (steps); ValueError if neither these nor
    --seconds give a length.
    """
    if seconds is None and not all(lengths):
        raise ValueError("a checkpoint does not say how long its demonstrations were; give --seconds")
    return replace(task, episode_len=max((length for length in lengths if length), default=task.episode_len))
