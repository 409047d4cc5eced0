"""What strangers' files do: names on one side alone, pictures one a row, gaps, numbers in disorder."""

import csv

import cv2
import h5py
import numpy as np
import pytest
from recordings import act_file, motion, truth
from wild_lerobot import (
    bring,
    change_tables,
    feature,
    index_columns,
    write_info,
    write_lines,
    write_table,
    write_video,
)

from readers.videos import frame_times

NAMED = [f"{arm}_{joint}" for arm in ("right", "left") for joint in (*(f"j{i}" for i in range(6)), "Gripper")]
OPEN = [6, 13]  # its grippers


def lerobot_set(root, state=None, action=None, dim=14, lengths=(9, 7)):
    """States that are also the actions; grippers of two arms from 0 to 100."""
    write_info(root, "v2.1", {"observation.state": feature(dim, state), "action": feature(dim, action)})
    write_lines(root, lengths)
    first = 0
    for i, steps in enumerate(lengths):
        rows = motion(steps, dim, i)
        rows[:, OPEN if dim == 14 else [dim - 1]] = np.linspace(0, 100, steps)[:, None]
        columns = {"observation.state": rows, "action": rows, **index_columns(i, steps, first, 20)}
        write_table(root / f"data/chunk-000/episode_{i:06d}.parquet", columns)
        first += steps


@pytest.mark.parametrize(("state", "action"), [(NAMED, None), (None, NAMED), (NAMED, NAMED)])
def test_names_of_the_state_are_the_action_s_too_and_the_other_way_round(tmp_path, state, action):
    lerobot_set(tmp_path / "set", state, action)
    episodes = bring(tmp_path / "set", tmp_path / "out", no_images=True, gripper_range=(0.0, 100.0))
    for i, episode in enumerate(episodes):
        np.testing.assert_array_equal(episode.qpos, episode.action)
        np.testing.assert_allclose(episode.qpos[-1, OPEN], 1)
        np.testing.assert_allclose(episode.qpos[:, 0], motion(len(episode), 14, i)[:, 7], atol=1e-6)


def test_a_range_of_grippers_that_are_none_is_refused(tmp_path):
    lerobot_set(tmp_path / "set", [f"motor_{c}" for c in "abcde"], dim=5)
    with pytest.raises(ValueError, match="--gripper_range is given, but no entry is a gripper"):
        bring(tmp_path / "set", tmp_path / "out", no_images=True, gripper_range=(0.0, 100.0))
    assert len(bring(tmp_path / "set", tmp_path / "out", no_images=True)) == 2


def test_a_gap_in_the_first_row_costs_one_recording(tmp_path, capsys):
    lerobot_set(tmp_path / "set")

    def lose_a_row(columns):
        if columns["episode_index"][0] == 0:
            columns["observation.state"][0] = None

    change_tables(tmp_path / "set", lose_a_row)
    assert len(bring(tmp_path / "set", tmp_path / "out", no_images=True, skip_damaged=True)) == 1
    assert "left out: 1 recordings: " in capsys.readouterr().out


def test_notepad_s_mark_before_json(tmp_path):
    lerobot_set(tmp_path / "set")
    for name in ("info.json", "episodes.jsonl"):
        path = tmp_path / "set" / "meta" / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(bring(tmp_path / "set", tmp_path / "out", no_images=True)) == 2


def in_place_of_pictures(change):
    """For `act_file`: its pictures as `change` makes them of an array (T, H, W, 3)."""

    def replaced(root):
        frames = root["observations/images/top"][()]
        del root["observations/images/top"]
        change(root, frames)

    return replaced


def one_a_row(root, frames):
    rows = root.create_dataset("observations/images/top", (len(frames),), h5py.vlen_dtype(np.uint8))
    for i, frame in enumerate(frames):
        rows[i] = cv2.imencode(".png", frame)[1].ravel()


def strings(root, frames):
    codes = [cv2.imencode(".png", frame)[1].tobytes() for frame in frames]
    root["observations/images/top"] = np.array(codes, f"S{max(map(len, codes))}")


@pytest.mark.parametrize("change", [one_a_row, strings])
def test_encoded_pictures_may_stand_one_a_row(tmp_path, change):
    wanted = truth(0, 6)
    act_file(tmp_path / "set" / "episode_0.hdf5", wanted, in_place_of_pictures(change))
    (episode,) = bring(tmp_path / "set", tmp_path / "out")
    frames = episode.images["top"]
    assert max(np.abs(frames[t].astype(int) - wanted.pictures[t]).mean() for t in range(6)) < 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root, f: root.create_dataset("observations/images/top", data=f[1:]), "5 frames for 6 steps"),
        (
            lambda root, f: root.create_dataset("observations/images/top", data=f.astype(np.int64)),
            "whole numbers of more than a byte",
        ),
    ],
)
def test_pictures_are_not_lost_in_silence(tmp_path, change, said):
    act_file(tmp_path / "set" / "episode_0.hdf5", truth(0, 6), in_place_of_pictures(change))
    with pytest.raises(ValueError, match=f"no pictures that can be read .*{said}.*--no_images brings in"):
        bring(tmp_path / "set", tmp_path / "out")
    (episode,) = bring(tmp_path / "set", tmp_path / "out", no_images=True)
    assert not episode.images and len(episode) == 6


def table(path, names, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


def test_numbered_columns_are_taken_by_their_numbers(tmp_path):
    rows = np.arange(12.0).reshape(2, 6) / 20
    table(tmp_path / "take.csv", ["qpos_2", "action_1", "qpos_10", "action_0", "qpos_0", "action_2"], rows)
    (episode,) = bring(tmp_path / "take.csv", tmp_path / "out", no_images=True, fps=10)
    np.testing.assert_allclose(episode.qpos, rows[:, [4, 0, 2]])
    np.testing.assert_allclose(episode.action, rows[:, [3, 1, 5]])


def test_why_there_is_no_state_is_said(tmp_path):
    table(tmp_path / "take.csv", ["qpos_0", "qpos_1", "action_0"], [[0, 1, 2], ["nan", 1, 2], [0, 1, 2]])
    with pytest.raises(ValueError, match="no state, .*left out: column qpos_0: not a number in every row"):
        bring(tmp_path / "take.csv", tmp_path / "out", no_images=True, fps=10)


def test_frames_are_told_apart_by_the_video_s_own_rate(tmp_path):
    """Whatever rate the steps are said to have: a quarter of a step may be longer than a frame."""
    write_video(tmp_path / "both.mp4", truth(0, 20).pictures, fps=50)
    shown = frame_times(tmp_path / "both.mp4", 0.2, 0.4, step=0.1)
    np.testing.assert_allclose(shown, np.arange(10, 20) / 50, atol=1e-6)
