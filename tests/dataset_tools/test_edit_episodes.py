"""Every sub-command as a user types it, on small datasets; nothing half done, whenever it is stopped."""

import builtins
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from unittest.mock import Mock

import h5py
import numpy as np
import pytest
from browser import chromium, require_chromium, wait_until
from pairs import pairs
from synthetic import make_dataset, make_episode

import edit_episodes as script
import imitate_episodes
from common import cli
from common.storage.locks import hold
from dataset_tools import plans
from dataset_tools.transforms import changed
from episodes import stats as stats_module
from episodes.episode import Episode
from episodes.folders import episode_path, list_episodes, source_name
from episodes.frames import JpegFrames
from episodes.selection.splits import split_datasets
from episodes.stats import dataset_stats

SCRIPT = Path(script.__file__)
N, T = 4, 30
EDITS = (
    *("compress", "decompress", "truncate", "align", "resample", "mirror", "mask", "recolor", "relabel"),
    *("shift_actions", "delete"),
)
CHOOSE = "sim_mycobot320_choose_scripted"


@pytest.fixture
def edit(monkeypatch, capsys):
    """Runs the script in this process; returns what it printed."""

    def run(command, *flags):
        words = [command, *map(str, flags), "--num_workers", "1"]
        if command in ("info", "stats"):
            words = words[:-2]
        monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *words])
        cli.run(script.main)
        return capsys.readouterr().out

    return run


def refusal(edit, *flags):
    """What the script says as it ends in one line."""
    with pytest.raises(SystemExit) as caught:
        edit(*flags)
    assert isinstance(caught.value.code, str) and "\n" not in caught.value.code, caught.value.code
    return caught.value.code


class Clock:
    """Draws a bar that grows by four pixels a frame along the lower edge."""

    def __init__(self):
        self.frame = 0

    def __call__(self, picture):
        self.frame += 1
        picture[88:, : 4 * self.frame] = 200
        return picture


@pytest.fixture
def dataset(tmp_path):
    """Four episodes of two arms whose right gripper closes at steps 10, 12, 14 and 16; the last two fail."""
    folder, rng = tmp_path / "data", np.random.default_rng(0)
    for i in range(N):
        save(rng, episode_path(folder, i), grasp=10 + 2 * i, success=i < 2)
    return folder


def save(rng, path, grasp=10, steps=T, cameras=("left_wrist", "top"), **values):
    episode = make_episode(rng, steps, cameras)
    episode.action[:, [6, 13]] = 1.0
    episode.action[grasp:, 13] = 0.0
    for camera in cameras:  # a clock, as frames of an arm that moves differ
        episode.images[camera] = changed(episode.images[camera], Clock())
    reward = np.where(np.arange(steps) < grasp + 3, 0, 4)
    episode = replace(episode, reward=reward.astype(float), env_state=np.arange(7.0) / 7, **values)
    episode.save(path)


def listing(folder):
    """Every file below a folder with a digest of its content."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def load(folder):
    return [Episode.load(path) for path in list_episodes(folder)]


def some_flags(command):
    """Flags of a command beyond where to read and write."""
    return {
        "truncate": ["--steps", 9],
        "resample": ["--fps", 10],
        "shift_actions": ["--steps", 2],
        "mask": ["--mask_outside", "top=10,20,90,80"],
        "relabel": ["--success", "unknown"],
        "delete": ["--episodes", 1],
        "split": ["--shares", 0.5, 0.5],
    }.get(command, [])


@pytest.mark.parametrize("command", [*EDITS, "split", "merge"])
def test_a_dry_run_writes_nothing(edit, dataset, tmp_path, command):
    before = listing(tmp_path)
    flags = ["--dataset_dir", dataset, *some_flags(command), "--dry_run"]
    said = edit(command, *flags, "--output_dir", tmp_path / "out")
    assert "nothing was written (--dry_run)" in said and "episode_0.hdf5" in said
    if command in EDITS:
        assert "nothing was written" in edit(command, *flags, "--in_place")
    assert listing(tmp_path) == before


@pytest.mark.parametrize("command", [*EDITS, "split", "merge"])
def test_the_original_stays_as_it_is(edit, dataset, tmp_path, command):
    before = listing(dataset)
    edit(command, "--dataset_dir", dataset, *some_flags(command), "--output_dir", tmp_path / "out")
    assert listing(dataset) == before
    made = list((tmp_path / "out").rglob("*.hdf5"))
    assert len(made) == (N - 1 if command == "delete" else N)
    for path in made:
        Episode.load(path)
    history = json.loads((tmp_path / "out" / plans.HISTORY).read_text())
    assert history[0]["command"] == command and len(history[0]["files"]) == len(made)
    assert not list((tmp_path / "out").rglob(".*")), "nothing is left lying about"


@pytest.mark.parametrize("command", EDITS)
def test_where_to_write_has_to_be_said(edit, dataset, tmp_path, command):
    flags = ["--dataset_dir", dataset, *some_flags(command)]
    both = [*flags, "--in_place", "--output_dir", tmp_path / "out"]
    for wrong in (flags, both):
        assert "say where to write" in refusal(edit, command, *wrong)


def test_nothing_is_overwritten(edit, dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "out")
    before = listing(tmp_path)
    flags = ("--dataset_dir", dataset, "--steps", 5, "--output_dir", tmp_path / "out")
    assert "episode_0.hdf5 exists already; choose another --output_dir" in refusal(edit, "truncate", *flags)
    for command in ("truncate", "merge", "resample"):  # in place without having been told
        same = ("--dataset_dir", dataset, *some_flags(command), "--output_dir", f"{dataset}/../data")
        assert "exists already; choose another --output_dir" in refusal(edit, command, *same)
    assert listing(tmp_path) == before


def test_truncate(edit, dataset, tmp_path):
    save(np.random.default_rng(1), episode_path(dataset, 4), steps=7)
    said = edit("truncate", "--dataset_dir", dataset, "--steps", 9, "--in_place")
    assert f"truncate: {N} files" in said
    assert [len(episode) for episode in load(dataset)] == [9] * N + [7]
    assert all(len(episode.images["top"]) == len(episode) for episode in load(dataset))
    assert "nothing to do" in edit("truncate", "--dataset_dir", dataset, "--steps", 9, "--in_place")
    assert "--steps is 0" in refusal(edit, "truncate", "--dataset_dir", dataset, "--steps", 0, "--in_place")


def test_some_episodes_only(edit, dataset, tmp_path):
    out = tmp_path / "out"
    flags = ("--dataset_dir", dataset, "--output_dir", out, "--steps", 9)
    said = refusal(edit, "truncate", *flags, "--episodes", "0", "9")
    assert "unknown episode 'episode_9'; did you mean" in said
    edit("truncate", *flags, "--episodes", "0", "episode_2")
    assert [len(episode) for episode in load(out)] == [9, T, 9, T]
    assert listing(out)["episode_1.hdf5"] == listing(dataset)["episode_1.hdf5"], "the others are copied"


@pytest.mark.parametrize(("fill", "to", "steps"), [("pad", 16, T + 6), ("cut", 10, T - 6)])
def test_align(edit, dataset, fill, to, steps):
    said = edit("align", "--dataset_dir", dataset, "--in_place", "--fill", fill)
    assert f"grasp at steps 10 to 16, moved to step {to}; all 4 episodes become {steps} steps long" in said
    for episode in load(dataset):
        assert len(episode) == steps
        assert (episode.action[:to, 13] == 1).all() and (episode.action[to:, 13] == 0).all()
    again = edit("align", "--dataset_dir", dataset, "--dry_run", "--in_place", "--event", "success")
    assert f"success at steps {to + 3} to {to + 3}" in again


def test_align_where_files_do_not_tell(edit, dataset):
    path = episode_path(dataset, 1)
    episode = Episode.load(path)
    episode.action[:, 13] = 1
    episode.save(path, overwrite=True)
    flags = ("--dataset_dir", dataset, "--in_place")
    before = listing(dataset)
    said = refusal(edit, "align", *flags)
    assert "episode_1.hdf5: no gripper closes; add --event_steps episode_1=STEP" in said
    for wrong, why in (
        (("--event_steps", "episode_1=30"), "--event_steps episode_1=30; the episode has 30 steps"),
        (("--event_steps", "episode_7=3"), "unknown episode of --event_steps 'episode_7'"),
        (("--event_steps", "episode_1=5", "--to", 6, "--fill", "cut"), "at most 5"),
    ):
        assert why in refusal(edit, "align", *flags, *wrong)
    assert listing(dataset) == before
    edit("align", *flags, "--event_steps", "episode_1=5", "--to", 20)
    made = load(dataset)
    assert {len(one) for one in made} == {T + 15}
    np.testing.assert_array_equal(made[1].qpos[15:], episode.qpos)


def test_resample(edit, dataset):
    before = load(dataset)
    edit("resample", "--dataset_dir", dataset, "--fps", 10, "--in_place")
    for old, new in zip(before, load(dataset), strict=True):
        assert new.fps == 10 and len(new) == 6
        np.testing.assert_allclose(new.qpos, old.qpos[::5], atol=1e-6)
    assert "nothing to do" in edit("resample", "--dataset_dir", dataset, "--fps", 10, "--in_place")


def test_compress_and_decompress(edit, dataset, tmp_path):
    raw, small = tmp_path / "raw", tmp_path / "small"
    edit("decompress", "--dataset_dir", dataset, "--output_dir", raw)
    with h5py.File(episode_path(raw, 0)) as root:
        assert root["/observations/images/top"].shape == (T, 96, 128, 3)
        assert root["/observations/images/top"].chunks == (1, 96, 128, 3) and not root.attrs["compress"]
    edit("compress", "--dataset_dir", raw, "--output_dir", small, "--quality", 60)
    for old, new in zip(load(dataset), load(small), strict=True):
        assert isinstance(new.images["top"], JpegFrames)
        assert np.abs(new.images["top"][3].astype(int) - old.images["top"][3]).mean() < 3
        np.testing.assert_array_equal(new.qpos, old.qpos)
    assert "nothing to do" in edit("compress", "--dataset_dir", small, "--in_place")
    said = refusal(edit, "compress", "--dataset_dir", raw, "--in_place", "--quality", 0)
    assert said == "error: --quality is 0; it must be 1 to 100"


def test_mirror_twice_is_nothing(edit, dataset, tmp_path):
    edit("mirror", "--dataset_dir", dataset, "--output_dir", tmp_path / "once")
    names = sorted(path.name for path in list_episodes(tmp_path / "once"))
    assert names == [f"mirror_episode_{i}.hdf5" for i in range(N)]
    once = load(tmp_path / "once")[0]
    assert once.task == "sim_transfer_cube_scripted_mirror" and sorted(once.images) == ["right_wrist", "top"]
    edit("mirror", "--dataset_dir", tmp_path / "once", "--output_dir", tmp_path / "twice")
    for old, new in zip(load(dataset), load(tmp_path / "twice"), strict=True):
        for field in fields(Episode):
            if field.name != "images":
                np.testing.assert_array_equal(getattr(new, field.name), getattr(old, field.name))
        pictures = zip(old.images["left_wrist"], new.images["left_wrist"], strict=True)
        assert max(np.abs(a.astype(int) - b).mean() for a, b in pictures) < 2


def test_mirror_in_place_is_beside(edit, dataset):
    before = listing(dataset)
    edit("mirror", "--dataset_dir", dataset, "--in_place")
    assert {name: digest for name, digest in listing(dataset).items() if name in before} == before
    assert len(list_episodes(dataset)) == 2 * N
    said = refusal(edit, "mirror", "--dataset_dir", dataset, "--in_place")
    assert "mirror_episode_0.hdf5 exists already; leave its episode out (--episodes)" in said


def test_mirror_of_arms_that_are_not_symmetric(edit, tmp_path):
    make_dataset(tmp_path / "data", 1, dim=7)
    episode = Episode.load(episode_path(tmp_path / "data", 0))
    replace(episode, task=CHOOSE).save(episode_path(tmp_path / "data", 0), overwrite=True)
    said = refusal(edit, "mirror", "--dataset_dir", tmp_path / "data", "--output_dir", tmp_path / "out")
    assert "episode_0.hdf5: no mycobot320 could do" in said and not (tmp_path / "out").exists()


def test_mask_a_box_and_a_colour(edit, dataset, tmp_path):
    out = tmp_path / "out"
    edit("mask", "--dataset_dir", dataset, "--output_dir", out, "--mask_outside", "top=0,0,64,96")
    old, new = (Episode.load(episode_path(folder, 0)).images for folder in (dataset, out))
    assert np.abs(new["top"][0][:, :60].astype(int) - old["top"][0][:, :60]).max() < 30
    assert new["top"][0][:, 72:].max() < 10
    np.testing.assert_array_equal(new["left_wrist"][0], old["left_wrist"][0])
    red = ("--color", "left_wrist=150,0,0,255,120,120")
    edit("mask", "--dataset_dir", dataset, "--output_dir", tmp_path / "red", *red)
    kept = Episode.load(episode_path(tmp_path / "red", 0)).images["left_wrist"][0]
    assert (kept[..., 0] > 200).sum() in range(150, 300), "the square of 16 x 16"


def test_masks_that_make_no_sense(edit, dataset):
    flags = ("--dataset_dir", dataset, "--in_place")
    for wrong, why in (
        ((), "nothing to mask"),
        (("--mask_outside", "top=0,0,129,96"), "0 <= x0 < x1 <= 128"),
        (("--mask_outside", "front=0,0,9,9"), "no camera 'front'; it has left_wrist, top"),
        (("--color", "top=200,0,0,100,9,9"), "each of the first three must be at most its partner"),
    ):
        assert why in refusal(edit, "mask", *flags, *wrong)


def test_recolor(edit, dataset):
    old = load(dataset)[0].images["top"][0]
    edit("recolor", "--dataset_dir", dataset, "--in_place")
    new = load(dataset)[0].images["top"][0]
    assert np.abs(new[..., ::-1].astype(int) - old).mean() < 3 and np.abs(new.astype(int) - old).max() > 150


def test_relabel(edit, dataset):
    flags = ("--dataset_dir", dataset, "--in_place")
    assert "nothing to change" in refusal(edit, "relabel", *flags)
    assert "unknown task 'mine'" in refusal(edit, "relabel", *flags, "--task_name", "mine")
    edit("relabel", *flags, "--success", "false", "--episodes", 0, "--fps", 25)
    assert [one.success for one in load(dataset)] == [False, True, False, False]
    assert [one.fps for one in load(dataset)] == [25, 50, 50, 50]
    said = edit("relabel", *flags, "--success", "reward", "--dry_run")
    assert "episode_0.hdf5 (success False -> True)" in said
    edit("relabel", *flags, "--success", "reward", "--task_name", "sim_insertion_scripted")
    assert {(one.success, one.task) for one in load(dataset)} == {(True, "sim_insertion_scripted")}


def test_split_by_shares(edit, dataset, tmp_path):
    out = tmp_path / "out"
    flags = ("--dataset_dir", dataset, "--output_dir", out)
    for wrong, why in (
        ((), "say how to split"),
        (("--by", "success", "--at", 3), "say how to split"),
        (("--shares", 0.5, 0.2), "add up to 1"),
        (("--shares", 0.5, 0.5, "--names", "a"), "there are 2 parts"),
        (("--at", 9, 9), "the steps must rise, from 1 to at most 29"),
        (("--at", 30), "the steps must rise, from 1 to at most 29"),
    ):
        assert why in refusal(edit, "split", *flags, *wrong)
    edit("split", *flags, "--shares", 0.75, 0.25, "--names", "train", "validation")
    parts = [list_episodes(out / name) for name in ("train", "validation")]
    assert [len(part) for part in parts] == [3, 1]
    assert sorted(path.name for part in parts for path in part) == [f"episode_{i}.hdf5" for i in range(N)]


def test_a_damaged_file_is_told_of_not_copied(edit, dataset, tmp_path):
    path = episode_path(dataset, 2)
    path.write_bytes(path.read_bytes()[:1000])
    flags = ("--dataset_dir", dataset, "--output_dir", tmp_path / "out")
    said = refusal(edit, "split", *flags, "--shares", 0.5, 0.5)
    assert "episode_2.hdf5: no complete HDF5 file" in said and "edit_episodes.py check says how" in said
    assert not (tmp_path / "out").exists()


def test_a_link_that_leads_nowhere_is_no_place_for_what_is_deleted(edit, dataset, tmp_path):
    (dataset / "deleted").symlink_to(tmp_path / "nowhere")
    edit("delete", "--dataset_dir", dataset, "--in_place", "--episodes", 1)
    assert (dataset / "deleted_2/episode_1.hdf5").is_file() and not (tmp_path / "nowhere").exists()


def test_split_by_success_and_merge_again(edit, dataset, tmp_path):
    out, whole = tmp_path / "out", tmp_path / "whole"
    edit("split", "--dataset_dir", dataset, "--output_dir", out, "--by", "success")
    assert [path.name for path in list_episodes(out / "success")] == ["episode_0.hdf5", "episode_1.hdf5"]
    shutil.copy(episode_path(out / "failure", 3), episode_path(out / "failure", 3, mirror=True))
    edit("merge", "--dataset_dir", out / "failure", out / "success", "--output_dir", whole)
    there, original = listing(whole), listing(dataset)
    order = {0: 2, 1: 3, 2: 0, 3: 1}
    assert all(there[f"episode_{new}.hdf5"] == original[f"episode_{old}.hdf5"] for new, old in order.items())
    assert there["mirror_episode_1.hdf5"] == original["episode_3.hdf5"], "numbered as what it mirrors"


def test_split_by_tasks_whose_names_look_alike_leaves_none_out(edit, tmp_path):
    rng, data, out = np.random.default_rng(0), tmp_path / "data", tmp_path / "out"
    for i, task in enumerate(("a b", "a/b", "a_b", "..")):
        save(rng, episode_path(data, i), task=task)
    edit("split", "--dataset_dir", data, "--output_dir", out, "--by", "task")
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["_", "a_b", "a_b_2", "a_b_3"]
    assert sorted(path.name for path in out.rglob("*.hdf5")) == [f"episode_{i}.hdf5" for i in range(4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


def test_what_was_put_aside_is_not_replaced_by_a_new_file(edit, dataset, monkeypatch):
    flags = ("delete", "--dataset_dir", dataset, "--episodes", 1, 2, "--in_place")
    gone = listing(dataset)["episode_1.hdf5"]
    killed(edit, monkeypatch, *flags, at="before the history", dataset=dataset)
    shutil.copy(episode_path(dataset, 0), episode_path(dataset, 1))
    edit(*flags)
    there = listing(dataset)
    assert there["deleted/episode_1.hdf5"] == gone and there["episode_1.hdf5"] == there["episode_0.hdf5"]


def test_a_damaged_history_is_named_before_a_file_is_moved(edit, dataset):
    flags = ("shift_actions", "--dataset_dir", dataset, "--steps", 2, "--in_place")
    (dataset / plans.HISTORY).write_text("")
    before = load(dataset)
    said = refusal(edit, *flags)
    assert f"{plans.HISTORY} is damaged; move it away" in said
    assert all(np.array_equal(a.action, b.action) for a, b in zip(load(dataset), before, strict=True))
    (dataset / plans.HISTORY).unlink()
    edit(*flags)
    assert not np.array_equal(load(dataset)[0].action, before[0].action)


def test_split_into_phases(edit, dataset, tmp_path):
    out = tmp_path / "out"
    edit("split", "--dataset_dir", dataset, "--output_dir", out, "--at", 8, 20, "--names", "a", "b", "c")
    for i, old in enumerate(load(dataset)):
        phases = [Episode.load(episode_path(out / name, i)) for name in "abc"]
        assert [len(phase) for phase in phases] == [8, 12, 10]
        np.testing.assert_array_equal(np.concatenate([phase.action for phase in phases]), old.action)
        assert phases[0].env_state is not None and phases[1].env_state is phases[2].env_state is None


def test_delete(edit, dataset, tmp_path):
    before = listing(dataset)
    assert "say which" in refusal(edit, "delete", "--dataset_dir", dataset, "--in_place")
    said = edit("delete", "--dataset_dir", dataset, "--output_dir", tmp_path / "out", "--failures")
    assert "left out: episode_2.hdf5, episode_3.hdf5" in said
    assert {n: d for n, d in listing(tmp_path / "out").items() if n != plans.HISTORY} == {
        name: before[name] for name in ("episode_0.hdf5", "episode_1.hdf5")
    }
    for i in (1, 2):
        assert "1 files moved to" in edit("delete", "--dataset_dir", dataset, "--in_place", "--episodes", i)
    there = listing(dataset)
    assert there["deleted/episode_1.hdf5"] == before["episode_1.hdf5"], "nothing recorded is lost"
    assert there["deleted_2/episode_2.hdf5"] == before["episode_2.hdf5"]
    assert [path.name for path in list_episodes(dataset)] == ["episode_0.hdf5", "episode_3.hdf5"]
    said = refusal(edit, "delete", "--dataset_dir", dataset, "--in_place", "--episodes", 0, 3)
    assert "these are all 2 episodes" in said


def test_info(edit, dataset):
    path = episode_path(dataset, 2)
    path.write_bytes(path.read_bytes()[:4000])
    lines = edit("info", "--dataset_dir", dataset).splitlines()
    assert lines[0].split()[:5] == ["file", "steps", "s", "fps", "state"]
    assert lines[1].split()[:7] == ["episode_0.hdf5", "30", "0.6", "50", "14", "14", "jpeg"]
    assert "left_wrist 96x128, top 96x128  yes" in lines[1] and "no complete HDF5 file" in lines[3]
    assert "success: 2 yes, 1 no, 1 unknown; problems: 1" in lines[-2]
    assert lines[-1] == "task: sim_transfer_cube_scripted (3)"


def test_check_ends_in_status_1(edit, dataset):
    said = edit("check", "--dataset_dir", dataset)
    assert f"4 episodes, {2 * T * N} frames; 4 have no /time" in said and "nothing is wrong" in said
    episode = Episode.load(episode_path(dataset, 3))
    episode.qpos[20, 2] += 3
    episode.save(episode_path(dataset, 3), overwrite=True)
    done = subprocess.run(
        [sys.executable, SCRIPT, "check", "--dataset_dir", dataset, "--num_workers", "1"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "episode_3.hdf5: qpos: 2 jumps, the first of 2.99" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "error: 1 problems in 1 of 4 episodes; to leave these out: python3 edit_episodes.py"
    )
    assert last.endswith("--output_dir NEW --episodes 3")


def test_check_proposes_no_command_that_leaves_nothing(edit, dataset):
    for path in list_episodes(dataset):
        path.write_bytes(b"nothing")
    assert "none is left that could be trained on" in refusal(edit, "check", "--dataset_dir", dataset)


def test_stats_that_cannot_be_written_are_not_called_kept(edit, dataset, monkeypatch):
    monkeypatch.setattr(stats_module, "complete_file", Mock(side_effect=OSError("No space left")))
    said = edit("stats", "--dataset_dir", dataset)
    assert "dataset_stats.json cannot be written" in said and "kept in" not in said


def test_a_folder_is_merged_once(edit, dataset, tmp_path):
    for again in (f"{dataset}/", f"{dataset}/../{dataset.name}"):
        words = ("--dataset_dir", dataset, again, "--output_dir", tmp_path / "all")
        assert f"names {dataset} twice" in refusal(edit, "merge", *words)
    assert not (tmp_path / "all").exists()


def test_stats(edit, dataset):
    shown = edit("stats", "--dataset_dir", dataset, "--dry_run")
    assert "not kept" in shown and len(list(dataset.iterdir())) == N
    kept = edit("stats", "--dataset_dir", dataset)
    assert kept.splitlines()[:-1] == shown.splitlines()[:-1] and (dataset / "dataset_stats.json").exists()
    stats = dataset_stats([list_episodes(dataset)])
    row = next(line for line in kept.splitlines() if line.startswith("action right_gripper"))
    assert [float(word) for word in row.split()[2:]] == pytest.approx(
        [getattr(stats, f"action_{of}")[13].item() for of in ("mean", "std", "min", "max")], abs=1e-4
    )


# --- nothing half done


def start(*flags):
    command = [sys.executable, SCRIPT, *map(str, flags), "--num_workers", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_in_the_middle(dataset, how):
    for i in range(N, 60):
        shutil.copy(episode_path(dataset, i % N), episode_path(dataset, i))
    before = listing(dataset)
    flags = ("align", "--dataset_dir", dataset, "--in_place")
    process = start(*flags)
    stage = dataset / plans.UNFINISHED
    while len(list(stage.glob("*.hdf5"))) < 5 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(how)
    said, errors = process.communicate()
    assert process.returncode == (-how if how == signal.SIGKILL else 130), errors
    staged = list(stage.glob("*.hdf5"))
    assert 5 <= len(staged) < 60, "stopped in the middle"
    for path in staged:
        Episode.load(path)
    left = {name: digest for name, digest in listing(dataset).items() if plans.UNFINISHED not in name}
    assert left == before, "old files are as they were"
    if how == signal.SIGINT:
        assert "stopped; no file is changed. The same command goes on" in said
        assert not list(stage.glob(".*.part"))
    done = {path.name: path.stat().st_mtime_ns for path in staged}
    again = start(*flags)
    assert again.wait() == 0, again.stderr.read()
    times = {path.name: path.stat().st_mtime_ns for path in list_episodes(dataset)}
    assert {name: times[name] for name in done} == done, "what was made is not made again"
    assert {int(episode.action[:, 13].sum()) for episode in load(dataset)} == {16}
    assert not stage.exists()


class Killed(BaseException):
    """Stands for kill -9: nobody is to catch it."""


def kill_at(monkeypatch, dataset, moves):
    """Kill the script when so many files have taken their places."""
    real, moved = os.replace, []

    def replace_(old, new):
        is_file = Path(new).suffix == ".hdf5" and plans.UNFINISHED not in Path(new).parts
        if is_file and dataset.parent in Path(new).parents:
            if len(moved) == moves:
                raise Killed
            moved.append(new)
        real(old, new)

    monkeypatch.setattr(os, "replace", replace_)


def kill_if(monkeypatch, owner, name, is_due):
    """Kill the script when it calls something with arguments that say that it is time."""
    real = getattr(owner, name)

    def call(*args, **kwargs):
        if is_due(*args):
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)


def killed(edit, monkeypatch, *flags, at, dataset):
    """Give a command that is killed at some moment of its end."""
    with monkeypatch.context() as patch, pytest.raises(Killed):
        if at == "before the history":
            kill_if(patch, plans, "complete_file", lambda path: path.name == plans.HISTORY)
        elif at == "before it is told":
            kill_if(patch, builtins, "print", lambda *words: str(words[0]).startswith(f"{flags[0]}: "))
        elif at == "before the plan is forgotten":
            kill_if(patch, Path, "unlink", lambda path, *_: path.name == plans.PLAN)
        else:
            kill_at(patch, dataset, at)
        edit(*flags)


MOMENTS = [2, 0, "before the history", "before it is told", "before the plan is forgotten"]
STOPPED = ["relabel", "recolor", "mirror", "truncate", "align", "delete", "compress"]


@pytest.mark.parametrize(("command", "at"), pairs(STOPPED, MOMENTS))
def test_killed_at_its_end_the_same_command_finishes_and_does_nothing_twice(
    edit, dataset, tmp_path, monkeypatch, command, at
):
    if command == "compress":
        edit("decompress", "--dataset_dir", dataset, "--in_place")
    whole = tmp_path / "whole"
    shutil.copytree(dataset, whole)
    extra = ["--episodes", 0, 1, 3] if command == "delete" else some_flags(command)
    edit(command, "--dataset_dir", whole, *extra, "--in_place")
    flags = (command, "--dataset_dir", dataset, *extra, "--in_place")
    killed(edit, monkeypatch, *flags, at=at, dataset=dataset)
    before = listing(dataset)
    for look in ("info", "check", "stats"):
        said = refusal(edit, look, "--dataset_dir", dataset)
        assert f"is half changed: '{command}' was stopped" in said and "Give it again" in said
    assert listing(dataset) == before, "who looks changes nothing"
    if isinstance(at, int):
        killed(edit, monkeypatch, *flags, at=0, dataset=dataset)
    same = (command, "--dataset_dir", f"{dataset}/../data/", *extra, "--in_place")
    assert "the rest of what was stopped is done" in edit(*same)
    assert not (dataset / plans.UNFINISHED).exists()
    wanted = listing(whole)
    assert {n: d for n, d in listing(dataset).items() if n != plans.HISTORY} == {
        n: d for n, d in wanted.items() if n != plans.HISTORY
    }
    assert [entry["command"] for entry in json.loads((dataset / plans.HISTORY).read_text())] == [
        entry["command"] for entry in json.loads((whole / plans.HISTORY).read_text())
    ]


def test_killed_while_parts_take_their_places(edit, dataset, tmp_path, monkeypatch):
    out = tmp_path / "out"
    flags = ("split", "--dataset_dir", dataset, "--output_dir", out, "--shares", 0.5, 0.5)
    killed(edit, monkeypatch, *flags, at=3, dataset=dataset)
    with pytest.raises(OSError, match="part_1 is half changed: 'split' was stopped"):
        list_episodes(out / "part_1")
    assert "4 files in all" in edit(*flags)
    assert [len(list_episodes(out / name)) for name in ("part_0", "part_1")] == [2, 2]


def test_another_command_first_does_the_rest(edit, dataset, tmp_path, monkeypatch):
    flags = ("truncate", "--dataset_dir", dataset, "--steps", 9, "--in_place")
    killed(edit, monkeypatch, *flags, at=2, dataset=dataset)
    assert sorted(len(Episode.load(episode_path(dataset, i))) for i in range(N)) == [9, 9, T, T]
    refused = refusal(edit, "mirror", "--dataset_dir", dataset, "--in_place", "--dry_run")
    assert "is half changed" in refused
    said = edit("mirror", "--dataset_dir", dataset, "--output_dir", tmp_path / "out")
    assert f"{dataset}: the rest of an earlier change (truncate) was done first" in said
    assert {len(one) for one in [*load(dataset), *load(tmp_path / "out")]} == {9}
    assert not (dataset / plans.UNFINISHED).exists()


def test_one_command_at_a_time(edit, dataset):
    before = listing(dataset)
    with hold(dataset):
        said = refusal(edit, "recolor", "--dataset_dir", dataset, "--in_place")
        assert f"another command is at work in {dataset}: process {os.getpid()}, " in said
        assert "4 episodes" in edit("info", "--dataset_dir", dataset), "looking is free"
    assert listing(dataset) == before


def test_links_are_not_changed_in_place(edit, dataset, tmp_path):
    (tmp_path / "links").mkdir()
    for i in range(N):
        episode_path(tmp_path / "links", i).symlink_to(episode_path(dataset, i))
    before = listing(dataset)
    flags = ("--dataset_dir", tmp_path / "links", "--fps", 10)
    assert "episode_0.hdf5 is a link to" in refusal(edit, "relabel", *flags, "--in_place")
    edit("relabel", *flags, "--output_dir", tmp_path / "out")
    assert listing(dataset) == before and {one.fps for one in load(tmp_path / "out")} == {10}


def test_what_another_command_left_unfinished_is_dropped(edit, dataset, monkeypatch):
    def fail(write, place):
        if write.source.name == "episode_2.hdf5":
            raise OSError("no more")
        made(write, place)

    made = plans.make
    with monkeypatch.context() as patch:
        patch.setattr(plans, "make", fail)
        said = refusal(edit, "truncate", "--dataset_dir", dataset, "--steps", 9, "--in_place")
    assert "no more" in said and len(list((dataset / plans.UNFINISHED).glob("*.hdf5"))) == 2
    edit("truncate", "--dataset_dir", dataset, "--steps", 12, "--in_place")
    assert [len(episode) for episode in load(dataset)] == [12] * N


def test_a_full_disk_is_told_before(edit, dataset, monkeypatch):
    usage = type(shutil.disk_usage(dataset))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6, 1000))
    said = refusal(edit, "truncate", "--dataset_dir", dataset, "--steps", 9, "--in_place")
    assert "GB free" in said and not (dataset / plans.UNFINISHED).exists()


def test_what_episodes_do_not_hold_is_not_lost(edit, dataset, tmp_path):
    with h5py.File(episode_path(dataset, 1), "r+") as root:
        root["/observations/images/top_depth"] = np.zeros((T, 9, 9), np.uint16)
        root["/obs_tracer"] = np.zeros((T, 2), np.float32)
    flags = ("--dataset_dir", dataset, "--steps", 9)
    said = refusal(edit, "truncate", *flags, "--in_place")
    assert "/obs_tracer, /observations/images/top_depth would be lost; choose --output_dir" in said
    said = edit("truncate", *flags, "--output_dir", tmp_path / "out")
    assert "/observations/images/top_depth is left out of the new file" in said


def test_several_workers_make_the_same_files(dataset, tmp_path):
    for workers in (1, 2):
        out = tmp_path / f"out_{workers}"
        flags = ["mirror", "--dataset_dir", dataset, "--output_dir", out, "--num_workers", workers]
        done = subprocess.run(
            [sys.executable, SCRIPT, *map(str, flags)], capture_output=True, text=True, check=True
        )
        assert "4/4" in done.stderr
    one, two = (load(tmp_path / f"out_{workers}") for workers in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.action, b.action)
        assert np.array_equal(a.images["top"].encoded(3), b.images["top"].encoded(3))


# --- the command line


def test_help_lists_every_command_and_every_default(edit, capsys):
    for words in (["--help"], *([name, "--help"] for name in script.COMMANDS)):
        with pytest.raises(SystemExit):
            script.parse_flags(words)
        said = capsys.readouterr().out
        assert "{}" not in said
        if len(words) == 1:
            assert all(f"    {name} " in said or f"    {name}\n" in said for name in script.COMMANDS)
        else:
            assert ("--from" if words[0] == "import" else "--dataset_dir") in said
            assert "(default: None)" not in said
            assert (script.COMMANDS[words[0]].run.__doc__ or "").strip()


def test_bad_command_lines(edit, tmp_path, capsys):
    for words, why in (
        (["shorten", "--dataset_dir", "d"], "invalid choice: 'shorten'"),
        ([], "arguments are required: COMMAND"),
    ):
        with pytest.raises(SystemExit):
            script.parse_flags(words)
        assert why in capsys.readouterr().err
    with pytest.raises(ValueError, match="--dataset_dir is missing; give the folder of the episodes"):
        script.parse_flags(["info"])
    said = refusal(edit, "truncate", "--dataset_dir", tmp_path / "none", "--steps", 3, "--in_place")
    assert "is no folder; record some first" in said
    make_dataset(tmp_path / "a", 1)
    assert "--steps is -3; it has 3 steps" in refusal(
        edit,
        "shift_actions",
        "--dataset_dir",
        make_dataset(tmp_path / "b", 1, steps=3),
        "--in_place",
        "--steps",
        -3,
    )
    said = refusal(
        edit, "split", "--dataset_dir", tmp_path / "b", "--shares", 0.9, 0.1, "--output_dir", tmp_path / "c"
    )
    assert "of 1 episodes leave a part without any" in said and not (tmp_path / "c").exists()
    said = refusal(edit, "merge", "--dataset_dir", tmp_path / "a")
    assert "--output_dir is missing; give the folder for the new files" in said


@pytest.mark.parametrize("other", ["narrow", "damaged", "folder"])
def test_what_cannot_be_trained_on_together_is_not_merged(other, edit, dataset, tmp_path):
    path = episode_path(tmp_path / "b", 0)
    make_episode(np.random.default_rng(0), T, ("top",), dim=7).save(path)
    if other != "narrow":
        path.unlink()
        path.mkdir() if other == "folder" else path.write_bytes(b"nothing")
    said = refusal(edit, "merge", "--dataset_dir", dataset, tmp_path / "b", "--output_dir", tmp_path / "all")
    assert str(path) in said and not list((tmp_path / "all").glob("*"))


def test_of_folders_with_one_name_that_beside_its_own_is_meant(edit, tmp_path):
    rng, folders = np.random.default_rng(0), []
    for day in ("day1", "day2"):
        for name, source in (("shown", ""), ("many", "shown/episode_0")):
            save(rng, episode_path(tmp_path / day / name, 0), source=source)
            folders.append(tmp_path / day / name)
    edit("merge", "--dataset_dir", *folders, "--output_dir", tmp_path / "all")
    made = [one.source for one in load(tmp_path / "all")]
    assert made == ["", "all/episode_0", "", "all/episode_2"]
    words = ("merge", "--dataset_dir", folders[0], folders[2], tmp_path / "elsewhere/many", "--output_dir")
    save(rng, episode_path(tmp_path / "elsewhere/many", 0), source="shown/episode_0")
    assert "was made of shown/episode_0, and 2 folders have such" in refusal(edit, *words, tmp_path / "no")


def test_what_was_made_of_another_goes_on_saying_so(edit, dataset, tmp_path):
    """So it is not trained on where that one validates, in one folder as in two."""
    many = tmp_path / "many"
    for i in range(8):
        copy = replace(Episode.load(episode_path(dataset, i % N)), source=f"data/episode_{i % N}")
        copy.save(episode_path(many, i))
    edit("merge", "--dataset_dir", dataset, many, "--output_dir", tmp_path / "all")
    episodes = load(tmp_path / "all")
    assert [e.source for e in episodes] == [""] * N + [f"all/episode_{i % N}" for i in range(8)]
    for seed in range(6):
        [trained], validation = split_datasets([list_episodes(tmp_path / "all")], 0.75, seed)
        held_out = {source_name(path) for path in validation}
        assert not held_out & {Episode.load(path, cameras=()).source for path in trained} - {""}


def test_a_damaged_picture_leaves_nothing_behind(edit, dataset, tmp_path):
    with h5py.File(episode_path(dataset, 1), "a") as file:
        pictures = file["observations/images/top"]
        pictures[3] = np.zeros_like(pictures[3])
    before = listing(dataset)
    said = refusal(edit, "mask", "--dataset_dir", dataset, "--mask_outside", "top=10,20,90,80", "--in_place")
    assert "episode_1.hdf5" in said and listing(dataset) == before


# --- region


def region_dataset(folder):
    """Eight episodes of the task with two cases, with a yellow spot at one place in one of them."""
    rng = np.random.default_rng(0)
    for i in range(8):
        frames = JpegFrames()
        picture = np.full((96, 128, 3), 90, np.uint8)
        x, y = rng.integers(5, 50), rng.integers(40, 80)
        picture[y : y + 8, x : x + 8] = (220, 30, 30)
        if i % 2:
            picture[20:34, 80:100] = (230, 190, 30)
        for _ in range(12):
            frames.append(np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8))
        box = [-0.265, -0.225, 0.112] if i % 2 else [0.0, -0.12, -0.678]
        start = np.array([-0.33, -0.05, 0.06, 1, 0, 0, 0, *box, 1, 0, 0, 0])
        still = np.zeros((12, 7))
        Episode(still, still, {"top": frames}, env_state=start, task=CHOOSE).save(episode_path(folder, i))
    return folder


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory):
    """The folder of pictures that `region` writes, and what it prints."""
    folder = tmp_path_factory.mktemp("region")
    region_dataset(folder / "data")
    command = [sys.executable, SCRIPT, "region", "--dataset_dir", "data/", "--num_workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "data_regions", done.stdout


def test_region_proposes_flags_that_training_takes(surveyed, tmp_path):
    folder, said = surveyed
    assert "B1 free (4), B1 occupied (4); compared at steps 0 to 11" in said
    made = {"top.png", "top_regions.png", "regions.json", "flags.txt", "region.html"}
    assert set(os.listdir(folder)) == made
    lines = (folder / "flags.txt").read_text().splitlines()
    assert lines[0] == "# what tells the kinds apart" and lines[1] in said
    words = " ".join(line for line in lines[1:4]).split()
    needed = ["--task_name", CHOOSE, "--ckpt_dir", str(tmp_path), "--policy_class", "ACT"]
    config, _, _ = imitate_episodes.parse_flags([*needed, *words])
    box = config.crop["top"]
    assert config.mask_outside == config.roi == {"top": box}
    x0, y0, x1, y1 = box
    assert 68 <= x0 <= 80 and 8 <= y0 <= 20 and 100 <= x1 <= 112 and 34 <= y1 <= 46
    views = config.views(["top"], episode_path(folder.parent / "data", 0))
    assert views["top"].crop == box
    found = json.loads((folder / "regions.json").read_text())
    assert tuple(found["top"]["kinds"][0]["box"]) == box and found["top"]["objects"]


def test_region_of_folders_and_of_a_background(edit, tmp_path):
    data = region_dataset(tmp_path / "data")
    edit("split", "--dataset_dir", data, "--output_dir", tmp_path / "kinds", "--by", "case")
    free, occupied = (tmp_path / "kinds" / name for name in ("B1_free", "B1_occupied"))
    said = edit("region", "--dataset_dir", free, occupied, "--dry_run")
    assert "B1_free (4), B1_occupied (4)" in said and "1: tells the kinds apart: top=" in said
    before = listing(tmp_path)
    said = edit("region", "--dataset_dir", occupied, "--by", "task", "--background", free, "--dry_run")
    assert "objects that differ from the background: top=" in said and "apart" not in said
    assert listing(tmp_path) == before
    for wrong, why in (
        ((free, occupied, "--by", "case"), "--by case sorts one folder; 2 are given"),
        ((free, "--steps", 5, 3), "--steps 5 3; give a first and a last step"),
        ((free, "--camera_names", "front"), "unknown camera 'front'"),
    ):
        assert why in refusal(edit, "region", "--dataset_dir", *wrong)


def test_a_region_is_drawn_by_mouse(surveyed):
    require_chromium()
    with chromium() as driver:
        from selenium.webdriver import ActionChains, Keys

        driver.get((surveyed[0] / "region.html").as_uri())
        wait_until(driver, "pictures.size > 0")
        proposed = driver.find_element("id", "flags").text
        assert proposed.splitlines() == (surveyed[0] / "flags.txt").read_text().splitlines()[1:4]
        canvas = driver.find_element("id", "picture")
        scale = min(canvas.size["width"] / 128, canvas.size["height"] / 96)
        left, top = (10 - canvas.size["width"] / scale / 2) * scale, (20 - 96 / 2) * scale
        drag = ActionChains(driver).move_to_element_with_offset(canvas, round(left), round(top))
        drag.click_and_hold().move_by_offset(round(50 * scale), round(40 * scale)).release().perform()
        drawn = driver.find_element("id", "flags").text.splitlines()[0]
        assert drawn.startswith("--crop top=")
        box = [int(word) for word in drawn.split("=")[1].split(",")]
        assert np.abs(np.array(box) - (10, 20, 60, 60)).max() <= 1
        ActionChains(driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
        longer = driver.execute_script("return boxes.top")
        assert longer == [*box[:2], box[2] + 1, box[3]]
        shown = driver.execute_script("return view.layer")
        ActionChains(driver).send_keys(Keys.ARROW_DOWN).perform()
        assert driver.execute_script("return view.layer") == shown + 1
        driver.find_element("id", "clear").click()
        assert driver.find_element("id", "flags").text == ""
        driver.find_element("css selector", "#proposals button").click()
        assert driver.find_element("id", "flags").text == proposed


@pytest.mark.parametrize("name", ["../escape", "a/b", "/tmp/x", "..", ".hidden"])
def test_parts_lie_in_the_new_folder(edit, tmp_path, name):
    make_dataset(tmp_path / "a", 2)
    words = ("split", "--dataset_dir", tmp_path / "a", "--output_dir", tmp_path / "b", "--shares", 0.5, 0.5)
    assert "each must be the name of a folder" in refusal(edit, *words, "--names", name, "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
