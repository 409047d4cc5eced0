"""Other people's files, made here as their own programs write them, are read, looked at, checked and edited.

Sources: ACT record_sim_episodes.py (raw; its published sets are such), ACT++ compress_data.py (three cameras
of JPEGs), Mobile ALOHA record_episodes.py (base_action, efforts) and act-plus-plus_one
read_frame_data_make.py (two cameras of a myCobot, degrees, no qvel).
"""

import sys

import cv2
import h5py
import numpy as np
import pytest

import edit_episodes
from common import cli
from dataset_tools.inspection import Thresholds, find_problems, read_facts
from episodes.episode import Episode, whole_action
from episodes.folders import list_episodes
from episodes.frames import JpegFrames
from visualize_episodes import visualize

H, W, T = 48, 64, 24


def pictures(cameras):
    """(T, H, W, 3) each, smooth, no two alike."""
    y, x = np.mgrid[:H, :W]
    frames = [np.stack([3 * x + t, 4 * y, np.full_like(x, 8 * t)], axis=2) for t in range(T)]
    return {
        camera: np.clip(np.stack(frames) + 5 * i, 0, 255).astype(np.uint8) for i, camera in enumerate(cameras)
    }


def way(dim, scale=1.0):
    """(T, dim) of float64, as most of them are."""
    return scale * np.linspace(0, 0.5, T)[:, None] * np.linspace(0.5, 1, dim)


def act_raw(root):
    """ACT: record_sim_episodes.py."""
    root.attrs["sim"] = True
    obs = root.create_group("observations")
    image = obs.create_group("images")
    for camera, frames in pictures(["top"]).items():
        image.create_dataset(camera, frames.shape, "uint8", data=frames, chunks=(1, H, W, 3))
    obs.create_dataset("qpos", data=way(14))
    obs.create_dataset("qvel", data=way(14))
    root.create_dataset("action", data=way(14))


def act_plus_plus_jpeg(root):
    """ACT++: compress_data.py, of a file with three cameras and their depths."""
    act_raw(root)
    root.attrs["compress"] = True
    del root["observations/images/top"]
    lengths = []
    names = ("cam_high", "cam_left_wrist", "cam_right_wrist")
    for camera, frames in pictures(names).items():
        jpegs = [cv2.imencode(".jpg", frame, [int(cv2.IMWRITE_JPEG_QUALITY), 50])[1] for frame in frames]
        lengths.append([len(jpeg) for jpeg in jpegs])
        padded = np.zeros((T, max(lengths[-1])), np.uint8)
        for row, jpeg in zip(padded, jpegs, strict=True):
            row[: len(jpeg)] = jpeg.ravel()
        root.create_dataset(f"observations/images/{camera}", data=padded, chunks=(1, padded.shape[1]))
    root.create_dataset("compress_len", data=np.array(lengths, np.float32))
    root["observations/images/cam_high_depth"] = np.ones((T, H, W), np.uint16)


def mobile(root):
    """Mobile ALOHA: record_episodes.py; raw images, a base, efforts."""
    act_raw(root)
    root.attrs["sim"] = False
    root.attrs["compress"] = False
    root["base_action"] = way(2)
    root["base_action_t265"] = way(2)
    root["observations/effort"] = way(14)


def mycobot(root):
    """The fork: read_frame_data_make.py; degrees, a gripper of 0 to 100, no qvel, no rate."""
    root.attrs["sim"] = True
    image = root.create_group("observations/images")
    for camera, frames in pictures(["right_wrist", "top"]).items():
        image.create_dataset(camera, data=frames, chunks=(1, H, W, 3))
    state = way(7, 90)
    state[:, 6] = np.where(np.arange(T) < 10, 70, 20)
    root["observations/qpos"], root["action"] = state, state


SCHEMAS = {
    "act": (act_raw, "episode_0.hdf5", 14, ["top"]),
    "act++": (act_plus_plus_jpeg, "episode_0.hdf5", 14, ["cam_high", "cam_left_wrist", "cam_right_wrist"]),
    "mobile": (mobile, "episode_0.hdf5", 14, ["top"]),
    "mycobot": (mycobot, "two_cam_episode_1.hdf5", 7, ["right_wrist", "top"]),
}


@pytest.fixture(params=SCHEMAS)
def schema(request, tmp_path):
    """Name, file, dimension of the state and cameras of each schema."""
    write, name, dim, cameras = SCHEMAS[request.param]
    path = tmp_path / "data" / name
    path.parent.mkdir()
    with h5py.File(path, "w", rdcc_nbytes=1024**2 * 2) as root:
        write(root)
    return request.param, path, dim, cameras


@pytest.fixture
def edit(monkeypatch, capsys):
    def run(*flags):
        monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *map(str, flags), "--num_workers", "1"])
        cli.run(edit_episodes.main)
        return capsys.readouterr().out

    return run


def test_is_read(schema):
    name, path, dim, cameras = schema
    episode = Episode.load(path)
    assert (len(episode), episode.qpos.shape[1], sorted(episode.images)) == (T, dim, cameras)
    assert episode.qpos.dtype == episode.action.dtype == np.float32
    assert (episode.qvel is None) == (name == "mycobot") and episode.sim == (name != "mobile")
    assert whole_action(episode).shape[1] == dim + 2 * (name == "mobile")
    assert isinstance(episode.images[cameras[0]], JpegFrames) == (name == "act++")
    for camera, frames in pictures(cameras).items():
        shown = [np.abs(episode.images[camera][t].astype(int) - frames[t]).mean() for t in range(T)]
        assert max(shown) < 6, "in RGB order"


def test_is_looked_at(schema, tmp_path):
    _, path, dim, cameras = schema
    facts = read_facts(path)
    assert (
        facts.steps == T and facts.dims[0] == dim and list(facts.cameras.values()) == [(H, W)] * len(cameras)
    )
    assert facts.problems == find_problems(path, Thresholds()).problems == []
    said = visualize(path, tmp_path)
    assert "24 steps" in said and (tmp_path / f"{path.stem}_video.mp4").stat().st_size > 1000


@pytest.mark.parametrize(
    "command",
    [
        ["truncate", "--steps", 10],
        ["compress"],
        ["decompress"],
        ["resample", "--fps", 25],
        ["relabel", "--fps", 10],
    ],
    ids=lambda command: command[0],
)
def test_is_edited(schema, edit, tmp_path, command):
    name, path, dim, cameras = schema
    before = path.read_bytes()
    said = edit(*command, "--dataset_dir", path.parent, "--output_dir", tmp_path / "out")
    (made,) = list_episodes(tmp_path / "out")
    new, old = Episode.load(made), Episode.load(path)
    assert made.name == path.name and path.read_bytes() == before
    steps, fps = {"truncate": (10, 50), "resample": (12, 25), "relabel": (T, 10)}.get(command[0], (T, 50))
    assert (len(new), new.fps, new.qpos.shape[1], sorted(new.images)) == (steps, fps, dim, cameras)
    np.testing.assert_array_equal(new.qpos[0], old.qpos[0])
    assert (new.base_action is None) == (old.base_action is None)
    # nothing is done to the JPEGs of one, or the raw images of the others: a copy, with all that is in it
    is_copy = (command[0], name == "act++") in {("compress", True), ("decompress", False)}
    lost = {
        "act++": "/observations/images/cam_high_depth",
        "mobile": "/base_action_t265, /observations/effort",
    }
    assert (f"{lost.get(name)} is left out" in said) == (name in lost and not is_copy)


@pytest.mark.parametrize("name", ["act", "act++", "mobile"])
def test_two_arms_are_mirrored(name, edit, tmp_path):
    write, file, _, cameras = SCHEMAS[name]
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / "data" / file, "w") as root:
        write(root)
    edit("mirror", "--dataset_dir", tmp_path / "data", "--output_dir", tmp_path / "out")
    old, new = Episode.load(tmp_path / "data" / file), Episode.load(tmp_path / "out" / f"mirror_{file}")
    signs = np.array([-1, 1, 1, -1, 1, -1, 1], np.float32)
    np.testing.assert_array_equal(new.qpos, np.hstack([old.qpos[:, 7:] * signs, old.qpos[:, :7] * signs]))
    assert sorted(new.images) == cameras
    other = {"cam_left_wrist": "cam_right_wrist", "cam_right_wrist": "cam_left_wrist"}
    for camera in cameras:
        pair = old.images[other.get(camera, camera)][3][:, ::-1], new.images[camera][3]
        assert np.abs(pair[0].astype(int) - pair[1]).mean() < 6


def test_a_mycobot_is_aligned_by_its_gripper_in_percent(edit, tmp_path):
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / "data" / "two_cam_episode_1.hdf5", "w") as root:
        mycobot(root)
    said = edit("align", "--dataset_dir", tmp_path / "data", "--in_place", "--to", 15)
    assert "grasp at steps 10 to 10, moved to step 15" in said
