"""Folders of episodes: what lies there under other names is told; episodes are found by their number."""

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from foreign import put, write

import edit_episodes
from dataset_tools.edits import EditFlags
from episodes.episode import Episode
from episodes.folders import data_dir, find_episode, find_episodes, list_episodes

RECORD = "record some first"


def test_data_dir(monkeypatch):
    monkeypatch.delenv("ACT_DATA_DIR", raising=False)
    assert data_dir("a_task") == Path("data", "a_task")
    monkeypatch.setenv("ACT_DATA_DIR", os.path.join("some", "where"))
    assert data_dir("a_task") == Path("some", "where", "a_task")


@pytest.mark.parametrize("name", ["episode_0.h5", "episode_0.HDF5", "demo.hdf", "a.he5"])
def test_files_of_another_ending_are_told_with_the_command_that_renames_them(tmp_path, name):
    folder = tmp_path / "my data"
    write(folder / name)
    with pytest.raises(FileNotFoundError, match=name) as caught:
        list_episodes(folder)
    said = str(caught.value)
    assert RECORD not in said
    subprocess.run(["bash", "-c", said.partition("rename them: ")[2]], check=True)
    assert [path.stem for path in list_episodes(folder)] == [name.partition(".")[0]]


def test_episodes_further_down_are_told(tmp_path):
    write(tmp_path / "train" / "episode_0.hdf5")
    write(tmp_path / "more" / "val" / "episode_0.h5")
    with pytest.raises(FileNotFoundError, match=r"in its folders: --dataset_dir .*train, .*val$") as caught:
        list_episodes(tmp_path)
    assert RECORD not in str(caught.value)


def test_a_lerobot_set_is_told_with_the_command_that_reads_it(tmp_path):
    folder = tmp_path / "set"
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="LeRobot dataset.*edit_episodes.py import_lerobot --data"):
        list_episodes(folder)
    with pytest.raises(FileNotFoundError, match=f"in its folders: --dataset_dir {folder}$"):
        list_episodes(tmp_path)


def test_a_file_in_place_of_a_folder_is_told(tmp_path):
    path = write(tmp_path / "episode_0.hdf5")
    with pytest.raises(FileNotFoundError, match=f"is a file; give the folder that it lies in: {tmp_path}"):
        list_episodes(path)
    with pytest.raises(FileNotFoundError, match=RECORD):
        list_episodes(tmp_path / "none")


def test_odd_names_do_not_stop_the_list(tmp_path):
    for name in ("episode_²", "episode_٣", "x", "episode_10", "episode_9", "1_2_3", "-"):
        write(tmp_path / f"{name}.hdf5")
    assert len(list_episodes(tmp_path)) == 7


@pytest.mark.parametrize(
    ("names", "number", "mirror", "found"),
    [
        (["episode_000002", "episode_000012"], 2, False, "episode_000002"),
        (["episode2", "episode12"], 2, False, "episode2"),
        (["demo_2", "demo_12"], 12, False, "demo_12"),
        (["episode_2", "episode_02", "demo_2"], 2, False, "episode_2"),
        (["episode_02", "demo_2"], 2, False, "episode_02"),
        (["mirror_episode_2", "episode_2"], 2, True, "mirror_episode_2"),
        (["mirror_episode_2", "episode_2"], 2, False, "episode_2"),
        (["mirror_episode_000002", "episode_000002"], 2, True, "mirror_episode_000002"),
        (["7"], 7, False, "7"),
    ],
)
def test_episodes_are_found_by_their_number(tmp_path, names, number, mirror, found):
    for name in names:
        write(tmp_path / f"{name}.hdf5")
    assert find_episode(list_episodes(tmp_path), number, mirror).stem == found
    assert find_episodes(tmp_path, number, mirror) == [tmp_path / f"{found}.hdf5"]
    if not mirror:
        chosen = EditFlags(dataset_dir=str(tmp_path), episodes=(str(number),)).chosen()
        assert [path.stem for path in chosen] == [found]


def test_a_number_that_none_or_several_have(tmp_path):
    for name in ("episode_01", "episode_001", "a_b"):
        write(tmp_path / f"{name}.hdf5")
    with pytest.raises(
        ValueError, match=r"several of number 1: episode_001\.hdf5, episode_01\.hdf5|episode_01"
    ):
        find_episode(list_episodes(tmp_path), 1)
    with pytest.raises(FileNotFoundError, match=r"has no episode_2\.hdf5; it has 3 episodes"):
        find_episode(list_episodes(tmp_path), 2)


# --- edits of such files


def edit(monkeypatch, *argv) -> None:
    monkeypatch.setattr(
        sys, "argv", shlex.split(f"edit_episodes.py {' '.join(map(str, argv))} --num_workers 1")
    )
    edit_episodes.main()


def test_a_rate_that_no_episode_can_have_is_set_by_relabel(tmp_path, monkeypatch):
    for i, fps in enumerate((12.5, "15 Hz", np.nan)):
        write(tmp_path / "data" / f"episode_{i}.hdf5", fps=fps)
    with pytest.raises(ValueError, match="relabel --fps"):
        edit(
            monkeypatch,
            "truncate --steps 3 --dataset_dir",
            tmp_path / "data",
            "--output_dir",
            tmp_path / "out",
        )
    edit(monkeypatch, "relabel --fps 12 --dataset_dir", tmp_path / "data", "--output_dir", tmp_path / "out")
    assert [Episode.load(path).fps for path in list_episodes(tmp_path / "out")] == [12, 12, 12]


def test_an_edit_in_place_does_not_lose_what_was_left_out(tmp_path, monkeypatch):
    path = write(tmp_path / "episode_0.hdf5", put("reward", np.zeros(3)))
    with pytest.raises(ValueError, match="/reward would be lost; choose --output_dir"):
        edit(monkeypatch, "truncate --steps 3 --in_place --dataset_dir", tmp_path)
    assert len(Episode.load(path)) > 3


@pytest.mark.parametrize(("dim", "action", "entries"), [(6, 6, 6), (14, 3, 3), (7, 6, 6)])
def test_an_arm_without_a_gripper_is_told_so(tmp_path, monkeypatch, dim, action, entries):
    for i in range(2):
        write(tmp_path / f"episode_{i}.hdf5", put("action", np.zeros((12, action), np.float32)), dim=dim)
    for event in ("grasp", "release"):
        with pytest.raises(ValueError, match=f"no gripper in its {entries} entries; choose --event reward"):
            edit(
                monkeypatch,
                "align --dataset_dir",
                tmp_path,
                "--output_dir",
                tmp_path / "out",
                "--event",
                event,
            )


def test_a_link_is_written_through(tmp_path):
    real, link = tmp_path / "store" / "7.hdf5", tmp_path / "data" / "episode_0.hdf5"
    write(real)
    link.parent.mkdir()
    link.symlink_to("../store/7.hdf5")
    replace(Episode.load(link), fps=10).save(link, overwrite=True)
    assert link.is_symlink() and Episode.load(real).fps == 10 and len(list(tmp_path.rglob("*"))) == 4


def test_links_that_are_put_aside_lead_where_they_did(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    write(tmp_path / "store" / "7.hdf5")
    write(folder / "episode_0.hdf5")
    (folder / "episode_1.hdf5").symlink_to("../store/7.hdf5")
    (folder / "episode_2.hdf5").symlink_to("gone")
    edit(monkeypatch, "delete --in_place --episodes 1 2 --dataset_dir", folder)
    assert [path.name for path in list_episodes(folder)] == ["episode_0.hdf5"]
    assert len(Episode.load(folder / "deleted" / "episode_1.hdf5")) == 12
    assert (folder / "deleted" / "episode_2.hdf5").is_symlink()


def test_a_name_of_bytes_that_are_no_characters_is_shown_as_they_are(tmp_path):
    path = write(tmp_path / "episode_0.hdf5")
    path.rename(path.with_name(os.fsdecode(b"episode_\xff0.hdf5")))
    (tmp_path / os.fsdecode(b"episode_\xff1.hdf5")).touch()
    for command in ("info", "check"):
        done = subprocess.run(
            [sys.executable, edit_episodes.__file__, command, "--dataset_dir", tmp_path], capture_output=True
        )
        assert b"episode_\\udcff1.hdf5" in done.stdout and b"0 bytes" in done.stdout
        assert b"codec" not in done.stderr and done.returncode == (command == "check")
