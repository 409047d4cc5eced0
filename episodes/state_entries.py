"""What the entries of states and actions are called: by the task where it is ours, else by number."""

from __future__ import annotations

from constants import TASKS
from episodes.episode import Episode
from tasks import Entry

ARM_DIM = 7  # of an arm in files that name no task: six joints and a gripper, as all of ACT's and ACT++'s
AS_RECORDED = "as recorded"  # unit of what the file does not tell
BASE = tuple(  # a mobile base's speeds, as ACT++ orders them
    Entry(f"{way}_speed", f"{way} speed", "base", AS_RECORDED) for way in ("linear", "angular")
)


def entries_of(task_name: str, width: int) -> tuple[Entry, ...]:
    """The entries of a state or an action of that width.

    Where no task of ours has that name and width, they are numbered, and every seventh is a gripper.
    """
    task = TASKS.get(task_name)
    if task is not None and task.dim == width:
        return task.entries
    return tuple(
        Entry(f"joint_{i}", f"joint {i}", "joints", AS_RECORDED, is_gripper=i % ARM_DIM == ARM_DIM - 1)
        for i in range(width)
    )


def entries(episode: Episode) -> tuple[Entry, ...]:
    """The D entries of an episode's state."""
    return entries_of(episode.task, episode.qpos.shape[1])


def action_entries(episode: Episode) -> tuple[Entry, ...]:
    """The entries of `whole_action`: those of the state, what an action has more, the speeds of a base."""
    own, width = entries(episode), episode.action.shape[1]
    numbers = range(len(own), width)
    more = (Entry(f"action_{i}", f"action {i}", "more actions", AS_RECORDED) for i in numbers)
    return (*own[:width], *more, *(() if episode.base_action is None else BASE))
