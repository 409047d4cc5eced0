"""Replaying on the arm: the recorded actions are sent, and what is said of the joints is true."""

import os
import sys

import numpy as np
import pytest
from arm_rig import SLOW, Person, make_rig
from test_record_episodes import MOTION

from episodes.episode import Episode
from evaluation.episode_loop import Step, Steps
from mycobot_scripts import replay_episode
from mycobot_scripts.demos.tracking_error import tracking
from mycobot_scripts.kinematics.units import on_the_wire
from mycobot_scripts.replay_episode import ReplayArmConfig, load, replay, report, verdict

TASK = "mycobot320_move_cube"


def make_episode(**changes) -> Episode:
    actions = MOTION.actions()
    qpos = np.concatenate([actions[:1], actions[:-1]])
    return Episode(**{"qpos": qpos, "action": actions, "task": TASK, "fps": 10, "sim": False, **changes})


def test_the_arm_does_it_again():
    episode = make_episode()
    with make_rig(Person(), pace=SLOW, cameras=(), episode_len=12) as rig:
        steps = replay(rig.session, episode)
        np.testing.assert_allclose(steps.rows("action"), [on_the_wire(a) for a in episode.action], atol=1e-6)
        np.testing.assert_allclose(
            np.degrees(steps.rows("qpos")[0, :6]), np.degrees(episode.qpos[0, :6]), atol=4
        )
        said = report(episode, steps)
    joints = tracking(steps.rows("action"), steps.rows("qpos"), steps.rows("time"))
    assert f"{joints[5].rms:9.2f}" in said and len(said.splitlines()) == 9
    again = np.degrees(steps.rows("qpos") - episode.qpos)[:, 5]
    assert f"{np.abs(again).max():.2f} deg" in said.splitlines()[-1]
    assert joints[5].lag > 0.05  # this body's delay alone is longer


def memory(episode, off=0.0):
    """Steps of a replay whose joint 3 was `off` degrees away."""
    steps = Steps()
    for t in range(len(episode)):
        qpos = episode.qpos[t] + np.radians(off) * (np.arange(7) == 2)
        steps.append(Step(0.1 * t, qpos, 0 * qpos, episode.action[t], {}))
    return steps


def test_the_verdict_is_about_the_arm_and_the_scene():
    episode = make_episode()
    assert verdict(episode, memory(episode)).startswith("verdict: the arm did the same again")
    other = verdict(episode, memory(episode, off=4.0))
    assert "not the same motion: joint 3 was 4.0 degrees" in other and "\n" not in other
    episode.env_state, episode.reward = np.zeros(7), np.array([0.0] * (len(episode) - 1) + [3.0])
    told = {"highest_reward": 3, "max_reward": 3}
    assert "; highest reward 3 of 3, as recorded" in verdict(episode, memory(episode), told)
    assert "highest reward 1 of 3, but 3 in the recording" in verdict(
        episode, memory(episode), {**told, "highest_reward": 1}
    )


def test_q_ends_it():
    with (
        make_rig(Person(press=lambda: ["q"]), cameras=()) as rig,
        pytest.raises(RuntimeError, match="q was pressed"),
    ):
        replay(rig.session, make_episode())


@pytest.mark.parametrize(
    ("changes", "robot", "said"),
    [
        ({"task": ""}, "mycobot320", "the file names no task; add --task_name"),
        ({"task": "sim_transfer_cube_scripted"}, "mycobot320", "of another arm"),
        (
            {"action": np.full((12, 7), 90.0)},
            "mycobot320",
            "if it is in degrees, make it ours by import_recordings",
        ),
        ({}, "twin", "has no twin; --task_name one of sim_mycobot320_move_cube_scripted"),
    ],
)
def test_what_cannot_be_replayed(tmp_path, changes, robot, said):
    make_episode(**changes).save(tmp_path / "episode_0.hdf5")
    with pytest.raises(ValueError, match=said):
        load(ReplayArmConfig(dataset_dir=str(tmp_path)), robot)


def test_where_the_plot_goes_is_known_before_the_arm_moves(tmp_path, monkeypatch):
    make_episode(task="sim_mycobot320_move_cube_scripted", sim=True).save(tmp_path / "episode_0.hdf5")
    monkeypatch.setattr(replay_episode, "open_person", lambda *_: pytest.fail("the arm is opened"))
    flags = ("--robot", "twin", "--dataset_dir", str(tmp_path), "--output_dir")
    with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
        replay_episode.main([*flags, str(tmp_path / "episode_0.hdf5")])


def test_folder_or_file():
    with pytest.raises(ValueError, match="give one of --dataset_dir and --dataset_path"):
        load(ReplayArmConfig(), "twin")


def test_the_whole_script_on_the_twin(tmp_path, monkeypatch, capsys):
    start = [-0.3726, -0.0686, 0.06, 1, 0, 0, 0]
    episode = make_episode(env_state=np.array(start), task="sim_mycobot320_move_cube_scripted", sim=True)
    episode.save(tmp_path / "episode_3.hdf5")
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        flags = ["--robot", "twin", "--dataset_dir", str(tmp_path), "--episode_idx", "3", "--stale", "20"]
        replay_episode.main(flags)
    said = capsys.readouterr().out
    assert "12 steps at 10 a second" in said and "against its commands" in said
    assert "highest reward 0 of 3" in said
    assert (tmp_path / "episode_3_replay.png").read_bytes().startswith(b"\x89PNG")
