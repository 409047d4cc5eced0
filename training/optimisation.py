"""What moves weights: the learning rate of a step, the optimiser, the average of the weights, and seeds."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from constants import Stream
from policies import Policy
from training.flags import TrainConfig


def uncompiled(optimiser: type[Optimizer]) -> type[Optimizer]:
    """A class of optimiser that does not load torch's compiler, which takes more than a second and 120 MB.

    torch's own loads it to mark where a graph would end if the optimiser itself were compiled; ours never is,
    with --compile neither. Where another version of torch marks that otherwise, only the time is lost.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        plain = inspect.unwrap(getattr(Optimizer, name))
        plain.__dict__.setdefault("__dynamo_disable", plain)  # where torch looks for the marked form
    return type(optimiser.__name__, (optimiser,), {"step": torch.no_grad()(inspect.unwrap(optimiser.step))})


def learning_rate_factor(step: int, config: TrainConfig, total: int) -> float:
    """Share of the learning rate at a step: linear warm-up, then constant or half a cosine."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.lr_schedule == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))


def make_optimiser(policy: Policy, config: TrainConfig, others: Iterable[nn.Parameter] = ()) -> Optimizer:
    """AdamW, with a learning rate of their own for pretrained weights; also of `others` than the policy's."""
    pretrained = {id(p): p for p in policy.pretrained_parameters() if p.requires_grad}
    rest = [p for p in policy.parameters() if p.requires_grad and id(p) not in pretrained]
    rest += others
    groups: list[dict[str, Any]] = [{"params": rest, "lr": config.lr}]
    if pretrained:
        groups.append({"params": list(pretrained.values()), "lr": config.lr_backbone})
    return uncompiled(AdamW)(groups, betas=(0.9, config.beta2), weight_decay=config.weight_decay, fused=True)


class AverageWeights:
    """A copy of the policy, `module`, that follows it; more closely at first, by the decay (1 + n) / (10 + n)
    after n steps (as TensorFlow's ExponentialMovingAverage), so that a short run is not held back by its
    start. Nothing in a step waits for the device.
    """

    def __init__(self, policy: Policy, decay: float) -> None:
        self.module = copy.deepcopy(policy)
        self._decay = decay
        pairs = list(zip(_tensors(self.module), _tensors(policy), strict=True))
        self._floats = list(zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True))
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take the policy's weights and buffers after `step` steps before the present one into account."""
        share = 1 - min(self._decay, (1 + step) / (10 + step)) if step else 1.0
        torch._foreach_lerp_(*self._floats, share)
        for average, value in self._counters:
            average.copy_(value)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Weights and buffers."""
    yield from module.parameters()
    yield from module.buffers()


def step_seed(seed: int, *key: int) -> int:
    """A 64-bit seed for a training step."""
    return int(np.random.SeedSequence([seed, Stream.TRAIN, *key]).generate_state(1, np.uint64)[0])
