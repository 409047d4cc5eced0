"""The training loop: what it learns, saves, resumes and survives."""

import csv
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from repository import ROOT
from synthetic import SMALL_FLAGS, make_act, make_batch, make_dataset
from tqdm import tqdm

from common import cli
from common.drawing.logs import RunLog, is_flat
from common.drawing.losses import Losses
from common.work import machine
from common.work.machine import pick_device
from policies.act import ACTPolicy
from policies.configs import ACTConfig
from policy import load_policy, read_checkpoint
from training import loop as training
from training.flags import TrainConfig
from training.loop import DROPOUT, Feed, Run, fit, validate
from training.optimisation import learning_rate_factor, make_optimiser, step_seed
from training.run import progress
from training.run.progress import long_run_line, short
from training.setup import top_rate

ALONE = "TEST_ALONE"  # set in the environment of a test that runs by itself


def batches_of(steps: range):
    """A different batch for each step, the same whenever it is asked for."""
    for step in steps:
        batch = make_batch()
        yield {**batch, "actions": batch["actions"] + 0.01 * step}


def feed(source=batches_of, **phases) -> Feed:
    """Batches of a source to train on, and one of `make_batch` to validate on, or those of the phases."""
    return Feed(source, phases or {"all": [make_batch()]}, lambda step: [f"sample of step {step}"])


def config(**kwargs) -> TrainConfig:
    return TrainConfig(**{"lr": 1e-3, "amp": "no", "validate_every": 5, **kwargs})


def train(folder, steps: int, resume: bool = False, source=batches_of, **kwargs):
    torch.manual_seed(1)
    folder.mkdir(exist_ok=True)
    policy = make_act(dropout=0.1)
    torch.manual_seed(2)
    run = Run(policy, config(**kwargs), steps)
    if resume:
        run.restore(folder / "policy_last.ckpt")
    return policy, fit(run, feed(source), folder)


def weights(policy) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in policy.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, schedule):
    straight, _ = train(tmp_path / "straight", 20, lr_schedule=schedule, warmup_steps=3)

    def interrupted(steps: range):
        for step, batch in zip(steps, batches_of(steps), strict=True):
            if step == 12:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    _, finished = train(tmp_path / "parts", 20, source=interrupted, lr_schedule=schedule, warmup_steps=3)
    assert not finished
    assert read_checkpoint(tmp_path / "parts" / "policy_last.ckpt")["step"] == 13
    resumed, finished = train(tmp_path / "parts", 20, resume=True, lr_schedule=schedule, warmup_steps=3)
    assert finished
    assert_equal(weights(straight), weights(resumed))
    last = [read_checkpoint(tmp_path / name / "policy_last.ckpt") for name in ("straight", "parts")]
    assert last[0]["training"]["history"][-1]["val/loss"] == last[1]["training"]["history"][-1]["val/loss"]


def test_a_finished_run_stays_as_it_is_when_resumed(tmp_path):
    policy, _ = train(tmp_path, 10)
    before = (tmp_path / "policy_last.ckpt").read_bytes()
    again, finished = train(tmp_path, 10, resume=True)
    assert finished and (tmp_path / "policy_last.ckpt").read_bytes() == before
    assert_equal(weights(policy), weights(again))


def test_training_batches_are_prepared_and_validation_batches_are_not(tmp_path):
    def darkened(batch):
        return {**batch, "images": torch.zeros_like(batch["images"])}

    def dark_batches(steps: range):
        return (darkened(batch) for batch in batches_of(steps))

    results = {}
    for name, source, prepare in (("prepared", batches_of, darkened), ("dark", dark_batches, dict)):
        (tmp_path / name).mkdir()
        policy = make_act(dropout=0.0)
        fit(Run(policy, config(), 5), replace(feed(source), prepare=prepare), tmp_path / name)
        history = read_checkpoint(tmp_path / name / "policy_last.ckpt")["training"]["history"]
        results[name] = weights(policy), history[-1]["val/loss"]
        assert history[-1]["val/loss"] == validate(policy, {"all": [make_batch()]}, "no")[0]["loss"]
    assert_equal(results["prepared"][0], results["dark"][0])
    assert results["prepared"][1] == results["dark"][1]


def test_a_cosine_run_cannot_be_resumed_to_another_length(tmp_path):
    train(tmp_path, 10, lr_schedule="cosine")
    with pytest.raises(ValueError, match="ends at step 10, not 20"):
        train(tmp_path, 20, resume=True, lr_schedule="cosine")


def test_another_policy_cannot_be_resumed(tmp_path):
    train(tmp_path, 5)
    with pytest.raises(ValueError, match="the run to resume has hidden_dim 32, this command 64"):
        Run(make_act(hidden_dim=64), config(), 10).restore(tmp_path / "policy_last.ckpt")


def test_training_learns_and_keeps_best_last_and_periodic_checkpoints(tmp_path):
    policy, finished = train(tmp_path, 30, lr=3e-3, save_every=10)
    assert finished
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *("policy_best.ckpt", "policy_last.ckpt", "losses.png", "history.csv", "tensorboard"),
        *(f"policy_step_{n}_seed_0.ckpt" for n in (10, 20, 30)),
    }
    history = read_checkpoint(tmp_path / "policy_last.ckpt")["training"]["history"]
    assert [row["step"] for row in history] == [5, 10, 15, 20, 25, 30]
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    best = min(row["val/loss"] for row in history)
    found = validate(load_policy(tmp_path / "policy_best.ckpt"), {"all": [make_batch()]}, "no")[0]["loss"]
    assert found == pytest.approx(best, rel=1e-5)
    assert_equal(weights(load_policy(tmp_path / "policy_last.ckpt")), weights(policy))


def test_the_top_speeds_of_the_demonstrations_are_told():
    """The 99.9th percentile of all steps that teach, by entry: one jump of a sensor does not count."""
    rng = np.random.default_rng(0)
    actions = [np.cumsum(rng.uniform(-1, 1, (2000, 2)) * [0.1, 0.2], axis=0) for _ in range(3)]
    actions[0][1000:, 0] += 50
    hasty = np.cumsum(rng.uniform(-9, 9, (2000, 2)), axis=0)  # of a folder of --places_only
    episodes = [SimpleNamespace(fps=fps) for fps in (10, 10, 20, 10)]
    train = SimpleNamespace(actions=[*actions, hasty], ends=[2000, 2000, 2000, 0], episodes=episodes)
    data = SimpleNamespace(train=train)
    for order, top in ((1, [2.0, 4.0]), (2, [80.0, 160.0])):  # of the third, which is played fastest
        values = top_rate(data, order)
        assert all(0.8 * most < value <= most for value, most in zip(values, top, strict=True))
    short = SimpleNamespace(actions=[np.zeros((1, 2))], ends=[1], episodes=episodes[:1])
    assert top_rate(SimpleNamespace(train=short), 2) == ()


def test_the_checkpoint_to_resume_from_and_the_plot_are_only_made_now_and_then(tmp_path, monkeypatch):
    saved, plotted = [], []
    save, draw = Run.save, RunLog.plot

    def noted(run, folder, name, *rest):
        saved.append((name, run.step))
        return save(run, folder, name, *rest)

    monkeypatch.setattr(Run, "save", noted)
    monkeypatch.setattr(
        RunLog, "plot", lambda log, history: (plotted.append(history[-1].step), draw(log, history))
    )
    train(tmp_path, 20)
    assert [step for name, step in saved if name == "last"] == plotted == [5, 20]
    assert len(read_checkpoint(tmp_path / "policy_last.ckpt")["training"]["history"]) == 4


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_last_checkpoint(tmp_path):
    def poisoned(steps: range):
        for step, batch in zip(steps, batches_of(steps), strict=True):
            yield {**batch, "qpos": batch["qpos"] * (math.nan if step == 7 else 1)}

    with pytest.raises(RuntimeError, match=r"is nan at step 8; its samples: sample of step 7\. "):
        train(tmp_path, 20, source=poisoned)
    assert read_checkpoint(tmp_path / "policy_last.ckpt")["step"] == 5


def test_a_save_that_fails_leaves_the_checkpoint_before_it(tmp_path, monkeypatch):
    train(tmp_path, 5)
    monkeypatch.setattr(torch, "save", lambda content, path: (_ for _ in ()).throw(OSError("No space left")))
    with pytest.raises(OSError, match="No space left"):
        train(tmp_path, 10, resume=True)
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "policy_last.ckpt")["step"] == 5
    assert not list(tmp_path.glob("*.part"))


def test_validation_is_repeatable_and_does_not_disturb_training():
    policy = make_act(dropout=0.5).train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = (validate(policy, {"all": [make_batch()]}, "no") for _ in range(2))
    assert first == second and policy.training
    assert torch.equal(torch.rand(3), expected)


def test_one_step_is_plain_adamw():
    """Against a re-computation by torch's single-tensor implementation."""
    ours, theirs = (
        make_act(dropout=0.0, no_encoder=True).train(),
        make_act(dropout=0.0, no_encoder=True).train(),
    )
    run = Run(ours, config(weight_decay=0.1, beta2=0.98), total=10)
    plain = torch.optim.AdamW(theirs.parameters(), 1e-3, (0.9, 0.98), weight_decay=0.1, foreach=False)
    for step in range(3):
        torch.manual_seed(step_seed(0, DROPOUT, step, 0))  # of the backbone's keypoints
        plain.zero_grad()
        loss = theirs.loss(make_batch())["loss"]
        loss.backward()
        plain.step()
        losses = run.update([make_batch()])
        assert losses["loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        told = other.grad.abs() > 1e-6  # Adam blows rounding errors up where the gradient is zero
        torch.testing.assert_close(one[told], other[told], rtol=1e-4, atol=1e-4)


def test_schedule():
    cosine = TrainConfig(lr_schedule="cosine", warmup_steps=10)
    factors = [learning_rate_factor(step, cosine, 110) for step in range(110)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == factors[10] == 1
    assert factors[60] == pytest.approx(0.5) and 0 < factors[109] < 0.001
    assert learning_rate_factor(500, TrainConfig(), 1000) == 1


def test_pretrained_backbones_have_their_own_learning_rate(tmp_path):
    from detr.backbones.backbone import build_backbone

    torch.save(build_backbone("resnet18", "frozen_bn").state_dict(), tmp_path / "weights.pth")
    policy = make_act(backbone="resnet18", backbone_weights=str(tmp_path / "weights.pth"))
    groups = make_optimiser(policy, TrainConfig(lr=1e-4, lr_backbone=1e-5)).param_groups
    assert [(group["lr"], len(group["params"])) for group in groups][1] == (1e-5, 20)
    assert sum(len(group["params"]) for group in groups) == len(list(policy.parameters()))


@pytest.mark.parametrize(("flags", "steps"), [({"num_epochs": 2000}, 11250), ({"num_steps": 7}, 7)])
def test_epochs_and_steps(flags, steps):
    assert TrainConfig(batch_size=8, **flags).steps(n_episodes=45) == steps


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"lr": -1.0}, {"num_steps": 0}])
def test_values_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError, match=f"--{next(iter(bad))} is"):
        cli.check(TrainConfig(**bad))


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="sees no CUDA device"):
        pick_device("cuda")
    with pytest.raises(ValueError, match="choose auto, cpu or cuda"):
        pick_device("gpu")


def test_each_process_of_torchrun_has_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda") == torch.device("cuda", 0), "alone"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda", 1)
    assert pick_device("cuda:0") == torch.device("cuda", 0) and pick_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="'auto', cuda:2 in this process; there are cuda:0 to cuda:1"):
        pick_device("auto")
    with pytest.raises(ValueError, match="device is 'cuda:5'; there are cuda:0 to cuda:1"):
        pick_device("cuda:5")


def test_bf16_trains_close_to_fp32():
    losses = []
    for amp in ("bf16", "no"):
        run = Run(make_act(dropout=0.0, no_encoder=True).train(), config(amp=amp), 10)
        losses.append([run.update([make_batch()])["loss"].item() for _ in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert machine.computes_bf16(torch.device("cpu")) in (True, False)


# --- averages, accumulation, several processes


def test_the_average_follows_the_weights_and_is_what_is_saved(tmp_path):
    policy, _ = train(tmp_path, 8, ema=0.9, lr=3e-3)
    run = Run(policy_of_seed(1), config(ema=0.9, lr=3e-3), 8)
    expected = weights(run.policy)
    for number, batch in enumerate(batches_of(range(8))):
        run.update([batch])
        decay = min(0.9, (1 + number) / (10 + number)) if number else 0.0  # the first is taken over
        for name, value in weights(run.policy).items():
            expected[name] = torch.lerp(value.float(), expected[name].float(), decay).to(value.dtype)
    saved = read_checkpoint(tmp_path / "policy_last.ckpt")["weights"]
    different = [name for name, value in weights(policy).items() if not torch.equal(value, saved[name])]
    assert len(different) > 10, "not the weights themselves"
    for name, value in saved.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)


def policy_of_seed(seed: int):
    torch.manual_seed(seed)
    return make_act(dropout=0.1)


def test_a_run_with_an_average_resumes_bit_for_bit(tmp_path):
    train(tmp_path / "straight", 10, ema=0.9)
    train(tmp_path / "parts", 5, ema=0.9)
    train(tmp_path / "parts", 10, resume=True, ema=0.9)
    one, other = (read_checkpoint(tmp_path / name / "policy_last.ckpt") for name in ("straight", "parts"))
    assert_equal(one["weights"], other["weights"])
    assert_equal(one["training"]["weights"], other["training"]["weights"])
    with pytest.raises(ValueError, match="the run to resume was with --ema; give the same flags"):
        train(tmp_path / "parts", 12, resume=True)


def test_a_policy_may_want_an_average_and_a_call_after_each_step(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(ACTConfig, "ema", 0.9)
    monkeypatch.setattr(ACTPolicy, "after_step", lambda self: calls.append(self))
    wanted = Run(policy_of_seed(1), config(), 8)
    wanted.update([make_batch()]), wanted.update([make_batch()])
    assert wanted.average is not None and calls == [wanted.policy] * 2
    assert Run(policy_of_seed(1), config(ema=0.0), 8).average is None


def test_accumulated_batches_equal_one_large_batch():
    """Also where padding is spread unevenly over them, and with the CVAE's noise."""
    large = make_batch(batch_size=4, padded=7)
    large["valid_steps"] = (~large["is_pad"]).sum()
    small = [{name: t[i : i + 2] for name, t in large.items() if t.ndim} for i in (0, 2)]
    small = [{**batch, "valid_steps": large["valid_steps"] / 2} for batch in small]
    runs = [
        Run(make_act(dropout=0.0, backbone="resnet18", backbone_weights="none"), config(), 10) for _ in "ab"
    ]
    for _ in range(2):
        losses = [run.update(batches) for run, batches in zip(runs, ([large], small), strict=True)]
        for name, loss in losses[0].items():
            torch.testing.assert_close(loss, losses[1][name], rtol=1e-5, atol=1e-6)
    for one, other in zip(*(run.policy.parameters() for run in runs), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)


def test_two_processes_equal_one_with_twice_the_batch(tmp_path):
    """Under torchrun, as docs/train.md has it; from scratch, with padding, with the CVAE."""
    make_dataset(tmp_path / "data", n=4, steps=15)
    flags = [
        *("--task_name", "sim_transfer_cube_scripted", "--dataset_dir", str(tmp_path / "data")),
        *SMALL_FLAGS,
        *("--backbone", "resnet18", "--backbone_weights", "none", "--dropout", "0", "--amp", "no"),
        *("--num_steps", "3", "--validate_every", "1", "--device", "cpu"),
    ]
    script = str(ROOT / "imitate_episodes.py")
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        script,
    ]
    commands = {"one": ([sys.executable, script], "4"), "two": (torchrun, "2")}
    histories = {}
    for name, (command, batch_size) in commands.items():
        folder = tmp_path / name
        given = [*command, *flags, "--batch_size", batch_size, "--ckpt_dir", str(folder)]
        done = subprocess.run(given, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("trained 3 steps") == 1 and "global batch 4 = " in done.stdout
        histories[name] = read_checkpoint(folder / "policy_last.ckpt")["training"]["history"]
    assert "2 samples x 2 processes" in done.stdout
    for one, two in zip(*histories.values(), strict=True):
        names = [name for name in one if name.startswith("train/")]
        assert len(names) == 3
        assert [one[name] for name in names] == pytest.approx([two[name] for name in names], rel=2e-4)


@pytest.mark.slow
def test_a_compiled_step_equals_a_plain_one():
    runs = [Run(make_act(dropout=0.0, no_encoder=True).eval(), config(compile=c), 10) for c in (False, True)]
    for _ in range(3):
        plain, compiled = (run.update([make_batch()])["loss"].item() for run in runs)
        assert plain == pytest.approx(compiled, rel=1e-3)


# --- what is said and kept


def test_history_and_board_are_written(tmp_path):
    train(tmp_path, 10)
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()))
    history = read_checkpoint(tmp_path / "policy_last.ckpt")["training"]["history"]
    assert [{name: float(value) for name, value in row.items()} for row in rows] == history
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_training_losses_of_the_history_are_means_since_the_last_row(tmp_path):
    policy, _ = train(tmp_path, 10, validate_every=5)
    history = read_checkpoint(tmp_path / "policy_last.ckpt")["training"]["history"]
    run = Run(policy_of_seed(1), config(), 10)
    losses = [run.update([batch])["loss"].item() for batch in batches_of(range(10))]
    for row, part in zip(history, (losses[:5], losses[5:]), strict=True):
        assert row["train/loss"] == pytest.approx(sum(part) / 5, rel=1e-5)


def test_validation_is_split_by_phase():
    policy, late = make_act(no_encoder=True), make_batch()
    late["actions"] = late["actions"] + 5
    losses, phases = validate(policy, {"start": [make_batch()], "late": [late, late]}, "no")
    assert phases["late"] > phases["start"] > 0
    assert losses["loss"] == pytest.approx((phases["late"] + phases["start"]) / 2)


def test_every_sample_counts_alike_in_validation():
    """Whatever --batch_size leaves for the last batch."""
    policy, batch = make_act(no_encoder=True), make_batch()
    batch["actions"] = batch["actions"] + torch.tensor([0.0, 1.0, 5.0])[:, None, None]
    batch["is_pad"][:] = False

    def part(rows):
        taken = {name: value[rows] for name, value in batch.items() if value.ndim}
        return taken | {"valid_steps": (~taken["is_pad"]).sum().float()}

    wholes, parts = [part(slice(3))], [part(slice(2)), part(slice(2, 3))]
    whole, split = (validate(policy, {"late": each}, "no")[0]["loss"] for each in (wholes, parts))
    assert split == pytest.approx(whole, rel=1e-5)


def test_a_flat_validation_loss_is_told_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "validate", lambda *_: ({"loss": 1.0}, {}))
    train(tmp_path, 25, validate_every=1)
    assert capsys.readouterr().out.count("three to four times as long") == 1


@pytest.mark.parametrize(
    ("losses", "flat"),
    [
        ([1 / n for n in range(1, 40)], False),
        ([1.0] * 19, False),
        ([1.0] * 20, True),
        ([1.0] * 10 + [1.1] * 10, True),
        ([1.0] * 10 + [1.0] * 9 + [0.9], False),
    ],
)
def test_flat_is_no_lower_than_before(losses, flat):
    assert is_flat([Losses(n, validation={"loss": loss}) for n, loss in enumerate(losses)]) is flat


def test_evaluations_while_training_keep_the_most_successful_policy(tmp_path):
    rates, seen = iter([0.5, 0.75, 0.75, 0.25]), []

    def evaluate(path):
        seen.append(read_checkpoint(path)["step"])
        return next(rates)

    policy = make_act()
    fit(Run(policy, config(eval_every=3), 12), feed(), tmp_path, evaluate)
    assert seen == [3, 6, 9, 12]
    assert read_checkpoint(tmp_path / "policy_best_success.ckpt")["step"] == 6
    history = read_checkpoint(tmp_path / "policy_last.ckpt")["training"]["history"]
    assert [row["eval/success"] for row in history if "eval/success" in row] == [0.5, 0.75, 0.75, 0.25]


def test_an_evaluation_that_is_stopped_is_done_when_the_run_goes_on(tmp_path):
    def until(last):
        seen = []

        def evaluate(path):
            seen.append(read_checkpoint(path)["step"])
            if len(seen) == last:
                raise KeyboardInterrupt
            return 0.5

        return seen, evaluate

    def run():
        return Run(policy_of_seed(1), config(eval_every=3), 9)

    seen, evaluate = until(2)
    assert not fit(run(), feed(), tmp_path, evaluate) and seen == [3, 6]
    for last, wanted in ((1, [6]), (-1, [6, 9])):
        seen, evaluate = until(last)
        again = run()
        again.restore(tmp_path / "policy_last.ckpt")
        assert fit(again, feed(), tmp_path, evaluate) == (last < 0) and seen == wanted
    history = read_checkpoint(tmp_path / "policy_last.ckpt")["training"]["history"]
    assert [row["step"] for row in history if "eval/success" in row] == [3, 6, 9]


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    train(tmp_path, 12, save_every=2, keep_last=2)
    assert {path.name for path in tmp_path.glob("policy_step*")} == {
        "policy_step_10_seed_0.ckpt",
        "policy_step_12_seed_0.ckpt",
    }


def test_memory_is_told_before_the_first_step(tmp_path, monkeypatch, capsys):
    train(tmp_path / "a", 1)
    assert "GB free" in (told := capsys.readouterr().out) and "hardly fit" not in told
    monkeypatch.setattr(progress, "free_bytes", lambda device: 1000)
    train(tmp_path / "b", 1, batch_size=8, accumulate=1)
    assert "This will hardly fit: try --batch_size 4 --accumulate 2" in capsys.readouterr().out


def test_a_full_disk_is_told_before_anything_is_touched(tmp_path, monkeypatch):
    train(tmp_path, 5)
    before = (tmp_path / "policy_last.ckpt").read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1e4))
    with pytest.raises(OSError, match=r"MB, but the disk has 0 MB left; .* go on with --resume"):
        train(tmp_path, 10, resume=True)
    assert (tmp_path / "policy_last.ckpt").read_bytes() == before
    with pytest.raises(OSError, match="0 MB left; make room, then give the same command again$"):
        train(tmp_path / "new", 5)


# --- kill -9


def test_a_run_that_is_killed_at_any_moment_can_be_resumed(tmp_path):
    """Every step is saved, so that many of the kills come in the middle of writing.

    In a process of its own: where autograd has threads already, after other tests, it cannot fork.
    """
    if ALONE not in os.environ:
        name = "test_a_run_that_is_killed_at_any_moment_can_be_resumed"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::{name}"]
        done = subprocess.run(command, env={**os.environ, ALONE: "1"}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        return
    rng, last = np.random.default_rng(0), tmp_path / "killed" / "policy_last.ckpt"
    for number in range(8):
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            tqdm.set_lock(threading.RLock())  # its own is shared with this process, and dies locked
            train(last.parent, 100_000, resume=last.is_file(), validate_every=1)
            os._exit(1)
        deadline = time.monotonic() + 60 * (number > 3)  # a busy machine gets to its first file later
        while not last.is_file() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.3, 1.0))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert not last.is_file() or read_checkpoint(last)["training"]["optimiser"]
    done = read_checkpoint(last)["step"]
    resumed, _ = train(last.parent, done + 3, resume=True, validate_every=1)
    straight, _ = train(tmp_path / "straight", done + 3, validate_every=10**6)
    assert_equal(weights(resumed), weights(straight))


def test_only_long_runs_on_a_cpu_say_how_long_they_take():
    assert long_run_line(0.5, 84_000_000) is None
    assert long_run_line(20.2, 84_000_000).startswith("about 20 h at this rate")
    assert "--config presets/small.json takes minutes" in long_run_line(20.2, 84_000_000)
    assert "presets" not in long_run_line(20.2, 500_000)


def test_the_bar_keeps_to_its_line():
    shown = short({"success": 1.0, "data wait": 0.09, "val": 1.23456, "loss": 1.23456})
    assert list(shown.items()) == [
        ("loss", "1.2346"),
        ("val", "1.2346"),
        ("data wait", "9%"),
        ("success", "100%"),
    ]


def test_small_runs_are_not_validated_at_every_step(tmp_path, capsys):
    train(tmp_path, 13, validate_every=None)
    assert [row["step"] for row in read_checkpoint(tmp_path / "policy_last.ckpt")["training"]["history"]] == [
        10,
        13,
    ]
