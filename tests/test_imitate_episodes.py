"""The training and evaluation script, run as users run it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from synthetic import SMALL_FLAGS, make_dataset

import imitate_episodes
from policy import read_checkpoint

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "imitate_episodes.py"
TASK = "sim_transfer_cube_scripted"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data"))


def command(dataset: Path, run: Path, *flags: str) -> list[str]:
    places = ("--task_name", TASK, "--dataset_dir", str(dataset), "--ckpt_dir", str(run))
    return [sys.executable, str(SCRIPT), *places, "--policy_class", "ACT", *SMALL_FLAGS, *flags]


def call(dataset: Path, run: Path, *flags: str, monkeypatch) -> None:
    """In this process, which is faster."""
    monkeypatch.setattr(sys, "argv", command(dataset, run, *flags)[1:])
    imitate_episodes.main()


def test_train_then_evaluate(dataset, tmp_path):
    run = tmp_path / "run"
    trained = subprocess.run(
        command(dataset, run, "--num_steps", "6"), capture_output=True, text=True, cwd=tmp_path
    )
    assert trained.returncode == 0, trained.stderr
    assert "evaluate: the same command with --eval" in trained.stdout
    assert {p.name for p in run.iterdir()} == {
        "config.json",
        "losses.png",
        "policy_best.ckpt",
        "policy_last.ckpt",
    }
    assert json.loads((run / "config.json").read_text())["num_steps"] == 6
    flags = ("--eval", "--num_rollouts", "2", "--num_videos", "1", "--temporal_agg")
    evaluated = subprocess.run(command(dataset, run, *flags), capture_output=True, text=True, cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "of 2 rollouts succeeded" in evaluated.stdout and "95 % interval" in evaluated.stdout
    for name in ("rollout_0.mp4", "rollout_0_qpos.png", "result_policy_best.json"):
        assert (run / name).is_file()
    assert json.loads((run / "result_policy_best.json").read_text())["execution"] == "temporal ensembling"


def test_ctrl_c_saves_and_resume_goes_on(dataset, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with subprocess.Popen(
        command(dataset, run, "--num_steps", "100000", "--validate_every", "5"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 120
        while not (run / "policy_last.ckpt").is_file() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume goes on from there" in output
    step = read_checkpoint(run / "policy_last.ckpt")["step"]
    assert step >= 5
    call(dataset, run, "--num_steps", str(step + 3), "--resume", monkeypatch=monkeypatch)
    assert read_checkpoint(run / "policy_last.ckpt")["step"] == step + 3


def test_a_run_is_not_overwritten_unasked(dataset, tmp_path, monkeypatch):
    call(dataset, tmp_path / "run", "--num_steps", "2", monkeypatch=monkeypatch)
    with pytest.raises(ValueError, match="--resume to go on with it, or --overwrite to begin anew"):
        call(dataset, tmp_path / "run", "--num_steps", "2", monkeypatch=monkeypatch)
    call(dataset, tmp_path / "run", "--num_steps", "3", "--overwrite", monkeypatch=monkeypatch)
    assert read_checkpoint(tmp_path / "run" / "policy_last.ckpt")["step"] == 3


def test_two_runs_of_a_command_give_the_same_policy(dataset, tmp_path, monkeypatch):
    for name in ("a", "b"):
        call(dataset, tmp_path / name, "--num_steps", "4", monkeypatch=monkeypatch)
    one, other = (read_checkpoint(tmp_path / name / "policy_best.ckpt")["weights"] for name in ("a", "b"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--task_name", "sim_tranfer_cube"), "did you mean 'sim_transfer_cube_scripted'?"),
        (("--camera_names", "left"), "no camera 'left'"),
        (("--policy_class", "ATC"), "unknown policy class 'ATC'; did you mean 'ACT'?"),
        (("--batch_size", "0"), "--batch_size is 0"),
        (("--nheads", "5"), "multiple of 5 heads"),
        (("--backbone", "resnet81"), "unknown backbone 'resnet81'"),
        (("--dataset_dir", "nowhere"), "record some first: python3 record_sim_episodes.py"),
        (("--eval",), "no checkpoint"),
        (("--eval", "--num_videos", "many"), "--num_videos is 'many'"),
        (("--image_size", "0", "64"), "--image_size is (0, 64)"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(dataset, tmp_path, monkeypatch, flags, message):
    with pytest.raises((ValueError, OSError)) as caught:
        call(dataset, tmp_path / "run", "--num_steps", "2", *flags, monkeypatch=monkeypatch)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_help_shows_defaults():
    shown = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    for flag in ("--kl_weight", "--chunk_size", "--temporal_agg", "--onscreen_render", "--num_epochs"):
        assert flag in shown.stdout
    assert "(default: 2000)" in shown.stdout
