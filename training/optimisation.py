"""What moves weights: the learning rate of a step, the optimiser, the average of the weights, and seeds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from constants import Stream
from policies import Policy
from training.flags import TrainConfig


def learning_rate_factor(step: int, config: TrainConfig, total: int) -> float:
    """Share of the learning rate at a step: linear warm-up, then constant or half a cosine."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.lr_schedule == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))


def make_optimiser(policy: Policy, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, with a learning rate of their own for pretrained weights."""
    pretrained = {id(p): p for p in policy.pretrained_parameters() if p.requires_grad}
    rest = [p for p in policy.parameters() if p.requires_grad and id(p) not in pretrained]
    groups: list[dict[str, Any]] = [{"params": rest, "lr": config.lr}]
    if pretrained:
        groups.append({"params": list(pretrained.values()), "lr": config.lr_backbone})
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)


def average_weights(policy: Policy, decay: float) -> AveragedModel:
    """A copy of the policy that follows it; more closely at first, by the decay (1 + n) / (10 + n) after n
    steps (as TensorFlow's ExponentialMovingAverage), so that a short run is not held back by its start.
    """

    @torch.no_grad()
    def follow(averages: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, weights, share)
        else:  # counters
            torch._foreach_copy_(averages, weights)

    return AveragedModel(policy, multi_avg_fn=follow, use_buffers=True)


def step_seed(seed: int, *key: int) -> int:
    """A 64-bit seed for a training step."""
    return int(np.random.SeedSequence([seed, Stream.TRAIN, *key]).generate_state(1, np.uint64)[0])
