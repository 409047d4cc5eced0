"""Each flag of an evaluation does something, whether it is made with --eval or while training."""

import dataclasses
from types import SimpleNamespace

import pytest
from synthetic import make_act

import imitate_episodes
from common.work.machine import World
from constants import TASKS
from evaluation import rollouts as evaluation
from evaluation.flags import EvalConfig
from evaluation.results.outcomes import Outcome
from policy import save_policy
from training import imitation
from training.setup import read_run, write_config

TASK = TASKS["sim_transfer_cube_scripted"]
OTHERS = {
    "num_videos": "1",
    "device": "cpu",
    "amp": "no",
    "randomize": "drift",
    "looks": "real",
    "join": "none",
    "disturb": ("noise=mild", "mass=strong"),
}  # values that are not the default
WITH = {
    "looks": ("--randomize",),
    "ensemble_decay": ("--temporal_agg",),
    "ensemble_drop": ("--temporal_agg",),
}  # flags that another needs


@pytest.fixture
def evaluations(tmp_path, monkeypatch):
    """Evaluate with --eval and with --eval_every: flags to what each rollout was called with, both ways."""
    checkpoint, window = tmp_path / "policy_best.ckpt", SimpleNamespace()
    save_policy(checkpoint, make_act())
    calls = []

    def run_one(job, index, view, is_filmed):
        calls.append((job, index, view, is_filmed))
        return Outcome(index, highest_reward=TASK.max_reward, total_reward=1.0, filmed=is_filmed)

    monkeypatch.setattr(evaluation, "run_one", run_one)
    monkeypatch.setattr(imitation, "LiveView", lambda: window)

    def evaluate(*flags):
        places = ["--task_name", TASK.name, "--ckpt_dir", str(tmp_path), "--num_workers", "1"]
        config, training, _ = imitate_episodes.parse_flags([*places, "--eval_every", "1", *flags])
        imitation.evaluate_run(config, TASK)
        alone = calls.copy()
        calls.clear()
        imitation.make_evaluation(config, training, TASK, World())(checkpoint)
        while_training = calls.copy()
        calls.clear()
        return alone, while_training

    return evaluate


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(EvalConfig)])
def test_each_flag_arrives_at_the_rollouts(evaluations, name):
    default = getattr(EvalConfig(), name)
    value = OTHERS[name] if name in OTHERS else True if isinstance(default, bool) else (default or 0) + 1
    assert value != default
    words = value if isinstance(value, tuple) else (str(value),)
    for calls in evaluations(f"--{name}", *words, *WITH.get(name, ())):
        assert calls and {getattr(job.flags, name) for job, *_ in calls} == {value}


def test_flags_say_which_rollouts_there_are_and_who_sees_them(evaluations):
    flags = ("--num_rollouts", "3", "--eval_rollouts", "2", "--first_rollout", "7", "--num_videos", "all")
    alone, while_training = evaluations(*flags, "--onscreen_render")
    assert [(index, filmed) for _, index, _, filmed in alone] == [(7, True), (8, True), (9, True)]
    assert [(index, filmed) for _, index, _, filmed in while_training] == [(7, False), (8, False)]
    assert all(view is not None for _, _, view, _ in [*alone, *while_training])


def test_a_runs_flags_are_read_from_its_folder(tmp_path):
    words = ["--task_name", "sim_transfer_cube_scripted", "--ckpt_dir", str(tmp_path), "--seed", "3"]
    flags = imitate_episodes.parse_flags([*words, "--train_ratio", "0.5", "--image_size", "48", "64"])
    write_config(tmp_path, *flags)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    run = read_run(moved)
    assert (run.task_name, run.ckpt_dir, run.seed) == (TASK.name, str(moved), 3)
    assert (run.train_ratio, run.image_size) == (0.5, (48, 64))
    (moved / "config.json").write_text('{"train_ratio": 2, "task_name": "t"}')
    with pytest.raises(ValueError, match="config.json: --train_ratio is 2.0; it must be above 0"):
        read_run(moved)
