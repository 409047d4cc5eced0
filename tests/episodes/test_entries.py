"""What the entries of states and actions are called is the same everywhere it is shown or written."""

import numpy as np
import pytest

from constants import TASKS
from dataset_tools.lerobot.contents import ExportedEpisode, features
from dataset_tools.transforms import gripper_columns
from episodes.episode import Episode
from episodes.state_entries import action_entries, entries
from viewers.series import series_of


def episode(dim, width, task="", base=False):
    speeds = np.zeros((3, 2)) if base else None
    return Episode(np.zeros((3, dim)), np.zeros((3, width)), base_action=speeds, task=task)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_names_its_entries(name):
    task = TASKS[name]
    own = entries(episode(task.dim, task.dim, name))
    assert tuple(entry.name for entry in own) == task.state_names
    for entry in own:
        is_gripper = entry.name.endswith("_gripper")
        assert entry.is_gripper == is_gripper
        assert entry.unit == ("0 closed, 1 open" if is_gripper else "rad")
        assert (entry.span is not None) == is_gripper
    assert action_entries(episode(task.dim, task.dim, name)) == own


@pytest.mark.parametrize("task", ["", "elsewhere", "sim_transfer_cube_scripted"])
def test_entries_that_no_task_names_are_numbered(task):
    made = episode(8, 10, task, base=True)
    names = [f"joint_{i}" for i in range(8)]
    assert [entry.name for entry in entries(made)] == names
    assert {entry.unit for entry in action_entries(made)} == {"as recorded"}
    more = ["action_8", "action_9", "linear_speed", "angular_speed"]
    assert [entry.name for entry in action_entries(made)] == [*names, *more]
    assert [entry.name for entry in action_entries(episode(8, 2, task))] == names[:2]
    assert gripper_columns(made) == []


@pytest.mark.parametrize(
    ("width", "grippers"), [(6, []), (7, [6]), (8, []), (14, [6, 13]), (21, [6, 13, 20])]
)
def test_of_arms_of_seven_the_seventh_is_the_gripper(width, grippers):
    made = episode(width, width, "elsewhere")
    assert gripper_columns(made) == grippers


def test_all_that_is_shown_has_the_name_that_is_written():
    made = episode(7, 9, base=True)
    shown = [series.name.replace(" ", "_") for series in series_of(made)]
    assert shown == [entry.name for entry in action_entries(made)]
    written = features(ExportedEpisode(None, made, {}), tells_success=False)
    assert written["observation.state"]["names"] == [entry.name for entry in entries(made)]
