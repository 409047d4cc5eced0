"""The training loop: what it learns, saves, resumes and survives."""

import math
import os
import signal

import pytest
import torch
from synthetic import make_act, make_batch

import training
from policy import load_policy, read_checkpoint
from training import Run, TrainConfig, fit, learning_rate_factor, make_optimiser, pick_device, validate


def batches_of(steps: range):
    """A different batch for each step, the same whenever it is asked for."""
    for step in steps:
        batch = make_batch()
        yield {**batch, "actions": batch["actions"] + 0.01 * step}


def config(**kwargs) -> TrainConfig:
    return TrainConfig(**{"lr": 1e-3, "precision": "fp32", "validate_every": 5, **kwargs})


def train(folder, steps: int, resume: bool = False, source=batches_of, **kwargs):
    torch.manual_seed(1)
    folder.mkdir(exist_ok=True)
    policy = make_act(dropout=0.1)
    torch.manual_seed(2)
    finished = fit(policy, source, [make_batch()], config(**kwargs), steps, folder, resume)
    return policy, finished


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


def test_a_cosine_run_cannot_be_resumed_to_another_length(tmp_path):
    train(tmp_path, 10, lr_schedule="cosine")
    with pytest.raises(ValueError, match="ends at step 10, not 20"):
        train(tmp_path, 20, resume=True, lr_schedule="cosine")


def test_another_policy_cannot_be_resumed(tmp_path):
    train(tmp_path, 5)
    with pytest.raises(ValueError, match="the run to resume has hidden_dim 32, this command 64"):
        fit(make_act(hidden_dim=64), batches_of, [make_batch()], config(), 10, tmp_path, resume=True)


def test_training_learns_and_keeps_best_last_and_periodic_checkpoints(tmp_path):
    policy, finished = train(tmp_path, 30, lr=3e-3, save_every=10)
    assert finished
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *("policy_best.ckpt", "policy_last.ckpt", "losses.png"),
        *(f"policy_step_{n}_seed_0.ckpt" for n in (10, 20, 30)),
    }
    history = read_checkpoint(tmp_path / "policy_last.ckpt")["training"]["history"]
    assert [row["step"] for row in history] == [5, 10, 15, 20, 25, 30]
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    best = min(row["val/loss"] for row in history)
    found = validate(load_policy(tmp_path / "policy_best.ckpt"), [make_batch()], "fp32")["val/loss"]
    assert found == pytest.approx(best, rel=1e-5)
    assert_equal(weights(load_policy(tmp_path / "policy_last.ckpt")), weights(policy))


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_last_checkpoint(tmp_path):
    def poisoned(steps: range):
        for step, batch in zip(steps, batches_of(steps), strict=True):
            yield {**batch, "qpos": batch["qpos"] * (math.nan if step == 7 else 1)}

    with pytest.raises(RuntimeError, match=r"train/\w+ is nan near step 10"):
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
    first, second = (validate(policy, [make_batch()], "fp32") for _ in range(2))
    assert first == second and policy.training
    assert torch.equal(torch.rand(3), expected)


def test_one_step_is_plain_adamw():
    """Against a re-computation by torch's single-tensor implementation."""
    ours, theirs = (
        make_act(dropout=0.0, no_encoder=True).train(),
        make_act(dropout=0.0, no_encoder=True).train(),
    )
    run = Run(ours, config(weight_decay=0.1), total=10)
    plain = torch.optim.AdamW(theirs.parameters(), lr=1e-3, weight_decay=0.1, foreach=False)
    for step in range(3):
        torch.manual_seed(step)  # the same noise for both
        losses = run.update(make_batch())
        torch.manual_seed(step)
        plain.zero_grad()
        loss = theirs.loss(make_batch())["loss"]
        loss.backward()
        plain.step()
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
    from detr.backbone import build_backbone

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
        TrainConfig(**bad).check()


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="sees no CUDA device"):
        pick_device("cuda")
    with pytest.raises(ValueError, match="choose auto, cpu or cuda"):
        pick_device("gpu")


def test_bf16_trains_close_to_fp32():
    losses = []
    for precision in ("bf16", "fp32"):
        run = Run(make_act(dropout=0.0, no_encoder=True).train(), config(precision=precision), 10)
        losses.append([run.update(make_batch())["loss"].item() for _ in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert training.computes_bf16(torch.device("cpu")) in (True, False)
