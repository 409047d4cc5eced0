"""What `export_lerobot` writes in format v2.1, that it comes back, and what holds for every version.

test_lerobot_format.py has format v3.0; test_lerobot_itself.py reads both with LeRobot.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="needs pip install pyarrow")
pytest.importorskip("av", reason="needs pip install av")

import pyarrow.parquet as pq  # noqa: E402
from test_lerobot_format import (  # noqa: E402
    LENGTHS,
    NAMES,
    SCRIPT,
    assert_close,
    export,
    frame,
    jpegs,
    make_dataset,
    make_episode,
    read_back,
    run_script,
)

from constants import TASKS  # noqa: E402
from dataset_tools.lerobot.export import WRITERS  # noqa: E402
from dataset_tools.lerobot.v21 import parts_of  # noqa: E402
from episodes.episode import Episode  # noqa: E402
from episodes.folders import episode_path, list_episodes  # noqa: E402
from episodes.frames import frame_size, resize_image  # noqa: E402
from readers import lerobot_format as lerobot  # noqa: E402

CAMERAS = ("top", "wrist")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def file_names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """Three episodes of two cameras, in format v2.1; nobody writes to it."""
    folder = tmp_path_factory.mktemp("exported")
    source = make_dataset(folder / "data", CAMERAS)
    return export(source, folder / "lr", version="2.1", task_text="Hand the cube over.")


def test_each_episode_has_its_own_files(exported):
    wanted = {
        *(f"data/chunk-000/episode_{i:06d}.parquet" for i in range(3)),
        *(
            f"videos/chunk-000/observation.images.{camera}/episode_{i:06d}.mp4"
            for camera in CAMERAS
            for i in range(3)
        ),
        *(f"meta/{name}.jsonl" for name in ("episodes", "episodes_stats", "tasks")),
        *(f"meta/{name}.json" for name in ("info", "modality", "act_episodes")),
    }
    assert file_names(exported) == wanted


def test_info_is_as_lerobot_writes_it(exported):
    """Its keys: of a dataset that lerobot 0.3.3 wrote."""
    info = json.loads((exported / "meta/info.json").read_text())
    features = info.pop("features")
    assert info == {
        "codebase_version": "v2.1",
        "robot_type": "vx300s",
        "total_episodes": 3,
        "total_frames": sum(LENGTHS),
        "total_tasks": 1,
        "total_videos": 6,
        "total_chunks": 1,
        "chunks_size": 1000,
        "fps": 50,
        "splits": {"train": "0:3"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    assert features["action"] == {"dtype": "float32", "shape": [14], "names": NAMES}
    assert features["observation.images.wrist"]["shape"] == [48, 64, 3]
    assert features["next.success"] == {"dtype": "bool", "shape": [1], "names": None}
    columns = set(pq.read_schema(exported / "data/chunk-000/episode_000000.parquet").names)
    assert set(features) == columns | {f"observation.images.{camera}" for camera in CAMERAS}


def test_tables_have_the_columns_of_one_episode(exported):
    for i, steps in enumerate(LENGTHS):
        table = pq.read_table(exported / f"data/chunk-000/episode_{i:06d}.parquet")
        types = {
            name: str(table.schema.field(name).type).replace("element", "item") for name in table.schema.names
        }
        assert types == {
            **dict.fromkeys(
                ("observation.state", "action", "observation.velocity"), "fixed_size_list<item: float>[14]"
            ),
            **dict.fromkeys(("timestamp", "next.reward"), "float"),
            **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64"),
            **dict.fromkeys(("next.done", "next.success"), "bool"),
        }
        first = sum(LENGTHS[:i])
        assert table["frame_index"].to_pylist() == list(range(steps))
        assert table["index"].to_pylist() == list(range(first, first + steps))
        assert set(table["episode_index"].to_pylist()) == {i}
        assert table["timestamp"].to_pylist() == pytest.approx([t / 50 for t in range(steps)])
        assert table["next.done"].to_pylist() == [False] * (steps - 1) + [True]


def test_lists_are_in_json_lines(exported):
    text = "Hand the cube over."
    assert lines(exported / "meta/tasks.jsonl") == [{"task_index": 0, "task": text}]
    assert lines(exported / "meta/episodes.jsonl") == [
        {"episode_index": i, "tasks": [text], "length": steps} for i, steps in enumerate(LENGTHS)
    ]


def test_statistics_are_those_of_each_episode(exported):
    rows = lines(exported / "meta/episodes_stats.jsonl")
    assert [row["episode_index"] for row in rows] == [0, 1, 2]
    info = json.loads((exported / "meta/info.json").read_text())
    for i, (row, path) in enumerate(zip(rows, list_episodes(exported.parent / "data"), strict=True)):
        stats = row["stats"]
        assert set(stats) == set(info["features"])
        assert all(set(one) == {"min", "max", "mean", "std", "count"} for one in stats.values())
        action = Episode.load(path, ()).action.astype(float)
        for name in ("min", "max", "mean", "std"):
            np.testing.assert_allclose(stats["action"][name], getattr(action, name)(axis=0), rtol=1e-5)
            assert np.shape(stats["observation.images.top"][name]) == (3, 1, 1)
            assert np.shape(stats["timestamp"][name]) == (1,)
        assert stats["action"]["count"] == stats["observation.images.top"]["count"] == [LENGTHS[i]]
        pixels = np.stack([frame(i + t) for t in range(LENGTHS[i])]).reshape(-1, 3) / 255
        mean = np.ravel(stats["observation.images.top"]["mean"])
        np.testing.assert_allclose(mean, pixels.mean(axis=0), atol=0.01)


def test_the_parts_of_the_robot_are_named_for_gr00t(exported, tmp_path):
    modality = json.loads((exported / "meta/modality.json").read_text())
    arms = {"left_arm": (0, 6), "left_gripper": (6, 7), "right_arm": (7, 13), "right_gripper": (13, 14)}
    for name, feature in (("state", "observation.state"), ("action", "action")):
        assert modality[name] == {
            part: {"start": start, "end": end, "original_key": feature} for part, (start, end) in arms.items()
        }
    assert modality["video"] == {c: {"original_key": f"observation.images.{c}"} for c in CAMERAS}
    assert modality["annotation"] == {"human.task_description": {"original_key": "task_index"}}
    rows = np.zeros((4, 9), np.float32)
    strange = Episode(qpos=rows, action=rows, base_action=rows[:, :2], task="elsewhere")
    strange.save(episode_path(tmp_path / "data", 0))
    root = export(tmp_path / "data", tmp_path / "lr", version="2.1")
    modality = json.loads((root / "meta/modality.json").read_text())
    joints = {"start": 0, "end": 9}
    assert modality["state"] == {"joints": {**joints, "original_key": "observation.state"}}
    assert modality["action"] == {
        "joints": {**joints, "original_key": "action"},
        "base": {"start": 0, "end": 2, "original_key": "base_action"},
    }
    assert modality["video"] == {}
    assert json.loads((root / "meta/info.json").read_text())["video_path"] is None


@pytest.mark.parametrize("task", TASKS)
def test_the_parts_of_every_task_cover_its_state(task):
    parts = list(parts_of(TASKS[task].entries, "action").values())
    ends = [0, *(part["end"] for part in parts)]
    assert [part["start"] for part in parts] == ends[:-1] and ends[-1] == TASKS[task].dim


def test_a_round_trip_keeps_numbers_exactly_and_images_within_the_codec(exported, tmp_path):
    source = list_episodes(exported.parent / "data")
    made = read_back(exported, tmp_path / "back")
    assert [path.name for path in list_episodes(tmp_path / "back")] == [path.name for path in source]
    for episode, path in zip(made, source, strict=True):
        wanted = Episode.load(path)
        for name in ("qpos", "qvel", "action", "reward", "env_state"):
            np.testing.assert_array_equal(getattr(episode, name), getattr(wanted, name), strict=True)
        for name in ("task", "fps", "seed", "success", "sim", "render_quality", "noise", "randomized"):
            assert getattr(episode, name) == getattr(wanted, name), name
        assert sorted(episode.images) == sorted(CAMERAS)
        for camera in CAMERAS:
            assert_close(wanted.images[camera], episode.images[camera])


def test_a_bare_episode_comes_back(tmp_path):
    """One joint, no camera, no task, no reward, unknown success."""
    one = np.ones((4, 1), np.float32)
    Episode(qpos=one, action=2 * one, task="elsewhere").save(episode_path(tmp_path / "data", 0))
    root = export(tmp_path / "data", tmp_path / "lr", version="2.1")
    made = read_back(root, tmp_path / "back")[0]
    np.testing.assert_array_equal(made.action, 2 * one)
    assert made.reward is None and not made.images and made.success is None and not (root / "videos").exists()


def test_folders_are_begun_anew_when_they_are_full(tmp_path, monkeypatch):
    monkeypatch.setattr(lerobot, "CHUNK_FILES", 2)
    source = make_dataset(tmp_path / "data")
    root = export(source, tmp_path / "lr", version="2.1")
    info = json.loads((root / "meta/info.json").read_text())
    assert info["total_chunks"] == 2 and info["chunks_size"] == 2
    assert (root / "data/chunk-001/episode_000002.parquet").is_file()
    assert (root / "videos/chunk-001/observation.images.top/episode_000002.mp4").is_file()
    for made, path in zip(read_back(root, tmp_path / "back"), list_episodes(source), strict=True):
        np.testing.assert_array_equal(made.qpos, Episode.load(path).qpos)


# --- the command


def test_the_command_says_the_version_and_who_reads_it(tmp_path):
    make_dataset(tmp_path / "data")
    flags = ("export_lerobot", "--dataset_dir", tmp_path / "data", "--output_dir", tmp_path / "lr")
    wrong = run_script(*flags, "--version", "2.0")
    assert wrong.returncode == 1 and wrong.stderr.count("\n") == 1
    assert "--version is '2.0'" in wrong.stderr and "choose from 3.0, 2.1" in wrong.stderr
    assert not (tmp_path / "lr").exists()
    done = run_script(*flags, "--version", "2.1", "--num_workers", 2)
    assert done.returncode == 0, done.stderr
    assert "in format v2.1, for LeRobot 0.3.3, GR00T and openpi" in done.stdout and "3/3" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["data", "lr"]
    again = run_script(*flags, "--version", "3.0")
    assert again.returncode == 1 and "exists already; choose another --output_dir" in again.stderr


@pytest.mark.parametrize("version", WRITERS)
def test_what_cannot_be_written_leaves_nothing(tmp_path, version, monkeypatch):
    source = make_dataset(tmp_path / "data")

    def fail(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(lerobot, "write_json", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        export(source, tmp_path / "lr", version=version)
    assert os.listdir(tmp_path) == ["data"]


def test_ctrl_c_leaves_nothing(tmp_path):
    path = episode_path(tmp_path / "data", 0)
    make_episode(0, 60, images={"top": jpegs(60)}).save(path)
    for i in range(1, 30):
        shutil.copy(path, episode_path(tmp_path / "data", i))
    flags = ("--dataset_dir", tmp_path / "data", "--output_dir", tmp_path / "out", "--num_workers", 1)
    running = subprocess.Popen(
        [sys.executable, str(SCRIPT), "export_lerobot", *map(str, flags), "--version", "2.1"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    limit = time.monotonic() + 120
    while not list((tmp_path / ".out.unfinished").glob("**/*.mp4")):
        assert time.monotonic() < limit and running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)
    assert running.returncode == 130 and os.listdir(tmp_path) == ["data"]


@pytest.mark.parametrize("version", WRITERS)
def test_a_persons_own_task_on_the_mycobot_has_the_names_of_its_joints(tmp_path, version):
    rows = {name: np.zeros((4, 7), np.float32) for name in ("qpos", "qvel", "action")}
    values = {"task": "my_own_task", "robot": "mycobot320", "env_state": None}
    make_episode(0, 4, **rows, **values).save(episode_path(tmp_path / "data", 0))
    root = export(tmp_path / "data", tmp_path / "lr", version=version)
    info = json.loads((root / "meta/info.json").read_text())
    names = [f"right_joint_{n}" for n in range(1, 7)] + ["right_gripper"]
    assert info["robot_type"] == "mycobot320" and info["features"]["action"]["names"] == names


@pytest.mark.parametrize("version", WRITERS)
def test_pictures_of_another_size(tmp_path, version):
    source = make_dataset(tmp_path / "data")
    root = export(source, tmp_path / "lr", version=version, image_size=(24, 32))
    info = json.loads((root / "meta/info.json").read_text())
    assert info["features"]["observation.images.top"]["shape"] == [24, 32, 3]
    back = read_back(root, tmp_path / "back")
    for path, episode in zip(list_episodes(source), back, strict=True):
        frames = Episode.load(path).images["top"]
        small = [resize_image(frames[t], (24, 32)) for t in range(len(frames))]
        assert frame_size(episode.images["top"]) == (24, 32)
        assert_close(episode.images["top"], small, most=6.0)
