"""Other people's episode files: read in whatever form, or refused in one line that says what they are."""

import errno
import os
import subprocess
import sys

import cv2
import h5py
import numpy as np
import pytest
from foreign import D, H, T, W, jpeg, motion, padded, picture, pictures, put, write
from repository import ROOT

import edit_episodes
from dataset_tools.inspection import Thresholds, find_problems
from episodes.episode import Episode
from episodes.errors import EpisodeError, OpenError
from episodes.frames import JpegFrames
from episodes.hdf5 import files as hdf5_module
from episodes.hdf5.reading import unread_datasets, widths
from training.feeding import load_data
from training.flags import FeedConfig

TOP = "observations/images/top"
DEPTH = np.full((T, H, W), 900, np.uint16)


def refusal(path, *args, **kwargs) -> str:
    """Why a file is refused: one line, with its name."""
    with pytest.raises(EpisodeError) as caught:
        Episode.load(path, *args, **kwargs)
    said = str(caught.value)
    assert said.startswith(f"{path}: ") and "\n" not in said and len(said) < 500 + len(str(path))
    return said


# --- pictures


def vlen(kind=np.uint8):
    def change(root):
        del root[TOP]
        table = root.create_dataset(TOP, (T,), dtype=h5py.vlen_dtype(kind))
        for t in range(T):
            table[t] = np.frombuffer(jpeg(t), kind)

    return change


ROWS = [jpeg(t) for t in range(T)]
FORMS = {
    "rows": put(TOP, padded(ROWS)),
    "rows filled with FF": put(TOP, padded(ROWS, 255)),
    "signed bytes": put(TOP, padded(ROWS).view(np.int8)),
    "byte strings": put(TOP, np.array(ROWS)),
    "byte strings in a column": put(TOP, np.array(ROWS)[:, None]),
    "opaque": put(TOP, padded(ROWS).view(f"V{padded(ROWS).shape[1]}")[:, 0]),
    "varying length": vlen(),
    "varying length, signed": vlen(np.int8),
    "line ends behind": put(TOP, padded([row + b"\r\n" for row in ROWS])),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_jpegs_are_read_in_every_form(tmp_path, form, in_memory):
    episode = Episode.load(write(tmp_path / "e.hdf5", FORMS[form]), in_memory=in_memory)
    frames = episode.images["top"]
    assert isinstance(frames, JpegFrames) and len(frames) == T and frames.shape == (H, W)
    for t in (0, 5, T - 1):
        np.testing.assert_array_equal(frames[t], cv2.imdecode(np.frombuffer(ROWS[t], np.uint8), 1))
        assert frames.encoded(t).tobytes() == ROWS[t]
    if in_memory:
        episode.save(tmp_path / "ours.hdf5")
        assert Episode.load(tmp_path / "ours.hdf5").images["top"].encoded(3).tobytes() == ROWS[3]
    else:
        assert frames.in_memory().encoded(7).tobytes() == ROWS[7] and frames.nbytes > sum(map(len, ROWS)) / 2


def test_a_group_in_place_of_a_camera_is_called_so(tmp_path):
    def change(root):
        root.move(TOP, "observations/images/kept")
        root.move("observations/images/kept", f"{TOP}/rgb")

    said = refusal(write(tmp_path / "e.hdf5", change))
    assert "camera 'top' is a group (it holds rgb); a camera must be one dataset" in said


def test_one_dataset_in_place_of_all_cameras_is_called_so(tmp_path):
    path = write(tmp_path / "e.hdf5", put("observations/images", pictures()))
    assert "/observations/images is one dataset, uint8 (12, 48, 64, 3); it must be a group" in refusal(path)
    assert Episode.load(path, cameras=()).images == {}


def test_only_the_cameras_asked_for_are_looked_at(tmp_path):
    def change(root):
        root["observations/images/depth"] = DEPTH
        root["observations/images/broken"] = padded([b"\xff\xd8\xff"] * T)
        root["observations/images/deep/rgb"] = pictures()
        root[f"observations/images/{'x'}"] = h5py.ExternalLink("elsewhere.hdf5", "/x")

    path = write(tmp_path / "e.hdf5", change)
    assert list(Episode.load(path, ["top"]).images) == ["top"]
    refusal(path)


@pytest.mark.parametrize(
    "other",
    [
        DEPTH,
        DEPTH[..., None],
        DEPTH.astype(np.float32),
        np.zeros((T, H, W), np.uint8),
        np.zeros((T, H, W, 4), np.uint8),
    ],
    ids=str,
)
def test_what_is_no_picture_is_left_out_with_a_note_unless_asked_for(tmp_path, other):
    path = write(tmp_path / "e.hdf5", put("observations/images/near", other))
    episode = Episode.load(path)
    assert list(episode.images) == ["top"]
    assert episode.notes == (f"camera 'near' is {other.dtype} {other.shape}, no pictures, and is left out",)
    assert unread_datasets(path) == ["/observations/images/near"]
    assert "camera 'near' is" in refusal(path, ["near"])
    alone = write(tmp_path / "alone.hdf5", put(TOP, other))
    assert "camera 'top' is" in refusal(alone)


def test_depth_by_name_is_read_only_if_asked_for(tmp_path):
    path = write(tmp_path / "e.hdf5", put("observations/images/top_depth", pictures()))
    assert list(Episode.load(path).images) == ["top"] and Episode.load(path).notes == ()
    assert list(Episode.load(path, ["top_depth"]).images) == ["top_depth"]


@pytest.mark.parametrize("shape", [(T, 0, W, 3), (T, H, 0, 3), (T, 0)])
def test_frames_without_pixels_are_refused(tmp_path, shape):
    path = write(tmp_path / "e.hdf5", put("observations/images/wrist", np.zeros(shape, np.uint8)))
    assert "camera 'wrist' is uint8" in refusal(path)
    assert "camera 'wrist' is uint8" in refusal(path, ["wrist"], in_memory=False)


def test_pngs_are_called_pngs(tmp_path):
    rows = [cv2.imencode(".png", picture(t))[1].tobytes() for t in range(T)]
    for change in (put(TOP, padded(rows)), put(TOP, np.array(rows))):
        assert "camera 'top': frame 0 is a PNG; every row must be one whole JPEG" in refusal(
            write(tmp_path / "e.hdf5", change)
        )


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\nb"])
def test_a_camera_whose_name_cannot_be_given_is_refused(tmp_path, name):
    path = write(tmp_path / "e.hdf5", lambda root: root["observations/images"].copy("top", name))
    assert "camera" in refusal(path)
    assert list(Episode.load(path, ["top"]).images) == ["top"]


@pytest.mark.parametrize("name", ["a/b", "", ".", "..", "a\nb", "\udcff"])
def test_no_episode_is_saved_whose_cameras_could_not_be_read_again(tmp_path, name):
    with pytest.raises(EpisodeError, match="a camera is called"):
        Episode(motion(), motion(), {name: pictures()}).save(tmp_path / "e.hdf5")


def test_messages_list_ten_names_at_most(tmp_path):
    def many(root):
        del root["action"]
        for i in range(300):
            root[f"other/number_{i}"] = i

    said = refusal(write(tmp_path / "e.hdf5", many))
    assert "no dataset /action; it has" in said and " and 29" in said

    def cameras(root):
        for i in range(30):
            root.copy(TOP, f"observations/images/c{i}")

    said = refusal(write(tmp_path / "c.hdf5", cameras), ["none"])
    assert "no camera 'none'; it has c0" in said and "and 21 more" in said


def test_a_robomimic_file_is_called_so(tmp_path):
    path = tmp_path / "demo.hdf5"
    with h5py.File(path, "w") as root:
        for i in range(50):
            root[f"data/demo_{i}/actions"] = motion(7)
            root[f"data/demo_{i}/obs/robot0_joint_pos"] = motion(7)
    assert "it is a robomimic file of 50 demonstrations" in refusal(path)


# --- arrays nobody trains on


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(T,), (T, 1)])
def test_optional_numbers_are_brought_to_our_form(tmp_path, dtype, shape):
    path = write(tmp_path / "e.hdf5", put("reward", np.arange(T).reshape(shape).astype(dtype)))
    episode = Episode.load(path)
    assert episode.reward.dtype == np.float32 and episode.reward.shape == (T,) and episode.notes == ()
    np.testing.assert_array_equal(episode.reward, np.arange(T).astype(dtype).astype(np.float32))
    assert unread_datasets(path) == []


MISFITS = {
    "reward": [
        np.zeros(T - 1),
        np.zeros((T, 2)),
        np.zeros((1, T)),
        np.full(T, np.nan),
        np.float32(1),
        h5py.Empty("f"),
        "none",
        np.full(T, 1e300),
    ],
    "observations/qvel": [
        np.zeros((T, 12)),
        np.zeros(T),
        np.zeros((T + 1, D)),
        np.full((T, D), np.inf),
        np.array([b"a"] * T),
    ],
    "base_action": [np.zeros((T, 3)), np.zeros((T, 0)), np.zeros(T), np.zeros((2, T))],
    "env_state": [np.zeros((T, 9)), np.zeros(6), np.zeros(0), np.full(7, np.nan), np.zeros(7, complex)],
    "time": [np.zeros((T, 2)), np.zeros(3), np.full(T, np.inf), np.zeros(T, complex)],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in MISFITS.items() for v in values])
def test_an_optional_array_that_does_not_fit_is_left_out_with_a_note(tmp_path, name, value):
    path = write(tmp_path / "e.hdf5", put(name, value))
    episode = Episode.load(path)
    assert len(episode) == T and getattr(episode, name.split("/")[-1]) is None
    (note,) = episode.notes
    assert note.startswith(f"/{name} ") and note.endswith("and is left out")
    assert unread_datasets(path) == [f"/{name}"]  # so that no edit loses it unasked


def test_what_is_trained_on_is_never_left_out(tmp_path):
    broken = np.zeros((T, 2), np.float32)
    broken[3, 1] = np.nan
    assert "/base_action is nan at step 3, entry 1" in refusal(
        write(tmp_path / "b.hdf5", put("base_action", broken))
    )
    for name in ("action", "observations/qpos"):
        for value in (
            np.zeros((T, 0), np.float32),
            np.zeros((T, D), "S3"),
            np.zeros((T, D), complex),
            h5py.Empty("f"),
            1.0,
        ):
            assert f"/{name} " in refusal(write(tmp_path / "e.hdf5", put(name, value)))


def test_widths_are_those_of_the_episode(tmp_path):
    for value, base in ((np.zeros((T, 2), int), 2), (np.zeros((T, 3)), 0), (None, 0)):
        path = write(tmp_path / "e.hdf5", put("base_action", value))
        assert widths(path) == (D, D + base)


CLOCKS = {
    "1970, float64": (1.7e9 + np.arange(T) / 50, ""),
    "1970, milliseconds": (1.7e12 + 20.0 * np.arange(T), "milliseconds (ms)"),
    "1970, nanoseconds": (1_700_000_000_000_000_000 + 20_000_000 * np.arange(T), "nanoseconds (ns)"),
    "unsigned microseconds": ((10**15 + 20_000 * np.arange(T)).astype(np.uint64), "microseconds (us)"),
    "milliseconds from 0": (20 * np.arange(T, dtype=np.int32), "milliseconds (ms)"),
    "a column": (np.arange(T)[:, None] / 50, ""),
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_clocks_of_every_kind_begin_at_0_and_count_seconds(tmp_path, clock):
    times, unit = CLOCKS[clock]
    path = write(tmp_path / "e.hdf5", put("time", times), fps=50)
    episode = Episode.load(path)
    np.testing.assert_allclose(episode.time, np.arange(T) / 50, atol=1e-4)
    assert [unit in note for note in episode.notes] == ([True] if unit else [])
    assert find_problems(path, Thresholds()).problems == []


def test_clocks_that_do_not_go_on(tmp_path):
    for times, words in (
        (np.float32(1.7e9) + np.zeros(T, np.float32), "time: stands still; it is the same at all steps"),
        (np.arange(T)[::-1] / 50, "time: goes back at step 1"),
        (np.repeat(np.arange(T // 2), 2) / 25, "time: stands still at step 1"),
    ):
        problems = find_problems(
            write(tmp_path / "e.hdf5", put("time", times), fps=50), Thresholds()
        ).problems
        assert words in problems


def test_a_time_of_the_api_is_relative_too():
    episode = Episode(motion(), motion(), time=1.7e9 + np.arange(T) / 50)
    np.testing.assert_allclose(episode.time, np.arange(T) / 50, atol=1e-5)


# --- files that cannot be opened


def test_a_locked_file_is_called_locked(tmp_path):
    path = write(tmp_path / "episode_0.hdf5")
    with h5py.File(path, "a"):
        code = (
            "import sys, episodes\ntry: episodes.Episode.load(sys.argv[1])\nexcept ValueError as e: print(e)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, path],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
    assert (
        "another program has it open and locked" in done.stdout
        and "HDF5_USE_FILE_LOCKING=FALSE" in done.stdout
    )
    assert "record it again" not in done.stdout


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "no permission"),
        (errno.EPERM, "no permission"),
        (errno.EIO, "disk or network failed"),
        (errno.EMFILE, "too many files are open"),
        (errno.ESTALE, "cannot be read ("),
    ],
)
@pytest.mark.parametrize("by", ["the system", "HDF5"])
def test_an_error_of_the_system_is_not_taken_for_damage(tmp_path, monkeypatch, number, words, by):
    path = write(tmp_path / "episode_0.hdf5")

    def refuse(*args, **kwargs):
        if by == "HDF5":
            raise OSError(
                f"Can't synchronously read data (file read failed: errno = {number}, error message = 'x')"
            )
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(hdf5_module, "open_file", refuse)
    with pytest.raises(OpenError) as caught:
        Episode.load(path)
    assert words in str(caught.value) and "record it again" not in str(caught.value)


def test_what_lies_in_place_of_a_file_is_told(tmp_path):
    (tmp_path / "link.hdf5").symlink_to(tmp_path / "gone.hdf5")
    (tmp_path / "loop.hdf5").symlink_to(tmp_path / "loop.hdf5")
    (tmp_path / "folder.hdf5").mkdir()
    os.mkfifo(tmp_path / "pipe.hdf5")
    (tmp_path / "lfs.hdf5").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 1\n")
    (tmp_path / "page.hdf5").write_text("<!DOCTYPE html><html>Sign in</html>")
    for name, words in (
        ("link", "a link to .*gone.hdf5, which is not there"),
        ("loop", "a link that leads to itself"),
        ("folder", "a folder, not an episode file"),
        ("pipe", "a pipe or device, not an episode file"),
        ("lfs", "git lfs pull"),
        ("page", "a web page"),
    ):
        with pytest.raises(OpenError, match=words):
            Episode.load(tmp_path / f"{name}.hdf5")
    (tmp_path / "empty.hdf5").touch()
    assert "0 bytes" in refusal(tmp_path / "empty.hdf5")
    for missing in (tmp_path / "none.hdf5", tmp_path / "none" / "e.hdf5", tmp_path / "page.hdf5" / "e.hdf5"):
        with pytest.raises(FileNotFoundError, match="no such episode file"):
            Episode.load(missing)


def test_training_tells_what_it_leaves_out(tmp_path):
    for i in range(4):
        write(tmp_path / f"episode_{i}.hdf5", put("reward", np.zeros(3)), fps=30, task="mine")
    config = FeedConfig(dataset_dir=(str(tmp_path),), image_size=(H, W))
    told = [line for line in load_data(config, "mine", ("top",), 0).text().splitlines() if "note" in line]
    assert len(told) == 1 and "/reward is float64 (3,), not (12,), and is left out (4 episodes" in told[0]


def test_check_tells_what_could_not_be_opened_from_what_is_damaged(tmp_path, capsys):
    write(tmp_path / "episode_0.hdf5")
    (tmp_path / "episode_1.hdf5").symlink_to(tmp_path / "gone")
    command = ["check", "--dataset_dir", str(tmp_path), "--num_workers", "1"]
    with pytest.raises(
        EpisodeError, match="1 problems in 1 of 2 episodes; files that could not be opened may be sound"
    ):
        run(command)
    assert "episode_1.hdf5: a link to" in capsys.readouterr().out
    (tmp_path / "episode_2.hdf5").write_bytes((tmp_path / "episode_0.hdf5").read_bytes()[:5000])
    with pytest.raises(EpisodeError, match=r"\(1 that could not be opened .*\): .* delete .* --episodes 2$"):
        run(command)
    run(["info", "--dataset_dir", str(tmp_path)])
    said = capsys.readouterr().out
    assert all(f"episode_{i}.hdf5" in said for i in range(3)) and "problems: 2" in said


def run(argv):
    """edit_episodes.py, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["edit_episodes.py", *map(str, argv)])
        edit_episodes.main()
