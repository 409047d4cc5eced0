"""Which task a policy is trained on: one of constants.py, or one that is known only by its episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common import command_line, did_you_mean, quoted
from constants import MYCOBOT, TASKS, is_mycobot
from episodes import Episode, data_dir, list_episodes, whole_action
from tasks import Task

RUN = command_line("model_runs.py")


def training_task(name: str, dataset_dir: Sequence[str] | None, cameras: Sequence[str] | None = None) -> Task:
    """The task of that name, or what its episodes tell of it; ValueError if there are none.

    If `cameras` are given, the episodes are read with these alone.
    """
    if name in TASKS:
        return TASKS[name]
    folder = Path(dataset_dir[0]) if dataset_dir else data_dir(name)
    hint = did_you_mean(name, TASKS)
    if not dataset_dir and not folder.is_dir():
        raise ValueError(
            f"unknown task {name!r}; {hint}choose from {', '.join(TASKS)}; or, for a task of your own, say "
            f"by --dataset_dir where its episodes are, if not in {folder}"
        )
    print(f"{name!r} is none of the tasks in constants.py; {hint}all that is known of it is in {folder}")
    return _task_of_files(name, folder, cameras)


def _task_of_files(name: str, folder: Path, cameras: Sequence[str] | None) -> Task:
    """A task without a scene, which cannot be simulated; with an arm if its episodes are a myCobot's."""
    first = Episode.load(list_episodes(folder)[0], cameras, in_memory=False)
    if not first.images:
        raise ValueError(f"the episodes in {folder} have no camera; a policy needs at least one")
    arms = (MYCOBOT,) if is_mycobots(first) else ()
    return Task(name, episode_len=len(first), cameras=tuple(sorted(first.images)), arms=arms, fps=first.fps)


def is_mycobots(episode: Episode) -> bool:
    """Whether an episode is of a myCobot 320 or its twin, as far as its file tells."""
    task = TASKS.get(episode.task)
    is_named = episode.robot == MYCOBOT.name or (task is not None and is_mycobot(task))
    return is_named and episode.qpos.shape[1] == whole_action(episode).shape[1] == MYCOBOT.dim


def run_command(task: Task, first: Episode, ckpt_dir: str | Path) -> str | None:
    """Command that runs a policy on the arm of its episodes (`first` is one); None if it is no myCobot."""
    if not is_mycobot(task):
        return None
    simulated = task if task.scene else TASKS.get(first.task)
    if simulated is not None and simulated.scene and first.sim:
        return f"{RUN} --robot twin --ckpt_dir {quoted(ckpt_dir)} --task_name {simulated.name}"
    cameras = ",".join(f"{name}={number}" for number, name in enumerate(task.cameras))
    flags = quoted("--ckpt_dir", ckpt_dir, "--task_name", task.name, "--cameras", cameras)
    return f"{RUN} --robot mycobot320 {flags}"


def simulated_task(name: str, ckpt_dir: str | Path) -> Task:
    """The task of that name, to evaluate in; ValueError, with what to do instead, if it has no scene."""
    task = TASKS.get(name)
    if task is not None and task.scene:
        return task
    simulated = [other.name for other in TASKS.values() if other.scene]
    hint = "" if task else did_you_mean(name, simulated)
    problem = f"unknown task {name!r}; {hint}a task" if hint else f"--eval simulates, and {name!r}"
    raise ValueError(
        f"{problem}{' of your own' if hint else ''} has no scene; on the real arm it is run by: "
        f"{RUN} {quoted('--ckpt_dir', ckpt_dir, '--task_name', name)}"
    )
