"""What holds for every reader: its recordings come in, read back equal, and can be trained on."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import recordings
from recordings import Truth
from synthetic import make_dataset, make_episode, train_own
from test_lerobot_format import frame, published, states

import edit_episodes
from episodes.episode import Episode
from episodes.folders import list_episodes
from readers import READERS
from readers.registry import recognised


@dataclass(frozen=True)
class Example:
    """A set of recordings of one format."""

    make: Callable[[Path], list[Truth]]  # writes them
    name: str  # of the folder or file
    flags: tuple[str, ...] = ()  # that are needed
    said: tuple[str, ...] = ()  # in what is printed
    most: float = 3.0  # difference of pictures, in the mean, of 255


def lerobot_set(root: Path) -> list[Truth]:
    published(root, "v2.1", dtype="image")
    wanted = []
    for i, steps in enumerate((7, 5)):
        rows = states(i, steps)
        wanted.append(Truth(rows, 2 * rows, np.stack([frame(i + t) for t in range(steps)])))
    return wanted


EXAMPLES = {
    "lerobot": Example(
        lerobot_set, "aloha_sim_transfer", (), ("cameras: top", "grippers: left_gripper, right_gripper")
    ),
    "robomimic": Example(
        recordings.robomimic_file,
        "demo.hdf5",
        (),
        (
            "state: obs/robot0_joint_pos + obs/robot0_gripper_qpos (9), action: actions (7)",
            "train (2), valid (1)",
            "obs/agentview_depth",
            "obs/object (9)",
        ),
    ),
    "zarr": Example(
        recordings.zarr_buffer,
        "pusht_cchi_v7_replay.zarr",
        ("--fps", "10"),
        ("n_contacts (1)", "keypoint, float32 (9, 2) a step"),
    ),
    "act": Example(
        recordings.act_folder,
        "aloha",
        (),
        (
            "top_depth, uint16 (48, 64) a step",
            "observations/effort (14)",
            "50 steps a second",
            "floats from 0 to 1",
        ),
    ),
    "csv": Example(recordings.tables, "takes", (), ("20 steps a second", "column remark"), 6.0),
    "log": Example(
        recordings.text_log,
        "model_run_2.txt",
        (),
        ("joints in deg", "10 steps a second", "gripper that could not be read", "were late"),
    ),
}


def make(name: str, folder: Path) -> tuple[Path, list[Truth]]:
    """The example of a reader, and what it should come to."""
    if name == "zarr":
        pytest.importorskip("zarr")
    source = folder / EXAMPLES[name].name
    return source, EXAMPLES[name].make(source)


def run(monkeypatch, source: Path, target: Path, *flags: str) -> None:
    """`edit_episodes.py import`, in this process."""
    words = ["--from", source, "--output_dir", target, "--num_workers", 1, *flags]
    monkeypatch.setattr(sys, "argv", ["edit_episodes.py", "import", *map(str, words)])
    edit_episodes.main()


def test_every_reader_has_an_example():
    assert set(EXAMPLES) == set(READERS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_recordings_come_in_and_read_back_equal(tmp_path, monkeypatch, capsys, name):
    source, wanted = make(name, tmp_path)
    target, example = tmp_path / "out", EXAMPLES[name]
    assert recognised(source).name == name
    run(monkeypatch, source, target, *example.flags)
    printed = capsys.readouterr().out
    assert printed.startswith(f"{source}: {READERS[name].title}\n")
    assert [text for text in example.said if text not in printed] == []
    paths = list_episodes(target)
    assert len(paths) == len(wanted)
    for path, one in zip(paths, wanted, strict=True):
        episode = Episode.load(path)
        np.testing.assert_allclose(episode.qpos, one.qpos, atol=1e-6)
        np.testing.assert_allclose(episode.action, one.action, atol=1e-6)
        assert bool(episode.images) == (one.pictures is not None)
        for frames in episode.images.values():
            errors = [np.abs(frames[t].astype(int) - one.pictures[t]).mean() for t in range(len(episode))]
            assert max(errors) < example.most, path.name
    origin = json.loads((target / "import.json").read_text("utf-8"))
    assert origin["format"] == name and set(origin["files"]) == {path.name for path in paths}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, "out"])


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "log"])
def test_what_came_in_can_be_trained_on(tmp_path, monkeypatch, name):
    source, _ = make(name, tmp_path)
    run(monkeypatch, source, tmp_path / "out", *EXAMPLES[name].flags)
    train_own(monkeypatch, tmp_path / "out", tmp_path / "run", 3)
    assert (tmp_path / "run/policy_last.ckpt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "log"])
def test_two_hundred_steps(tmp_path, monkeypatch, name):
    source, _ = make(name, tmp_path)
    run(monkeypatch, source, tmp_path / "out", *EXAMPLES[name].flags)
    train_own(monkeypatch, tmp_path / "out", tmp_path / "run", 200)
    assert (tmp_path / "run/policy_last.ckpt").is_file()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path, monkeypatch, capsys, name):
    source, _ = make(name, tmp_path)
    run(monkeypatch, source, tmp_path / "out", *EXAMPLES[name].flags, "--dry_run")
    planned = capsys.readouterr().out
    assert planned.endswith("nothing was written (--dry_run)\n")
    assert "  looks like\n  state  " in planned
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    run(monkeypatch, source, tmp_path / "out", *EXAMPLES[name].flags)
    assert capsys.readouterr().out.startswith(planned.partition("columns, in ")[0])


@pytest.mark.parametrize("name", EXAMPLES)
def test_joints_alone_and_some_of_them(tmp_path, monkeypatch, name):
    source, wanted = make(name, tmp_path)
    run(monkeypatch, source, tmp_path / "out", *EXAMPLES[name].flags, "--no_images", "--episodes", "1")
    (path,) = list_episodes(tmp_path / "out")
    assert not Episode.load(path).images
    if name not in ("act", "csv"):  # whose numbers begin elsewhere
        np.testing.assert_allclose(Episode.load(path).qpos, wanted[1].qpos, atol=1e-6)


def test_the_rate_of_our_own_files_is_taken_as_they_say_it(tmp_path, monkeypatch, capsys):
    """Also the one that a file without a rate is taken to have; two rates are not one."""
    make_dataset(tmp_path / "mine", 2)
    run(monkeypatch, tmp_path / "mine", tmp_path / "new", "--dry_run")
    said = capsys.readouterr().out
    assert "at 50 fps" in said and "no file says its rate" not in said
    slow = replace(make_episode(np.random.default_rng(0)), fps=10)
    slow.save(tmp_path / "mine" / "slow" / "episode_0.hdf5")
    with pytest.raises(ValueError, match=r"files of \[10, 50\] steps a second; --fps says which"):
        run(monkeypatch, tmp_path / "mine", tmp_path / "new", "--dry_run")
