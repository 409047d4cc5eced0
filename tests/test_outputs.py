"""No flag that names a file to write can replace a recording or a policy, or write into nowhere."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_episode

from common import cli
from episodes.folders import episode_path

TASK = "sim_mycobot320_move_cube_scripted"
COMMANDS = {
    "check": ("edit_episodes", "check --dataset_dir data --json"),
    "clicks": ("edit_episodes", f"clicks --dataset_dir data --task_name {TASK} --page"),
    "report": ("report", "--runs run --output"),
    "coverage": ("report", "--runs data --coverage --output"),
    "replay": ("replay_episodes", "--dataset_dir data --episode_idx 0 --video"),
    "desk": ("mycobot_scripts.drive_arm", "--robot twin --desk"),
    "export": ("export_policy", "--ckpt run/policy.ckpt --output"),
    "task": ("show_task", f"--task_name {TASK} --output"),
}


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_episode(np.random.default_rng(0)).save(episode_path(tmp_path / "data", 0))
    for name in ("file", "notes.txt"):
        (tmp_path / name).write_text("mine")
    return episode_path(tmp_path / "data", 0)


@pytest.mark.parametrize("output", ["data/episode_0.hdf5", "data", "file/below", "notes.txt"])
@pytest.mark.parametrize(("script", "words"), COMMANDS.values(), ids=COMMANDS)
def test_what_is_recorded_stays(script, words, output, data, monkeypatch):
    if output == "notes.txt" and words.endswith(("--json", "--desk")):
        pytest.skip("a result for scripts may have any name")
    before = data.read_bytes()
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *words.split(), output])
    with pytest.raises(SystemExit) as caught:
        cli.run(importlib.import_module(script).main)
    assert isinstance(caught.value.code, str) and "\n" not in caught.value.code, caught.value.code
    assert output.partition("/")[0] in caught.value.code and data.read_bytes() == before
    assert Path("notes.txt").read_text() == "mine"


def test_a_result_makes_its_folder(data, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["edit_episodes.py", "check", "--dataset_dir", "data", "--json", "new/one.json"]
    )
    with pytest.raises(SystemExit):
        cli.run(importlib.import_module("edit_episodes").main)  # one episode is too few for a set
    assert (data.parents[1] / "new" / "one.json").is_file()
