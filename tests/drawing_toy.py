"""The toy of the policies that draw: one number is seen, one is acted with, and one state has two modes."""

from __future__ import annotations

import torch
from torch import Tensor

from actors import Interface
from episodes.stats import Stats
from policies.drawing import DrawingPolicy
from utils import Batch

SAMPLES = 300
STATS = Stats.completed(
    {
        **{"qpos_mean": [0.0], "qpos_std": [1.0], "action_mean": [0.0], "action_std": [1.0]},
        **{"qpos_min": [0.0], "qpos_max": [1.0], "action_min": [-1.0], "action_max": [1.0]},
    }
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_blind(kind: type[DrawingPolicy], **config) -> DrawingPolicy:
    """A policy that sees its state alone, which is one number, as are its actions.

    Where the state is 1, all actions of a chunk are -0.8 or all are 0.8; where it is 0, they are 0.2.
    """
    torch.manual_seed(0)
    toy = {"prediction_horizon": 4, "action_horizon": 4, "observation_horizon": 1, "down_dims": (32,)}
    config = kind.Config(**{"backbone": "keypoints", **toy, **config})
    policy = kind(config, Interface(1, 1, ("top",), (32, 32)), STATS)

    def condition(obs: Batch) -> Tensor:
        state = policy.normalise_qpos(obs["qpos"])
        return torch.cat([state, state.new_zeros(len(state), 64)], dim=1)

    policy.condition = condition
    return policy


def seen(state: float) -> Batch:
    return {"qpos": torch.full((SAMPLES, 1), state)}


def samples(policy: DrawingPolicy, state: float) -> Tensor:
    """Chunks (SAMPLES, 4) that are drawn in a state."""
    with torch.no_grad():
        return policy.eval().act(seen(state), seeded(1))[..., 0]


def expected_actions(noisy: Tensor, signal: Tensor, noise: Tensor, cond: Tensor) -> Tensor:
    """The mean of the toy's actions that may be behind noisy ones (B, 4, 1), which are `signal` times actions
    and `noise` times noise, (B, 1, 1) each: what a network that has learned it to perfection knows.
    """
    towards = torch.tanh(0.8 * signal * noisy.sum(dim=1, keepdim=True) / noise.square())
    return torch.where(cond[:, :1, None] > 0, 0.8 * towards, torch.tensor(0.2)).expand_as(noisy)


def learn(policy: DrawingPolicy, steps: int) -> None:
    """Train it on the toy."""
    optimiser = torch.optim.Adam(policy.network.parameters())
    generator = seeded()
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        state = torch.randint(2, (128, 1), generator=generator).float()
        mode = 0.8 * (2.0 * torch.randint(2, (128, 1), generator=generator) - 1)
        actions = torch.where(state > 0, mode, torch.tensor(0.2))[:, None].expand(-1, 4, 1)
        batch = {"qpos": state, "actions": actions, "is_pad": torch.zeros(128, 4, dtype=torch.bool)}
        optimiser.zero_grad()
        policy.loss({**batch, **policy.draw_noise(128, generator)})["loss"].backward()
        optimiser.step()


def check_modes(chunks: Tensor, share: float, tolerance: float) -> None:
    """That so many of the chunks are of one mode or the other, and of both alike."""
    is_mode = ((chunks.abs() - 0.8).abs() < tolerance).all(dim=1)
    assert is_mode.float().mean() >= share
    signs = chunks[is_mode].sign()
    assert (signs == signs[:, :1]).all()  # a chunk keeps to its mode
    assert 0.4 < (signs[:, 0] > 0).float().mean() < 0.6
