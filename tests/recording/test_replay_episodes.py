"""Short episodes of a task whose stage is a cube in the air, replayed as users replay them."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

import constants
import replay_episodes as script
from common import cli
from constants import Stream, get_task
from episodes.episode import Episode
from episodes.folders import episode_path
from evaluation.demonstrations import run_episode
from sim_env import SimEnv, make_sim_env
from tasks.parts import Stage

SCRIPT = Path(script.__file__)
TRANSFER = get_task("sim_transfer_cube_scripted")
ON_TABLE = Stage("on the table", touch=(("red_box", "table"),))
FALL = replace(TRANSFER, name="sim_fall", episode_len=8, stages=(ON_TABLE,))
LOW = np.array([0.1, 0.5, 0.022, 1, 0, 0, 0])  # 2 mm above the table: it falls within the episode
HIGH = np.array([0.1, 0.5, 0.2, 1, 0, 0, 0])


@pytest.fixture(scope="module")
def env():
    env = make_sim_env(FALL)
    yield env
    env.close()


def wave(env, env_state):
    """An episode in which both arms move a little."""
    home = env.reset(env_state=env_state).observation["qpos"]
    return run_episode(env, FALL, env.reset(env_state=env_state), lambda t, _: home + 0.02 * t)


@pytest.fixture
def folder(env, tmp_path, monkeypatch):
    """Three episodes: the cube reaches the table, does not, and does."""
    monkeypatch.setitem(constants.TASKS, FALL.name, FALL)
    for i, start in enumerate((LOW, HIGH, LOW)):
        wave(env, start).save(episode_path(tmp_path / "data", i))
    return tmp_path / "data"


@pytest.fixture
def replay(monkeypatch, capsys):
    """Runs the script in this process; returns what it printed."""

    def run(*flags):
        monkeypatch.setattr(sys, "argv", ["replay_episodes.py", *map(str, flags)])
        cli.run(script.main)
        return capsys.readouterr().out

    return run


def refusal(replay, *flags):
    with pytest.raises(SystemExit) as caught:
        replay(*flags)
    assert isinstance(caught.value.code, str) and "\n" not in caught.value.code
    return caught.value.code


def rewrite(path, **changes):
    episode = Episode.load(path)
    for name, value in changes.items():
        setattr(episode, name, value)
    episode.save(path, overwrite=True)


def test_one_episode_replays_exactly(replay, folder):
    said = replay("--dataset_dir", folder, "--episode_idx", 0)
    assert "episode_0: highest reward 1 of 1 (recorded 1); joints as recorded" in said
    assert len(said.splitlines()) == 1
    assert replay("--dataset_path", episode_path(folder, 0)) == said


def test_arms_begin_where_they_were_in_the_middle_of_an_attempt(env, replay, folder):
    midway = env.reset(env_state=LOW).observation["qpos"].astype(np.float32) + np.float32(0.1)
    episode = run_episode(env, FALL, env.reset(env_state=LOW, state=midway), lambda t, _: midway)
    assert np.array_equal(episode.qpos[0], midway)
    episode.recovers = True
    episode.save(episode_path(folder, 0), overwrite=True)
    said = replay("--dataset_dir", folder, "--episode_idx", 0)
    assert "highest reward 1 of 1 (recorded 1); joints as recorded" in said


def test_all_episodes_end_in_a_summary(replay, folder):
    lines = replay("--dataset_dir", folder).splitlines()
    assert "episode_1: highest reward 0 of 1 (recorded 0)" in lines[1] and len(lines) == 4
    assert lines[3].startswith("3 episodes in ") and "success 2/3" in lines[3]
    assert "highest reward as recorded in 3/3; joints as recorded" in lines[3]


def test_a_difference_is_seen_where_it_is(replay, folder):
    path = episode_path(folder, 0)
    qpos = Episode.load(path).qpos.copy()
    elbow, gripper = (TRANSFER.state_names.index(name) for name in ("right_elbow", "left_gripper"))
    qpos[5, elbow] += 0.12
    qpos[:, gripper] += 0.5  # no angle: not counted
    rewrite(path, qpos=qpos, reward=np.zeros(8))
    said = replay("--dataset_dir", folder, "--episode_idx", 0)
    rms = 0.12 / np.sqrt(8 * 12)
    assert "highest reward 1 of 1 (recorded 0)" in said
    assert f"joint error rms {rms:.5f} rad, max 0.12000 rad (right_elbow, step 5)" in said
    assert "highest reward as recorded in 2/3" in replay("--dataset_dir", folder)


def test_the_recorded_start_is_used(replay, folder):
    rewrite(episode_path(folder, 0), env_state=HIGH)
    assert "highest reward 0 of 1 (recorded 1)" in replay("--dataset_dir", folder, "--episode_idx", 0)


def test_a_file_without_start_needs_a_seed(replay, folder, monkeypatch):
    path = episode_path(folder, 0)
    rewrite(path, env_state=None, reward=None)
    said = refusal(replay, "--dataset_path", path)
    assert "episode_0.hdf5: no /env_state" in said and "--seed" in said
    starts, reset = [], SimEnv.reset

    def noted(env, *args, **others):
        step = reset(env, *args, **others)
        starts.append(env.env_state)
        return step

    monkeypatch.setattr(SimEnv, "reset", noted)
    said = replay("--dataset_path", path, "--seed", 3)
    wanted = np.random.default_rng([3, Stream.RECORD, 0]).uniform(*(np.array(b) for b in box()))
    assert np.allclose(starts[0][:3], wanted) and "(not recorded)" in said


def box():
    return TRANSFER.props[0].low, TRANSFER.props[0].high


def test_the_task_can_be_given(replay, folder):
    path = episode_path(folder, 0)
    rewrite(path, task="")
    assert "the file names no task; add --task_name" in refusal(replay, "--dataset_path", path)
    rewrite(path, task="sim_fal")
    said = refusal(replay, "--dataset_path", path)
    assert "unknown task 'sim_fal'; did you mean 'sim_fall'?" in said and "--task_name replaces" in said
    assert "highest reward 1 of 1" in replay("--dataset_path", path, "--task_name", "sim_fall")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (
            replace(FALL, name="sim_one", arms=FALL.arms[:1], script=()),
            "qpos has 14 entries a step; sim_one has 7",
        ),
        (
            replace(FALL, name="slower", fps=25),
            "has 50 steps a second, slower has 25; edit_episodes.py resample helps",
        ),
        (
            replace(FALL, name="real", scene=None),
            "task 'real' belongs to a real arm; --task_name a simulated one; on the arm it is replayed by",
        ),
    ],
)
def test_a_task_that_does_not_fit_is_refused(replay, folder, monkeypatch, task, said):
    monkeypatch.setitem(constants.TASKS, task.name, task)
    assert said in refusal(replay, "--dataset_dir", folder, "--task_name", task.name)


def test_every_file_is_checked_before_the_first_replay(replay, folder, capsys):
    path = episode_path(folder, 2)
    path.write_bytes(path.read_bytes()[:3000])
    assert "episode_2.hdf5: no complete HDF5 file" in refusal(replay, "--dataset_dir", folder)
    assert "episode_0" not in capsys.readouterr().out


def test_video(replay, folder, tmp_path):
    path = tmp_path / "out" / "replay.mp4"
    assert "add --episode_idx" in refusal(replay, "--dataset_dir", folder, "--video", path)
    assert not path.parent.exists()
    assert f"video {path}" in replay("--dataset_dir", folder, "--episode_idx", 0, "--video", path)
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == 8
    _, frame = cv2.VideoCapture(str(path)).read()
    assert frame.shape == (480, 640, 3) and frame.std() > 5


def test_onscreen_render_shows_every_step(replay, folder, monkeypatch):
    shown = []

    class View:
        def show(self, image, words):
            assert words.startswith("step ")
            shown.append(image.shape)

    monkeypatch.setattr("common.drawing.live_view.LiveView", View)
    replay("--dataset_dir", folder, "--episode_idx", 0, "--onscreen_render")
    assert shown == [(480, 640, 3)] * 8


def test_renderers_are_closed_at_the_end(replay, folder, monkeypatch):
    closed, close = [], SimEnv.close
    monkeypatch.setattr(SimEnv, "close", lambda self: (closed.append(self), close(self)))
    replay("--dataset_dir", folder)
    assert len(closed) == 1


def test_the_shell_sees_one_line(tmp_path):
    def run(*flags):
        return subprocess.run([sys.executable, SCRIPT, *flags], capture_output=True, text=True)

    done = run("--dataset_dir", str(tmp_path / "none"))
    assert done.returncode == 1 and done.stdout == "" and "is no folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = run()
    assert done.returncode == 1 and "give one of --dataset_dir and --dataset_path" in done.stderr
