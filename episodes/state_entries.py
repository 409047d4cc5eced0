"""Names of the entries of states and actions: the task's if it is one of ours, else numbers."""

from __future__ import annotations

from constants import TASKS
from episodes.episode import Episode
from tasks import Entry

ARM_DIM = 7  # of an arm in files without a task: six joints and a gripper, as in ACT and ACT++
AS_RECORDED = "as recorded"  # the unit, if the file does not say
BASE = tuple(  # a mobile base's speeds, as ACT++ orders them
    Entry(f"{way}_speed", f"{way} speed", "base", AS_RECORDED) for way in ("linear", "angular")
)


def entries_of(task_name: str, width: int) -> tuple[Entry, ...]:
    """The entries of a state or an action of that width.

    If no task of ours has that name and width, they are numbered; of one arm or several of seven, the seventh
    is the gripper.
    """
    task = TASKS.get(task_name)
    if task is not None and task.dim == width:
        return task.entries
    grippers = range(ARM_DIM - 1, width, ARM_DIM) if width % ARM_DIM == 0 else ()
    return tuple(
        Entry(f"joint_{i}", f"joint {i}", "joints", AS_RECORDED, is_gripper=i in grippers)
        for i in range(width)
    )


def entries(episode: Episode) -> tuple[Entry, ...]:
    """The D entries of an episode's state."""
    return entries_of(episode.task, episode.qpos.shape[1])


def action_entries(episode: Episode) -> tuple[Entry, ...]:
    """The entries of `whole_action`: the state's, further ones of the action, the speeds of a base."""
    of_state, width = entries(episode), episode.action.shape[1]
    numbers = range(len(of_state), width)
    more = (Entry(f"action_{i}", f"action {i}", "more actions", AS_RECORDED) for i in numbers)
    return (*of_state[:width], *more, *(() if episode.base_action is None else BASE))
