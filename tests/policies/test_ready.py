"""A policy made ready to act: the same actions, and nothing lost of the policy itself."""

from __future__ import annotations

import pytest
import torch
from synthetic import SMALL, make_batch, make_small

from common.work.machine import autocast, computes_bf16
from detr.backbones.norms import NORMS
from policies.acting.ready import ready_to_act
from policies.registry import POLICIES
from policy import load_policy, save_policy

CPU = torch.device("cpu")
needs_bf16 = pytest.mark.skipif(not computes_bf16(CPU), reason="bf16 is not native on this CPU")


@torch.inference_mode()
def chunk(policy, amp, samples=1, cameras=1):
    """What a policy does, with the same random numbers each time."""
    batch = {
        name: value for name, value in make_batch(samples, cameras).items() if name in ("qpos", "images")
    }
    if policy.observation_horizon > 1:
        batch = {name: torch.stack([v] * policy.observation_horizon, dim=1) for name, v in batch.items()}
    with autocast(amp, policy.device):
        return policy.act(batch, torch.Generator().manual_seed(0)).float()


def with_lively_norms(policy):
    """Norms that do something: untrained ones would hide a mistake in their folding."""
    generator = torch.Generator().manual_seed(2)
    for name, values in policy.state_dict().items():
        if name.endswith(("running_mean", "bn1.bias", "bn2.bias")):
            values.normal_(0, 0.2, generator=generator)
        elif name.endswith("running_var"):
            values.uniform_(0.5, 1.5, generator=generator)
    return policy.eval()


def assert_acts_alike(policy, samples=1, cameras=1):
    exact, ready = chunk(policy, "no", samples, cameras), ready_to_act(policy)
    today = (chunk(policy, "auto", samples, cameras) - exact).abs().mean()
    error = (chunk(ready, "auto", samples, cameras) - exact).abs().mean()
    spread = exact.std()
    assert error < 2 * today + 0.002 * spread, (error, today, spread)


@needs_bf16
@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_acts_as_before(name):
    policy = with_lively_norms(make_small(name))
    before = {key: value.clone() for key, value in policy.state_dict().items()}
    assert_acts_alike(policy)
    assert ready_to_act(policy) is not policy
    after = policy.state_dict()
    assert before.keys() == after.keys()
    assert all(
        torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before
    )


@needs_bf16
@pytest.mark.parametrize("name", POLICIES)
def test_a_saved_policy_is_the_one_that_was_trained(name, tmp_path):
    policy = make_small(name).eval()
    save_policy(tmp_path / "before.ckpt", policy)
    ready_to_act(policy)
    save_policy(tmp_path / "after.ckpt", policy)
    before, after = (load_policy(tmp_path / f"{when}.ckpt").state_dict() for when in ("before", "after"))
    assert all(torch.equal(before[key], after[key]) for key in before)


@needs_bf16
@pytest.mark.parametrize("norm", NORMS)
def test_backbones_of_all_norms(norm):
    assert_acts_alike(with_lively_norms(make_small("ACT", backbone="resnet18", norm=norm)))


@needs_bf16
@pytest.mark.parametrize("name", ["residual_attention_18", "robomimic_resnet18", "resnet50"])
def test_other_backbones(name):
    assert_acts_alike(with_lively_norms(make_small("ACT", backbone=name)))


@needs_bf16
@pytest.mark.parametrize("flags", [{"share_backbone": True}, {"share_backbone": False}])
def test_several_cameras_and_samples(flags):
    policy = with_lively_norms(make_small("ACT", cameras=("top", "wrist"), dec_layers=3, **flags))
    assert_acts_alike(policy, samples=3, cameras=2)


@needs_bf16
@pytest.mark.parametrize("flags", [{"no_encoder": True}, {"use_vq": True, "vq_class": 4, "vq_dim": 4}])
def test_every_latent(flags):
    assert_acts_alike(with_lively_norms(make_small("ACT", **flags)))


@needs_bf16
def test_a_prior_of_codes_is_asked():
    policy = make_small("ACT", use_vq=True, vq_class=4, vq_dim=4).eval()
    policy.has_prior.fill_(True)
    assert_acts_alike(policy)


def test_a_policy_that_does_not_act_in_bf16_stays_as_it_is(monkeypatch):
    policy = make_small("ACT").eval()
    assert ready_to_act(policy, "no") is policy
    monkeypatch.setattr("policies.acting.ready.computes_bf16", lambda device: False)
    assert ready_to_act(policy) is policy


@needs_bf16
def test_weights_are_not_held_twice():
    policy = make_small("ACT", backbone="resnet18").eval()
    ready = ready_to_act(policy)
    shared = {t.data_ptr() for t in policy.buffers()} & {t.data_ptr() for t in ready.buffers()}
    assert policy.qpos_mean.data_ptr() in shared


assert SMALL.keys() == dict(POLICIES).keys()
