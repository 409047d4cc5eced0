"""Recordings of act-plus-plus_one, as its read_frame_data_make.py writes them, become episodes of ours."""

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from repository import ROOT

from constants import get_task
from episodes.episode import Episode
from mycobot_scripts import import_recordings
from mycobot_scripts.demos.waypoints import Motion

TASK = get_task("mycobot320_move_cube")
STEPS = 12


def fork_file(path: Path, **changes) -> None:
    """Degrees as float32, percent, BGR pictures, attribute sim, no qvel."""
    actions = Motion.load("pickandmove").actions()[:STEPS].astype(float)
    action = np.column_stack([np.degrees(actions[:, :6]), 100 * actions[:, 6]])
    qpos = action - [[0.35, -0.2, 0.1, 0, 0, 0, 0]]
    qpos[3:5, 6] = 255  # not to be read
    rows = {"action": action, "observations/qpos": qpos, **changes}
    picture = np.zeros((STEPS, 48, 64, 3), np.uint8)
    picture[..., 2] = 200  # red, in OpenCV's order
    with h5py.File(path, "w") as root:
        root.attrs["sim"] = False
        root.attrs["compress"] = False
        for name, values in rows.items():
            root.create_dataset(name, data=np.asarray(values, np.float32))
        for camera in ("right_wrist", "top"):
            root.create_dataset(f"observations/images/{camera}", data=picture, chunks=(1, 48, 64, 3))


def run(*flags: str) -> subprocess.CompletedProcess:
    script = ROOT / "mycobot_scripts" / "import_recordings.py"
    return subprocess.run([sys.executable, str(script), *flags], capture_output=True, text=True, cwd="/")


def test_one_command(tmp_path):
    source, target = tmp_path / "all_data", tmp_path / "data"
    source.mkdir()
    for i in (2, 10, 1):
        fork_file(source / f"two_cam_episode_{i}.hdf5")
    flags = ("--source_dir", str(source), "--dataset_dir", str(target))
    done = run(*flags)
    assert done.returncode == 0, done.stderr
    assert "3 recordings" in done.stdout and "visualize_episodes.py" in done.stdout
    assert sorted(path.name for path in target.iterdir()) == [f"episode_{i}.hdf5" for i in range(3)]
    episode = Episode.load(target / "episode_0.hdf5")
    assert (episode.task, episode.fps, episode.sim, episode.success) == (TASK.name, 10, False, None)
    wanted = Motion.load("pickandmove").actions()[:STEPS]
    np.testing.assert_allclose(episode.action, wanted, atol=1e-5)
    np.testing.assert_allclose(np.degrees(episode.qpos[:, 0]), np.degrees(wanted[:, 0]) - 0.35, atol=1e-4)
    np.testing.assert_allclose(episode.qpos[3:5, 6], wanted[2:4, 6], atol=1e-6)  # as last commanded
    np.testing.assert_allclose(episode.qvel[1:, :6], np.diff(episode.qpos[:, :6], axis=0) * 10, atol=1e-4)
    assert not episode.qvel[0].any() and not episode.qvel[:, 6].any()
    red, green, blue = episode.images["top"][5][10, 10].astype(int)
    assert abs(red - 200) < 5 and green < 5 and blue < 5
    again = run(*flags)
    assert again.returncode == 1 and "episode_0.hdf5 exists already; --overwrite" in again.stderr
    assert run(*flags, "--overwrite", "--rgb").returncode == 0
    shutil.copy(target / "episode_0.hdf5", target / "episode_3.hdf5")  # as of an earlier, longer import
    longer = run(*flags, "--overwrite")
    assert longer.returncode == 1 and "episode_3.hdf5 would stay among the 3 new ones" in longer.stderr
    assert Episode.load(target / "episode_0.hdf5").images["top"][5][10, 10, 2] > 190


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"action": np.zeros((STEPS, 6))},
            "action has 6 entries a step; 7 are needed: 6 angles, gripper",
        ),
        ({"action": np.ones((STEPS, 7))}, "the largest angle in action is 1: rad, as in our own episodes"),
        ({"action": np.full((STEPS, 7), 300)}, "the largest angle in action is 300: neither rad nor degrees"),
        ({"action": np.full((STEPS, 7), 150)}, "a gripper in action is 150; it takes 0"),
        ({"observations/qpos": np.full((STEPS, 7), 120)}, "a gripper in qpos is 120; it takes 0"),
    ],
)
def test_other_files_are_refused_before_anything_is_written(tmp_path, changes, said, monkeypatch):
    fork_file(tmp_path / "episode_0.hdf5")
    fork_file(tmp_path / "episode_1.hdf5", **changes)
    config = import_recordings.ImportConfig(str(tmp_path), dataset_dir=str(tmp_path / "data"))
    with pytest.raises(ValueError, match=said) as error:
        import_recordings.import_all(config, TASK)
    assert "episode_1.hdf5" in str(error.value) and not (tmp_path / "data").exists()


def test_the_folder_of_the_recordings_gets_no_episodes(tmp_path):
    fork_file(tmp_path / "episode_1.hdf5")
    config = import_recordings.ImportConfig(str(tmp_path), dataset_dir=str(tmp_path / "x" / ".."))
    with pytest.raises(ValueError, match="the folder of the recordings; give another"):
        import_recordings.import_all(config, TASK)
    assert [path.name for path in tmp_path.iterdir()] == ["episode_1.hdf5"]


def test_a_missing_camera_is_named(tmp_path):
    fork_file(tmp_path / "episode_0.hdf5")
    with h5py.File(tmp_path / "episode_0.hdf5", "a") as root:
        del root["observations/images/top"]
    with pytest.raises(ValueError, match="no camera 'top'; it has right_wrist"):
        import_recordings.check(tmp_path / "episode_0.hdf5", TASK)


def test_a_simulated_task_is_refused(tmp_path):
    done = run("--source_dir", str(tmp_path), "--task_name", "sim_mycobot320_move_cube_scripted")
    assert done.returncode == 1 and "must be a task of the real arm" in done.stderr
