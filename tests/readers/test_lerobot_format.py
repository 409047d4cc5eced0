import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="needs pip install pyarrow")
av = pytest.importorskip("av", reason="needs pip install av")

import pyarrow.parquet as pq  # noqa: E402

import edit_episodes  # noqa: E402
from constants import TASKS  # noqa: E402
from dataset_tools.lerobot.export import ExportFlags, export_lerobot  # noqa: E402
from dataset_tools.lerobot.importing import ImportLeRobotFlags, import_lerobot  # noqa: E402
from episodes.episode import Episode  # noqa: E402
from episodes.errors import EpisodeError  # noqa: E402
from episodes.folders import episode_path, list_episodes  # noqa: E402
from episodes.frames import JpegFrames  # noqa: E402
from readers import lerobot_format as lerobot  # noqa: E402

SCRIPT = Path(edit_episodes.__file__)
TASK = "sim_transfer_cube_scripted"
NAMES = list(TASKS[TASK].state_names)
LENGTHS = (7, 5, 6)


def frame(step: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture with a square that tells the step: codecs are close on it."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([2 * x, 3 * y, 60 + 0 * x], axis=-1).clip(0, 255).astype(np.uint8)
    picture[8:24, 2 * step : 2 * step + 16] = (230, 40, 30)
    return picture


def jpegs(steps: int, first: int = 0, **size) -> JpegFrames:
    frames = JpegFrames(quality=100)
    for t in range(steps):
        frames.append(frame(first + t, **size))
    return frames


def make_episode(i: int, steps: int, cameras=("top",), **values) -> Episode:
    rng = np.random.default_rng(i)
    rows = {name: rng.normal(size=(steps, 14)).astype(np.float32) for name in ("qpos", "qvel", "action")}
    known = {
        "images": {camera: jpegs(steps, i) for camera in cameras},
        "reward": np.arange(steps, dtype=np.float32),
        "env_state": rng.normal(size=7),
        **{"task": TASK, "seed": i, "success": i != 1, "render_quality": "fast", "noise": 0.01},
    }
    return Episode(**{**rows, **known, **values})


def make_dataset(folder: Path, cameras=("top",), **values) -> Path:
    for i, steps in enumerate(LENGTHS):
        make_episode(i, steps, cameras, **values).save(episode_path(folder, i))
    return folder


def export(source: Path, target: Path, **flags) -> Path:
    export_lerobot(ExportFlags(dataset_dir=str(source), output_dir=str(target), num_workers=1, **flags))
    return target


def read_back(source: Path, target: Path, **flags) -> list[Episode]:
    import_lerobot(
        ImportLeRobotFlags(dataset_dir=str(source), output_dir=str(target), num_workers=1, **flags)
    )
    return [Episode.load(path) for path in list_episodes(target)]


def assert_close(one, other, most: float = 4.0) -> None:
    """Frames differ by no more than a codec does (grey levels, in the mean)."""
    assert len(one) == len(other)
    errors = [np.abs(one[t].astype(int) - other[t]).mean() for t in range(len(one))]
    assert max(errors) < most < np.abs(one[0].astype(int) - one[len(one) - 1]).mean() + most


# --- there and back


def test_a_round_trip_keeps_numbers_exactly_and_images_within_the_codec(tmp_path):
    source = make_dataset(tmp_path / "data", ("top", "wrist"))
    for made, path in zip(
        read_back(export(source, tmp_path / "lr"), tmp_path / "back"), list_episodes(source), strict=True
    ):
        wanted = Episode.load(path)
        for name in ("qpos", "qvel", "action", "reward", "env_state"):
            np.testing.assert_array_equal(getattr(made, name), getattr(wanted, name), strict=True)
        for name in ("task", "fps", "seed", "success", "sim", "render_quality", "noise", "randomized"):
            assert getattr(made, name) == getattr(wanted, name), name
        assert sorted(made.images) == ["top", "wrist"]
        for camera in made.images:
            assert_close(wanted.images[camera], made.images[camera])
    assert [p.name for p in list_episodes(tmp_path / "back")] == [p.name for p in list_episodes(source)]
    assert sorted(os.listdir(tmp_path)) == ["back", "data", "lr"]


def test_each_frame_is_at_its_time(tmp_path):
    """The square's place tells the step: no frame is off by one, at the joints of episodes neither."""
    source = make_dataset(tmp_path / "data")
    for i, made in enumerate(read_back(export(source, tmp_path / "lr"), tmp_path / "back")):
        for t in range(len(made)):
            red = made.images["top"][t][16, :, 0].astype(int) - made.images["top"][t][16, :, 2]
            assert np.flatnonzero(red > 120).mean() == pytest.approx(2 * (i + t) + 7.5, abs=1)


@pytest.mark.parametrize("size", [{"height": 47, "width": 63}, {"height": 48, "width": 64}])
def test_odd_images_keep_their_size(tmp_path, size):
    make_episode(0, 4, images={"top": jpegs(4, **size)}).save(episode_path(tmp_path / "data", 0))
    made = read_back(export(tmp_path / "data", tmp_path / "lr"), tmp_path / "back")[0]
    assert made.images["top"].shape == (size["height"], size["width"])


def test_other_episodes(tmp_path):
    """A mobile base, raw images, no cameras, one joint, a mirrored file, an unknown task."""
    base = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    raw = np.stack([frame(t) for t in range(4)])
    mobile = make_episode(0, 4, images={"top": raw}, base_action=base, task="elsewhere", env_state=None)
    mobile.save(tmp_path / "mobile" / "mirror_episode_3.hdf5")
    made = read_back(export(tmp_path / "mobile", tmp_path / "lr"), tmp_path / "back")[0]
    np.testing.assert_array_equal(made.base_action, base)
    assert made.task == "elsewhere" and (tmp_path / "back" / "mirror_episode_3.hdf5").exists()
    one = np.ones((4, 1), np.float32)
    Episode(qpos=one, action=2 * one, task="elsewhere").save(episode_path(tmp_path / "bare", 0))
    made = read_back(export(tmp_path / "bare", tmp_path / "lr1"), tmp_path / "back1")[0]
    np.testing.assert_array_equal(made.action, 2 * one)
    assert made.qvel is None and not made.images and made.success is None
    assert not (tmp_path / "lr1" / "videos").exists()
    assert "next.success" not in (tmp_path / "lr1" / "meta/info.json").read_text()


# --- what LeRobot finds


def test_tables_are_as_lerobot_writes_them(tmp_path):
    """Columns, their types, and their order of size: of a dataset that lerobot 0.4.4 wrote."""
    root = export(make_dataset(tmp_path / "data"), tmp_path / "lr", task_text="Move the cube.")
    info = json.loads((root / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 50 and info["robot_type"] == "vx300s"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, sum(LENGTHS), 1)
    assert info["splits"] == {"train": "0:3"} and info["chunks_size"] == 1000
    top = info["features"]["observation.images.top"]
    assert (top["dtype"], top["shape"], top["names"]) == (
        "video",
        [48, 64, 3],
        ["height", "width", "channels"],
    )
    assert info["features"]["action"] == {"dtype": "float32", "shape": [14], "names": NAMES}
    data = pq.read_table(root / "data/chunk-000/file-000.parquet")
    types = {name: str(data.schema.field(name).type) for name in data.column_names}
    vectors = ("observation.state", "action", "observation.velocity")
    assert {types[name].replace("element", "item") for name in vectors} == {
        "fixed_size_list<item: float>[14]"
    }
    numbers = {name: types[name] for name in types if name not in vectors}
    assert numbers == {
        **dict.fromkeys(("timestamp", "next.reward"), "float"),
        **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64"),
        **dict.fromkeys(("next.done", "next.success"), "bool"),
    }
    assert set(info["features"]) == {*data.column_names, "observation.images.top"}
    assert data["index"].to_pylist() == list(range(18)) and data["frame_index"].to_pylist()[7:9] == [0, 1]
    assert data["timestamp"].to_pylist()[8] == pytest.approx(0.02)
    assert [i for i, done in enumerate(data["next.done"].to_pylist()) if done] == [6, 11, 17]
    assert [i for i, done in enumerate(data["next.success"].to_pylist()) if done] == [6, 17]
    rows = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(r["dataset_from_index"], r["dataset_to_index"], r["length"]) for r in rows] == [
        (0, 7, 7),
        (7, 12, 5),
        (12, 18, 6),
    ]
    key = "videos/observation.images.top"
    spans = [(r[f"{key}/from_timestamp"], r[f"{key}/to_timestamp"]) for r in rows]
    assert np.allclose(spans, [(0, 0.14), (0.14, 0.24), (0.24, 0.36)])
    assert {(r[f"{key}/chunk_index"], r[f"{key}/file_index"], r["data/file_index"]) for r in rows} == {
        (0, 0, 0)
    }
    assert rows[1]["tasks"] == ["Move the cube."]
    tasks = pq.read_table(root / "meta/tasks.parquet")
    assert tasks.to_pylist() == [{"task_index": 0, "__index_level_0__": "Move the cube."}]
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]


def test_statistics(tmp_path):
    root = export(make_dataset(tmp_path / "data"), tmp_path / "lr")
    stats = json.loads((root / "meta/stats.json").read_text())
    actions = np.concatenate([Episode.load(p, ()).action for p in list_episodes(tmp_path / "data")])
    found = {name: np.array(value) for name, value in stats["action"].items()}
    assert set(found) == {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(found[name], getattr(actions.astype(float), name)(axis=0), rtol=1e-5)
    assert found["count"] == [18] and (found["q10"] < found["q90"]).all()
    images = {name: np.array(value) for name, value in stats["observation.images.top"].items()}
    assert images["mean"].shape == (3, 1, 1) and images["count"] == [18]
    pixels = np.stack([frame(i + t) for i, n in enumerate(LENGTHS) for t in range(n)]).reshape(-1, 3) / 255
    np.testing.assert_allclose(images["mean"].ravel(), pixels.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(images["std"].ravel(), pixels.std(axis=0), atol=0.01)
    row = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()[1]
    np.testing.assert_allclose(row["stats/action/mean"], actions[7:12].mean(axis=0), rtol=1e-4)
    assert np.shape(row["stats/observation.images.top/std"]) == (3, 1, 1)


def test_files_are_begun_anew_when_they_are_full(tmp_path, monkeypatch):
    assert lerobot.file_numbers([60, 60, 30, 200, 1], 100) == [(0, 0), (0, 1), (0, 1), (0, 2), (0, 3)]
    monkeypatch.setattr(lerobot, "CHUNK_FILES", 2)
    assert lerobot.file_numbers([9] * 5, 10) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    monkeypatch.setattr(lerobot, "DATA_MEGABYTES", 1e-6)
    monkeypatch.setattr(lerobot, "VIDEO_MEGABYTES", 1e-6)
    source = make_dataset(tmp_path / "data")
    root = export(source, tmp_path / "lr")
    files = sorted(str(p.relative_to(root)) for p in root.rglob("file-*") if "meta" not in str(p))
    parts = ["chunk-000/file-000", "chunk-000/file-001", "chunk-001/file-000"]
    assert files == [f"data/{p}.parquet" for p in parts] + [
        f"videos/observation.images.top/{p}.mp4" for p in parts
    ]
    for made, path in zip(read_back(root, tmp_path / "back"), list_episodes(source), strict=True):
        wanted = Episode.load(path)
        np.testing.assert_array_equal(made.qpos, wanted.qpos)
        assert_close(wanted.images["top"], made.images["top"])


def test_videos_are_joined_as_they_are(tmp_path):
    parts = [tmp_path / f"{i}.mp4" for i in range(3)]
    for i, (part, steps) in enumerate(zip(parts, LENGTHS, strict=True)):
        lerobot.encode_video(part, jpegs(steps, 3 * i), 50, crf=18)
    lerobot.join_videos(tmp_path / "all.mp4", parts, LENGTHS, 50)
    times = (np.arange(18) / 50).tolist()
    joined = list(lerobot.decode_video(tmp_path / "all.mp4", times, 50))
    single = [f for p, n in zip(parts, LENGTHS, strict=True) for f in lerobot.decode_video(p, times[:n], 50)]
    np.testing.assert_array_equal(np.stack(joined), np.stack(single))
    with pytest.raises(EpisodeError, match=r"all\.mp4 has no frame at 0.360 s"):
        list(lerobot.decode_video(tmp_path / "all.mp4", [0.34, 0.36], 50))


# --- the published ALOHA sets


def published(root: Path, version: str, names=None, dtype="video") -> Path:
    """A dataset with the schema of lerobot/aloha_sim_*, built without the code under test.

    Those have 50 episodes at 50 fps, 480x640; `_image` sets have PNGs in their tables. v3.0 has many episodes
    in a file, v2.x one.
    """
    motors = names or {"motors": NAMES}
    picture = {"dtype": dtype, "shape": [48, 64, 3], "names": ["height", "width", "channel"]}
    scalar = {"shape": [1], "names": None}
    features = {
        "observation.images.top": picture,
        "observation.state": {"dtype": "float32", "shape": [14], "names": motors},
        "action": {"dtype": "float32", "shape": [14], "names": motors},
        **{n: {"dtype": "int64", **scalar} for n in ("episode_index", "frame_index", "index", "task_index")},
        "timestamp": {"dtype": "float32", **scalar},
        "next.done": {"dtype": "bool", **scalar},
    }
    is_v3 = version == "v3.0"
    episode = "episode_{episode_index:06d}"
    info = {
        **{"codebase_version": version, "robot_type": "aloha", "fps": 50, "features": features},
        **{"total_episodes": 2, "total_frames": 12, "total_tasks": 1, "chunks_size": 1000},
        "data_path": lerobot.DATA_PATH if is_v3 else f"data/chunk-{{episode_chunk:03d}}/{episode}.parquet",
        "video_path": lerobot.VIDEO_PATH
        if is_v3
        else f"videos/chunk-{{episode_chunk:03d}}/{{video_key}}/{episode}.mp4",
    }
    text = "Pick up the cube with the right arm and transfer it to the left arm."
    (root / "meta").mkdir(parents=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    tables = [published_table(i, steps, dtype) for i, steps in enumerate((7, 5))]
    if is_v3:
        write(pa.concat_tables(tables), root / "data/chunk-000/file-000.parquet")
        rows = [published_row(i, text, dtype) for i in (0, 1)]
        write(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
        if dtype == "video":
            video = root / "videos/observation.images.top/chunk-000/file-000.mp4"
            write_av1(video, [frame(i + t) for i, steps in enumerate((7, 5)) for t in range(steps)])
        return root
    lines = [json.dumps({"episode_index": i, "tasks": [text], "length": n}) for i, n in enumerate((7, 5))]
    (root / "meta/episodes.jsonl").write_text("\n".join(lines) + "\n")
    (root / "meta/tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": text}) + "\n")
    for i, table in enumerate(tables):
        write(table, root / f"data/chunk-000/episode_{i:06d}.parquet")
        if dtype == "video":
            video = root / f"videos/chunk-000/observation.images.top/episode_{i:06d}.mp4"
            write_av1(video, [frame(i + t) for t in range((7, 5)[i])])
    return root


def published_table(i: int, steps: int, dtype: str) -> pa.Table:
    first = 7 * i
    columns = {
        "observation.state": pa.array(list(states(i, steps)), pa.list_(pa.float32(), 14)),
        "action": pa.array(list(2 * states(i, steps)), pa.list_(pa.float32())),
        "episode_index": [i] * steps,
        "frame_index": list(range(steps)),
        "timestamp": pa.array(np.arange(steps) / 50, pa.float32()),
        "next.done": [t == steps - 1 for t in range(steps)],
        "index": list(range(first, first + steps)),
        "task_index": [0] * steps,
    }
    if dtype == "image":
        pngs = [cv2.imencode(".png", frame(i + t)[..., ::-1])[1].tobytes() for t in range(steps)]
        rows = [{"bytes": png, "path": f"frame_{t:06d}.png"} for t, png in enumerate(pngs)]
        columns["observation.images.top"] = pa.array(rows)
    return pa.table(columns)


def published_row(i: int, text: str, dtype: str) -> dict:
    key = "videos/observation.images.top"
    video = {
        **{f"{key}/chunk_index": 0, f"{key}/file_index": 0},
        **{f"{key}/from_timestamp": 0.14 * i, f"{key}/to_timestamp": 0.14 + 0.1 * i},
    }
    return {
        **{
            "episode_index": i,
            "tasks": [text],
            "length": (7, 5)[i],
            "data/chunk_index": 0,
            "data/file_index": 0,
        },
        **(video if dtype == "video" else {}),
        "stats/action/mean": [0.0] * 14,
    }


def states(i: int, steps: int) -> np.ndarray:
    """Joints in radians, grippers between 0 and 1."""
    return np.random.default_rng(i).uniform(0, 1, (steps, 14)).astype(np.float32)


def write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


@contextlib.contextmanager
def usual_priority():
    """Of a root's process, libsvtav1 makes a real-time one, beside which all other processes starve."""
    is_there = hasattr(os, "sched_setscheduler")
    before = (os.sched_getscheduler(0), os.sched_getparam(0)) if is_there else None
    yield
    if before is not None:
        os.sched_setscheduler(0, *before)


def write_av1(path: Path, frames: list[np.ndarray]) -> None:
    """As LeRobot encodes its own; H.264 where this PyAV cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "libsvtav1" if "libsvtav1" in av.codecs_available else "libx264"
    with usual_priority(), av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=50, options={"g": "2", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for rgb in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        file.mux(stream.encode())


@pytest.mark.parametrize("dtype", ["video", "image"])
@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0"])
@pytest.mark.parametrize(
    ("folder", "task"),
    [
        ("aloha_sim_transfer_cube_human", "sim_transfer_cube_human"),
        ("aloha_sim_insertion_scripted_image", "sim_insertion_scripted"),
        ("somebodys_set", ""),
    ],
)
def test_published_sets(tmp_path, folder, task, version, dtype):
    root = published(tmp_path / folder, version, dtype=dtype)
    made = read_back(root, tmp_path / "episodes")
    assert [len(e) for e in made] == [7, 5] and [p.name for p in list_episodes(tmp_path / "episodes")] == [
        "episode_0.hdf5",
        "episode_1.hdf5",
    ]
    for i, episode in enumerate(made):
        np.testing.assert_array_equal(episode.qpos, states(i, len(episode)))
        np.testing.assert_array_equal(episode.action, 2 * states(i, len(episode)))
        assert episode.fps == 50 and episode.task == task and episode.sim == bool(task)
        assert list(episode.images) == ["top"] and episode.qvel is None and episode.success is None
        assert_close([frame(i + t) for t in range(len(episode))], episode.images["top"], 6)


def test_left_comes_first_and_units_become_ours(tmp_path):
    """Some sets have the right arm first, some degrees, some grippers of 0 to 100."""
    names = [[*NAMES[7:], *NAMES[:7]]]
    root = published(tmp_path / "lr", "v3.0", names)
    plain = read_back(root, tmp_path / "plain")[0]
    theirs = states(0, 7)
    np.testing.assert_array_equal(plain.qpos, np.hstack([theirs[:, 7:], theirs[:, :7]]))
    flags = {"joint_unit": "deg", "gripper_range": (100.0, 0.0), "task_name": TASK}
    made = read_back(root, tmp_path / "made", **flags)[0]
    left, right = theirs[:, 7:], theirs[:, :7]
    np.testing.assert_allclose(made.qpos[:, :6], np.deg2rad(left[:, :6]), rtol=1e-6)
    np.testing.assert_allclose(made.qpos[:, 6], 1 - left[:, 6] / 100, rtol=1e-6)
    np.testing.assert_allclose(made.qpos[:, 13], 1 - right[:, 6] / 100, rtol=1e-6)
    assert made.task == TASK


def test_doubtful_units_are_told(tmp_path, capsys):
    source = tmp_path / "data"
    make_episode(0, 4, qpos=np.full((4, 14), 90, np.float32)).save(episode_path(source, 0))
    read_back(export(source, tmp_path / "lr"), tmp_path / "a")
    assert "note: joints beyond 10 rad: they are probably in degrees" in capsys.readouterr().out
    read_back(tmp_path / "lr", tmp_path / "b", joint_unit="deg")
    assert "note: grippers far outside [0, 1]" in capsys.readouterr().out


def test_names_in_every_form():
    for names in (["a", "b"], [["a", "b"]], {"motors": ["a", "b"]}, {"a": 0, "b": 1}):
        assert lerobot.flat_names(names) == ["a", "b"]
    assert lerobot.flat_names(None) == []


# --- the commands


def run_script(*flags):
    command = [sys.executable, str(SCRIPT), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_commands(tmp_path):
    make_dataset(tmp_path / "data")
    out = ("--output_dir", tmp_path / "lr")
    dry = run_script("export_lerobot", "--dataset_dir", tmp_path / "data", *out, "--dry_run")
    assert dry.returncode == 0, dry.stderr
    assert "3 episodes, 18 steps at 50 fps, cameras: top\nnothing was written" in dry.stdout
    assert os.listdir(tmp_path) == ["data"]
    done = run_script("export_lerobot", "--dataset_dir", tmp_path / "data", *out, "--num_workers", 2)
    assert done.returncode == 0, done.stderr
    assert "LeRobotDataset('lr', root=" in done.stdout and "3/3" in done.stderr
    flags = ("--dataset_dir", tmp_path / "lr", "--output_dir", tmp_path / "back", "--num_workers", 2)
    dry = run_script("import_lerobot", *flags, "--dry_run")
    assert f"task: {TASK}; assumed: joints in rad, grippers 0 closed, 1 open" in dry.stdout
    done = run_script("import_lerobot", *flags)
    assert done.returncode == 0 and len(list_episodes(tmp_path / "back")) == 3, done.stderr
    again = run_script("import_lerobot", *flags)
    assert again.returncode == 1 and "exists already; choose another --output_dir" in again.stderr


def test_bad_input_is_refused_before_anything_is_written(tmp_path):
    data, out = make_dataset(tmp_path / "data"), {"output_dir": str(tmp_path / "out")}
    make_episode(3, 4, ("wrist",)).save(episode_path(data, 3))
    with pytest.raises(EpisodeError, match=r"episode_3.hdf5: cameras is .*wrist.* in .*episode_0.hdf5"):
        export(data, tmp_path / "out")
    make_episode(3, 4, qvel=None).save(episode_path(data, 3), overwrite=True)
    with pytest.raises(EpisodeError, match=r"episode_3.hdf5: qvel is None, but 14 in .*; all must be alike"):
        export(data, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="is no LeRobot dataset: it has no meta/info.json"):
        import_lerobot(ImportLeRobotFlags(dataset_dir=str(data), **out))
    flags = ImportLeRobotFlags(dataset_dir=str(published(tmp_path / "lr", "v3.0")), **out)
    with pytest.raises(ValueError, match="unknown task 'sim_insertion_humam'; did you mean"):
        import_lerobot(replace(flags, task_name="sim_insertion_humam"))
    with pytest.raises(ValueError, match="states have 14 entries; those of sim_move_cube_scripted have 7"):
        import_lerobot(replace(flags, task_name="sim_move_cube_scripted"))
    with pytest.raises(ValueError, match="closed and open must differ"):
        import_lerobot(replace(flags, gripper_range=(1.0, 1.0)))
    video = tmp_path / "lr/videos/observation.images.top/chunk-000/file-000.mp4"
    video.rename(tmp_path / "away.mp4")
    with pytest.raises(FileNotFoundError, match=r"file-000.mp4 is missing; episode 0 is in it"):
        import_lerobot(flags)
    info = tmp_path / "lr/meta/info.json"
    info.write_text(info.read_text().replace("v3.0", "v1.6"))
    with pytest.raises(ValueError, match="has LeRobot's format v1.6; v2.0, v2.1, v3.0 are read"):
        import_lerobot(flags)
    assert sorted(os.listdir(tmp_path)) == ["away.mp4", "data", "lr"]


@pytest.mark.parametrize("damage", ["video", "table"])
def test_damaged_files_are_named(tmp_path, damage):
    root = published(tmp_path / "lr", "v2.1")
    if damage == "video":
        path = root / "videos/chunk-000/observation.images.top/episode_000001.mp4"
    else:
        path = root / "data/chunk-000/episode_000001.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(EpisodeError, match=f"{path.name} "):
        read_back(root, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("command", ["export_lerobot", "import_lerobot"])
def test_ctrl_c_leaves_nothing_half_written(tmp_path, command):
    steps = 60
    for i in range(30):
        make_episode(i, steps, images={"top": jpegs(steps)}).save(episode_path(tmp_path / "data", i))
    source = tmp_path / "data"
    if command == "import_lerobot":
        source = export(source, tmp_path / "lr")
    flags = [command, "--dataset_dir", source, "--output_dir", tmp_path / "out", "--num_workers", 1]
    running = subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, flags)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stage, limit = tmp_path / ".out.unfinished", time.monotonic() + 120
    while not list(stage.glob("**/*.mp4")) and not list(stage.glob("*.hdf5")):
        assert time.monotonic() < limit and running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)
    assert running.returncode == 130 and not (tmp_path / "out").exists()
    if command == "export_lerobot":
        assert not stage.exists()
        return
    whole = list_episodes(stage)
    assert 0 < len(whole) < 30 and all(len(Episode.load(path)) == steps for path in whole)
    assert not list(stage.glob(".*.part"))
    before = {path.name: path.stat().st_mtime_ns for path in whole}
    assert run_script(*flags).returncode == 0
    made = list_episodes(tmp_path / "out")
    assert len(made) == 30 and not stage.exists()
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before} == before
