"""Recordings for the Rerun viewer, read back by its own program."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import visualize_episodes
from constants import TASKS
from episodes.episode import Episode
from episodes.folders import episode_path
from episodes.frames import JpegFrames

TASK = TASKS["sim_mycobot320_move_cube_scripted"]
T = 5


def make_episode(**values):
    frames = JpegFrames()
    for _ in range(T):
        frames.append(np.full((48, 64, 3), (200, 30, 30), np.uint8))
    qpos = np.tile(np.float32([*TASK.arms[0].start, 0.7]), (T, 1))
    return Episode(qpos, qpos, {"top": frames}, fps=10, **values)


@pytest.fixture
def rerun_program():
    pytest.importorskip("rerun", reason="rerun-sdk is not installed: pip install rerun-sdk")

    def run(*words):
        command = [sys.executable, "-m", "rerun", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    return run


def test_a_recording_has_cameras_joints_and_bodies(tmp_path, rerun_program):
    episode = make_episode(task=TASK.name, reward=np.arange(T, dtype=np.float32))
    episode.save(episode_path(tmp_path, 0))
    said = visualize_episodes.record_rerun(episode_path(tmp_path, 0), tmp_path)
    made = tmp_path / "episode_0.rrd"
    assert f"rerun {made}" in said and "3-D: arms" in said
    assert "verified without error" in rerun_program("rrd", "verify", made)
    content = rerun_program("rrd", "print", made)
    for entity in (
        "/world/cameras/top",
        r"/joints/right\ arm/gripper/state",
        r"/joints/right\ arm/gripper/command",
        "/reward",
        r"/world/bodies/mycobot320\/link6/shape",
    ):
        assert f"{entity} " in content, entity
    assert sorted(path.name for path in tmp_path.iterdir()) == ["episode_0.hdf5", "episode_0.rrd"]


def test_an_episode_from_elsewhere_has_no_scene(tmp_path, rerun_program):
    make_episode(task="somebody's").save(episode_path(tmp_path, 0))
    said = visualize_episodes.record_rerun(episode_path(tmp_path, 0), tmp_path)
    assert 'no scene is known for task "somebody\'s"' in said
    content = rerun_program("rrd", "print", tmp_path / "episode_0.rrd")
    assert r"/joints/joints/joint\ 6/state " in content and "/world/bodies" not in content


def test_pictures_have_their_colours():
    pytest.importorskip("rerun", reason="rerun-sdk is not installed: pip install rerun-sdk")
    from viewers.scenes.rerun_file import plain_jpeg

    jpeg = np.frombuffer(plain_jpeg(make_episode().images["top"][0]), np.uint8)
    blue, _, red = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[20, 20]
    assert red > 180 and blue < 50


def test_without_the_package_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "rerun" else Path())
    with pytest.raises(ImportError, match="pip install rerun-sdk"):
        visualize_episodes.parse_flags(["--dataset_dir", str(tmp_path), "--rerun"])
