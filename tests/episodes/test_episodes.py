import os
from dataclasses import replace

import cv2
import h5py
import numpy as np
import pytest

from common.storage.files import complete_file
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.folders import episode_path, list_episodes
from episodes.frames import JpegFrames
from episodes.hdf5.reading import read_start

T, D, H, W = 5, 14, 48, 64
RED = (220, 20, 20)


def red_frames():
    return np.full((T, H, W, 3), RED, np.uint8)


def jpeg(frames):
    kept = JpegFrames()
    for frame in frames:
        kept.append(frame)
    return kept


def make_episode(**changes):
    rng = np.random.default_rng(0)
    values = {
        "qpos": rng.normal(size=(T, D)).astype(np.float32),
        "action": rng.normal(size=(T, D)).astype(np.float32),
        "qvel": rng.normal(size=(T, D)).astype(np.float32),
        "images": {"top": jpeg(red_frames()), "angle": jpeg(red_frames() // 2)},
    }
    return Episode(**{**values, **changes})


def write_as_act(path, frames, compress=None, lengths=True, dtype="float32", **datasets):
    """A file as ACT (record_sim_episodes.py; `compress` None) or ACT++ (compress_data.py) writes it."""
    with h5py.File(path, "w", rdcc_nbytes=1024**2 * 2) as root:
        root.attrs["sim"] = True
        images = root.create_group("observations").create_group("images")
        for name in ("observations/qpos", "observations/qvel", "action"):
            root.create_dataset(name, data=datasets.get(name, np.zeros((T, D), dtype)))
        if compress is None:
            images.create_dataset("top", data=frames, chunks=(1, *frames.shape[1:]))
            return
        root.attrs["compress"] = compress
        encoded = [cv2.imencode(".jpg", frame, [int(cv2.IMWRITE_JPEG_QUALITY), 50])[1] for frame in frames]
        padded = np.zeros((T, max(map(len, encoded)) + 7), np.uint8)
        for row, one in zip(padded, encoded, strict=True):
            row[: len(one)] = one.ravel()
        images.create_dataset("top", data=padded)
        images.create_dataset("top_depth", data=np.zeros((T, H, W), np.uint16))
        if lengths:
            root["compress_len"] = np.array([[len(one) for one in encoded]], np.float32)


def read_as_act_plus_plus(path):
    """What the loaders of ACT++ (utils.py, compress_data.py) make of a file, restated."""
    with h5py.File(path, "r") as root:
        state = root["/observations/qpos"][()], root["/observations/qvel"][()], root["/action"][()]
        images = {name: root[f"/observations/images/{name}"][()] for name in root["/observations/images/"]}
        if root.attrs.get("compress", False):
            lengths = root["/compress_len"][()]
            assert lengths.shape == (len(images), len(state[0]))
            for camera, name in enumerate(images):
                for row, length in zip(images[name], lengths[camera], strict=True):
                    assert row[: int(length)][-2:].tobytes() == b"\xff\xd9" and not row[int(length) :].any()
                images[name] = np.array([cv2.imdecode(row, 1) for row in images[name]])
        return bool(root.attrs["sim"]), state, images


def assert_red(frame, scale=1):
    assert np.abs(frame.reshape(-1, 3).mean(0) - np.array(RED) // scale).max() < 4


@pytest.mark.parametrize("compress", [True, False])
def test_round_trip_keeps_everything(tmp_path, compress):
    images = {"top": red_frames(), "angle": red_frames() // 2}
    episode = make_episode(
        images={name: jpeg(frames) for name, frames in images.items()} if compress else images,
        base_action=np.ones((T, 2), np.float32),
        reward=np.arange(T, dtype=np.float32),
        env_state=np.linspace(0, 1, 14),
        sim=False,
        task="sim_transfer_cube_scripted",
        fps=10,
        seed=7,
        success=False,
        render_quality="full",
        noise=0.01,
        randomized=True,
    )
    episode.save(tmp_path / "new" / "episode_0.hdf5")
    loaded = Episode.load(tmp_path / "new" / "episode_0.hdf5")
    for name in ("qpos", "action", "qvel", "base_action", "reward", "env_state"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(episode, name))
        assert getattr(loaded, name).dtype == (np.float64 if name == "env_state" else np.float32)
    for name in ("sim", "task", "fps", "seed", "success", "render_quality", "noise", "randomized"):
        assert getattr(loaded, name) == getattr(episode, name)
        assert type(getattr(loaded, name)) is type(getattr(episode, name))
    assert list(loaded.images) == ["angle", "top"]
    for name, frames in images.items():
        assert np.abs(loaded.images[name][T - 1].astype(int) - frames[T - 1]).max() <= (4 if compress else 0)
    if compress:  # saving again does not encode again
        loaded.save(tmp_path / "again.hdf5")
        again = Episode.load(tmp_path / "again.hdf5").images["top"]
        assert all(np.array_equal(again.encoded(t), episode.images["top"].encoded(t)) for t in range(T))


def test_a_rate_is_a_whole_number_of_any_type(tmp_path):
    for i, fps in enumerate((10, 10.0, np.int64(10))):
        make_episode(fps=fps).save(tmp_path / f"{i}.hdf5")
        assert Episode.load(tmp_path / f"{i}.hdf5").fps == 10


def test_optional_parts_may_be_missing(tmp_path):
    make_episode(qvel=None, images={}).save(tmp_path / "e.hdf5")
    loaded = Episode.load(tmp_path / "e.hdf5")
    assert loaded.qvel is loaded.base_action is loaded.reward is loaded.env_state is None
    assert loaded.seed is loaded.success is None and loaded.images == {}


@pytest.mark.parametrize("compress", [True, False])
def test_act_plus_plus_reads_our_files(tmp_path, compress):
    # different lengths of JPEG, so that rows are padded and the order of `compress_len` matters
    noise = np.random.default_rng(0).integers(0, 256, (T, H, W, 3), np.uint8)
    mixed = np.concatenate([red_frames()[:3], noise[3:]])
    images = {"top": red_frames(), "angle": mixed}
    episode = make_episode(images={k: jpeg(v) for k, v in images.items()} if compress else images)
    episode.save(tmp_path / "e.hdf5")
    sim, state, decoded = read_as_act_plus_plus(tmp_path / "e.hdf5")
    assert sim and list(decoded) == ["angle", "top"]
    for mine, theirs in zip((episode.qpos, episode.qvel, episode.action), state, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert decoded["top"].shape == (T, H, W, 3) and decoded["top"].dtype == np.uint8
    assert_red(decoded["top"][0])
    np.testing.assert_array_equal(decoded["angle"][4], episode.images["angle"][4])
    if not compress:
        with h5py.File(tmp_path / "e.hdf5") as root:
            assert root["/observations/images/top"].chunks == (1, H, W, 3)


@pytest.mark.parametrize(("compress", "lengths"), [(None, True), (True, True), (True, False)])
def test_reads_files_of_act_and_act_plus_plus(tmp_path, compress, lengths):
    write_as_act(tmp_path / "e.hdf5", red_frames(), compress, lengths, dtype="float64")
    episode = Episode.load(tmp_path / "e.hdf5")
    assert list(episode.images) == ["top"] and episode.sim and episode.fps == 50 and not episode.randomized
    assert isinstance(episode.images["top"], np.ndarray if compress is None else JpegFrames)
    assert len(episode.images["top"]) == len(episode) == T
    assert_red(episode.images["top"][0])
    assert episode.qpos.dtype == episode.action.dtype == np.float32


def test_frames_are_rgb_and_compressed():
    frames = jpeg(red_frames())
    assert frames.shape == (H, W) and len(frames) == T and len(list(frames)) == T
    assert_red(frames[0])
    assert_red(cv2.imdecode(frames.encoded(0), cv2.IMREAD_COLOR))
    assert frames.encoded(0).dtype == np.uint8 and frames.encoded(0).ndim == 1
    for wrong in (np.zeros((H, W), np.uint8), np.zeros((H, W, 3)), np.zeros((H, W + 1, 3), np.uint8)):
        with pytest.raises(EpisodeError, match="frame"):
            frames.append(wrong)


def test_selected_cameras(tmp_path):
    make_episode().save(tmp_path / "e.hdf5")
    assert list(Episode.load(tmp_path / "e.hdf5", ["top"]).images) == ["top"]
    assert list(Episode.load(tmp_path / "e.hdf5", ["top", "angle"]).images) == ["top", "angle"]
    assert Episode.load(tmp_path / "e.hdf5", ()).images == {}
    with pytest.raises(EpisodeError, match=r"e\.hdf5: no camera 'wrist'; it has angle, top$"):
        Episode.load(tmp_path / "e.hdf5", ["wrist"])


def poke(array, index, value):
    array = array.copy()
    array[index] = value
    return array


GOOD = make_episode()
WRONG = {
    "nan": ({"qpos": poke(GOOD.qpos, (3, 2), np.nan)}, "/observations/qpos is nan at step 3, entry 2"),
    "inf": ({"action": poke(GOOD.action, (1, 0), -np.inf)}, "/action is -inf at step 1, entry 0"),
    "too large": ({"action": np.full((T, D), 1e300)}, "/action is inf at step 0, entry 0"),
    "nan velocity": ({"qvel": poke(GOOD.qvel, (4, 13), np.nan)}, "/observations/qvel is nan at step 4"),
    "nan reward": ({"reward": np.array([0, np.nan, 0, 0, 0])}, "/reward is nan at step 1;"),
    "integers": ({"action": np.zeros((T, D), int)}, "/action is int64; it must be float32"),
    "one axis": ({"qpos": np.zeros(T)}, r"/observations/qpos has shape \(5,\); it must have 2 axes"),
    "short action": ({"action": GOOD.action[:-1]}, "/action has 4 steps; qpos has 5"),
    "short reward": ({"reward": np.zeros(2)}, "/reward has 2 steps; qpos has 5"),
    "narrow velocity": ({"qvel": GOOD.qvel[:, :7]}, r"qvel is \(5, 7\); it must be \(5, 14\), as qpos"),
    "wide base": ({"base_action": np.zeros((T, 3))}, r"/base_action is \(5, 3\); it must be \(T, 2\)"),
    "short prop": ({"env_state": np.zeros(6)}, r"/env_state is \(6,\)"),
    "nan prop": ({"env_state": np.full(7, np.nan)}, "/env_state is nan"),
    "no steps": ({"qpos": GOOD.qpos[:0], "action": GOOD.action[:0], "qvel": None}, "no steps"),
    "short camera": ({"images": {"top": jpeg(red_frames()[1:])}}, "camera 'top' has 4 steps; qpos has 5"),
    "float camera": ({"images": {"top": np.zeros((T, H, W, 3))}}, "camera 'top' is float64"),
    "grey camera": (
        {"images": {"top": np.zeros((T, H, W), np.uint8)}},
        r"camera 'top' is uint8 \(5, 48, 64\)",
    ),
    "both kinds": ({"images": {"top": jpeg(red_frames()), "raw": red_frames()}}, "some cameras are JPEG"),
    "fps": ({"fps": 0}, "fps is 0; it must be positive"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_episodes_are_refused_before_anything_is_written(tmp_path, wrong):
    changes, message = WRONG[wrong]
    with pytest.raises(EpisodeError, match=rf"episode_3\.hdf5: .*{message}") as caught:
        make_episode(**changes).save(tmp_path / "new" / "episode_3.hdf5")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("action", np.full((T, D), np.nan, np.float32), "/action is nan at step 0, entry 0"),
        ("action", np.zeros((T, D), np.int32), "/action is int32; it must be float32"),
        ("action", np.zeros((T + 1, D), np.float32), "/action has 6 steps; qpos has 5"),
        ("action", None, "no dataset /action; it has .*observations/qpos"),
        ("observations/qpos", None, "no dataset /observations/qpos"),
        ("observations/images/top", np.zeros((T - 1, H, W, 3), np.uint8), "camera 'top' has 4 steps"),
        ("observations/images/top", np.zeros((T, H, W, 3), np.float32), "camera 'top' is float32"),
        ("observations/images/top", np.zeros((T, 0), np.uint8), r"camera 'top' is uint8 \(5, 0\)"),
        ("observations/images/top", np.zeros((T, 99), np.uint8), "camera 'top': frame 0 is empty"),
    ],
)
def test_wrong_files_are_refused(tmp_path, name, value, message):
    path = tmp_path / "e.hdf5"
    write_as_act(path, red_frames())
    with h5py.File(path, "a") as root:
        del root[name]
        if value is not None:
            root[name] = value
    with pytest.raises(EpisodeError, match=rf"e\.hdf5: .*{message}") as caught:
        Episode.load(path)
    assert "\n" not in str(caught.value)


def test_damaged_jpeg_is_refused(tmp_path):
    make_episode().save(tmp_path / "e.hdf5")
    with h5py.File(tmp_path / "e.hdf5", "a") as root:
        root["/observations/images/top"][2, 100:] = 0
    with pytest.raises(EpisodeError, match="camera 'top': frame 2 is incomplete"):
        Episode.load(tmp_path / "e.hdf5")
    assert list(Episode.load(tmp_path / "e.hdf5", ["angle"]).images) == ["angle"]
    broken = np.zeros((1, 200), np.uint8)
    broken[0, :2], broken[0, -2:] = (0xFF, 0xD8), (0xFF, 0xD9)
    with pytest.raises(EpisodeError, match="frame 0 cannot be decoded"):
        JpegFrames.from_padded(broken)[0]


@pytest.mark.parametrize("keep", [0.5, 0.95, 0.0])
def test_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "e.hdf5"
    make_episode().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(
        EpisodeError, match=r"e\.hdf5: no complete HDF5 file \(.*\); record it again"
    ) as caught:
        Episode.load(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "e.hdf5").write_text("not HDF5")
    with pytest.raises(EpisodeError, match="no complete HDF5 file"):
        Episode.load(tmp_path / "e.hdf5")
    with pytest.raises(FileNotFoundError, match=r"none\.hdf5: no such episode file"):
        Episode.load(tmp_path / "none.hdf5")
    make_episode().save(tmp_path / "new.hdf5")
    with h5py.File(tmp_path / "new.hdf5", "a") as root:
        root.attrs["format_version"] = 99
    with pytest.raises(EpisodeError, match="format version is 99; this program reads up to 1"):
        Episode.load(tmp_path / "new.hdf5")


def test_existing_file_is_kept_unless_told(tmp_path):
    path = tmp_path / "e.hdf5"
    make_episode(seed=1).save(path)
    with pytest.raises(FileExistsError, match="exists already"):
        make_episode(seed=2).save(path)
    assert Episode.load(path).seed == 1
    make_episode(seed=2).save(path, overwrite=True)
    assert Episode.load(path).seed == 2 and os.listdir(tmp_path) == ["e.hdf5"]


@pytest.mark.parametrize(
    "target",
    ["episodes.episode._write_frames", "common.storage.files.os.fsync", "common.storage.files.os.replace"],
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_save_leaves_nothing(tmp_path, monkeypatch, target, error):
    def interrupt(*args, **kwargs):
        raise error

    path = tmp_path / "e.hdf5"
    make_episode(seed=1).save(path)
    monkeypatch.setattr(target, interrupt)
    for name in ("e.hdf5", "other.hdf5"):
        with pytest.raises(error):
            make_episode(seed=2).save(tmp_path / name, overwrite=True)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["e.hdf5"] and Episode.load(path).seed == 1


def test_complete_file_appears_only_when_written(tmp_path):
    with complete_file(tmp_path / "a.txt") as part:
        part.write_text("whole")
        assert not (tmp_path / "a.txt").exists() and part.parent == tmp_path
    assert (tmp_path / "a.txt").read_text() == "whole" and not part.exists()


def test_episodes_are_listed_by_number(tmp_path):
    names = ["episode_2", "episode_10", "episode_1", "mirror_episode_0", "two_cam_episode_3"]
    for name in (*names, ".episode_4.hdf5.12.part", "byol_features_seed0_episode_0", ".hidden"):
        (tmp_path / f"{name}.hdf5").touch()
    (tmp_path / ".episode_5.hdf5.77.part").touch()
    found = [path.stem for path in list_episodes(tmp_path)]
    assert found == ["episode_1", "episode_2", "episode_10", "mirror_episode_0", "two_cam_episode_3"]
    assert episode_path(tmp_path, 10) in list_episodes(str(tmp_path))
    assert episode_path(tmp_path, 0, mirror=True) in list_episodes(tmp_path)


def test_missing_dataset_tells_how_to_record(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"holds no episodes.*python3 record_sim_episodes\.py --task_name"
    ):
        list_episodes(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"is no folder; .*python3 record_sim_episodes\.py --task_name"
    ):
        list_episodes(tmp_path / "none")


def test_padding_takes_no_room(tmp_path):
    """One frame that compresses badly must not make all others as long in the file."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    frames = jpeg([noise if t == 25 else np.zeros_like(noise) for t in range(50)])
    numbers = np.zeros((50, D), np.float32)
    episode = Episode(qpos=numbers, action=numbers, images={"top": frames})
    episode.save(tmp_path / "episode_0.hdf5")
    assert (tmp_path / "episode_0.hdf5").stat().st_size < 50 * len(frames.encoded(25)) / 4
    loaded = Episode.load(tmp_path / "episode_0.hdf5").images["top"]
    assert all(np.array_equal(loaded.encoded(t), frames.encoded(t)) for t in range(50))


def test_a_start_is_read_without_the_states(tmp_path):
    start = np.arange(14.0)
    states = np.zeros((3, 7), np.float32)
    saved = Episode(states, states, task="x", env_state=start, randomized=True)
    saved.save(tmp_path / "episode_0.hdf5")
    facts, found = read_start(tmp_path / "episode_0.hdf5")
    assert np.array_equal(found, start) and (facts["task"], facts["randomized"]) == ("x", True)
    replace(saved, env_state=None).save(tmp_path / "episode_1.hdf5")
    assert read_start(tmp_path / "episode_1.hdf5")[1] is None
