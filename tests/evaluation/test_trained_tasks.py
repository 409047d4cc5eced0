"""Which task a policy is trained on, and what is said of running it."""

from dataclasses import replace

import numpy as np
import pytest
from foreign import pictures, put, write
from synthetic import make_episode

from constants import TASKS
from episodes.errors import EpisodeError
from episodes.folders import episode_path
from training.trained_tasks import is_mycobots, run_command, simulated_task, training_task

MOVE = "sim_mycobot320_move_cube_scripted"


def episode(**changes):
    made = make_episode(np.random.default_rng(0), steps=5, cameras=("top", "front"), dim=7)
    return replace(made, **{"task": "my_push", "sim": False, "fps": 10, **changes})


def test_a_task_of_constants_is_itself():
    assert training_task(MOVE, None) is TASKS[MOVE]


def test_any_other_name_is_what_its_episodes_tell(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACT_DATA_DIR", raising=False)
    episode(robot="mycobot320").save(episode_path(tmp_path / "data" / "my_push", 0))
    for folder in (None, [str(tmp_path / "data" / "my_push")]):
        task = training_task("my_push", folder)
        assert (task.name, task.cameras, task.fps) == ("my_push", ("front", "top"), 10)
        assert [arm.name for arm in task.arms] == ["mycobot320"] and task.scene is None
    assert "none of the tasks in constants.py; all that is known" in capsys.readouterr().out
    episode().save(episode_path(tmp_path / "others", 0))
    assert training_task("sim_insertion_scriptd", [str(tmp_path / "others")]).arms == ()
    assert "did you mean 'sim_insertion_scripted'?" in capsys.readouterr().out
    with pytest.raises(ValueError, match="unknown task 'my_pull'; .*--dataset_dir .*if not in data/my_pull"):
        training_task("my_pull", None)


def test_only_the_cameras_asked_for_must_be_pictures(tmp_path):
    write(tmp_path / "episode_0.hdf5", put("observations/images/side/rgb", pictures()), fps=29.97)
    with pytest.raises(EpisodeError, match="camera 'side' is a group"):
        training_task("mine", [str(tmp_path)])
    task = training_task("mine", [str(tmp_path)], ("top",))
    assert (task.cameras, task.fps) == (("top",), 30)


@pytest.mark.parametrize(
    ("changes", "is_one"),
    [
        ({"robot": "mycobot320"}, True),
        ({"task": "mycobot320_move_cube"}, True),
        ({"task": MOVE, "sim": True}, True),
        ({}, False),
        ({"task": "sim_move_cube_scripted"}, False),
        ({"robot": "mycobot320", "base_action": np.zeros((5, 2))}, False),
    ],
)
def test_whether_episodes_are_a_mycobots(changes, is_one):
    assert is_mycobots(episode(**changes)) == is_one


def test_how_a_policy_is_run_on_the_arm(tmp_path, monkeypatch):
    first = episode(robot="mycobot320")
    first.save(episode_path(tmp_path, 0))
    own = training_task("my_push", [str(tmp_path)])
    wanted = "--robot mycobot320 --ckpt_dir runs/p --task_name my_push --cameras front=0,top=1"
    assert run_command(own, first, "runs/p") == f"python3 model_runs.py {wanted}"
    on_twin = replace(first, task=MOVE, sim=True)
    assert run_command(own, on_twin, "runs/p").endswith(f"--robot twin --ckpt_dir runs/p --task_name {MOVE}")
    assert run_command(TASKS[MOVE], on_twin, "r").endswith(f"--robot twin --ckpt_dir r --task_name {MOVE}")
    real = run_command(TASKS["mycobot320_move_cube"], first, "r")
    assert "--robot mycobot320" in real and real.endswith("--cameras top=0,right_wrist=1")
    assert run_command(TASKS["sim_transfer_cube_scripted"], first, "r") is None
    assert "--ckpt_dir 'my runs/p' --task_name" in run_command(own, first, "my runs/p")
    assert "--ckpt_dir 'my runs/p' --task_name" in run_command(own, on_twin, "my runs/p")
    with pytest.raises(ValueError, match="--ckpt_dir 'my runs/p' --task_name my_push"):
        simulated_task("my_push", "my runs/p")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "my_push",
            "^--eval simulates, and 'my_push' has no scene; on the real arm it is run by: python3 model_ru",
        ),
        (
            "mycobot320_move_cube",
            "and 'mycobot320_move_cube' has no scene; .*model_runs.py --ckpt_dir runs/p ",
        ),
        (
            "sim_tranfer_cube_scripted",
            "unknown task .*; did you mean 'sim_transfer_cube_scripted'. a task of your",
        ),
    ],
)
def test_what_has_no_scene_is_not_evaluated_and_model_runs_is_named(name, said):
    assert simulated_task(MOVE, "runs/p") is TASKS[MOVE]
    with pytest.raises(ValueError, match=said) as error:
        simulated_task(name, "runs/p")
    assert "model_runs.py" in str(error.value) and "\n" not in str(error.value)
