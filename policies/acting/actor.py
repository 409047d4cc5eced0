"""A policy in torch, as what acts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from actors import Actor, Interface, Observation, Rest, Seen, Traits, first_seed
from common import autocast
from policies.augmentation import centre_crop
from policies.base import Known, Policy
from policies.drawing import overlap_weights


class TorchActor(Actor):
    """Asks a policy.

    Args:
        policy: with its weights, in eval mode.
        amp: mixed precision, as for `common.autocast`.
    """

    def __init__(self, policy: Policy, amp: str = "auto") -> None:
        self.policy, self._amp = policy, amp
        self.reset((0,))

    @property
    def interface(self) -> Interface:
        return self.policy.interface

    @property
    def chunk_size(self) -> int:
        return self.policy.chunk_size

    @property
    def execution_horizon(self) -> int:
        return self.policy.execution_horizon

    @property
    def observation_horizon(self) -> int:
        return self.policy.observation_horizon

    @cached_property
    def traits(self) -> Traits:
        policy = self.policy
        names = ("qpos_mean", "action_std", "action_min", "action_max")
        return Traits(
            policy.chunk_size,
            policy.execution_horizon,
            policy.observation_horizon,
            policy.config.inpaints,
            *(tuple(getattr(policy, name).tolist()) for name in names),
        )

    def reset(self, key: Sequence[int]) -> None:
        self._generator = torch.Generator(self.policy.device).manual_seed(first_seed(key))

    def observe(self, observation: Observation) -> Seen:
        """It stays on the CPU: a copy to the device would wait for what the policy computes there."""
        batch = self.policy.observe([observation], "cpu")
        return {name: tensor[0].numpy() for name, tensor in batch.items()}

    def finish(self, seen: Seen) -> Seen:
        pictures = torch.tensor(seen["images"])
        return {**seen, "images": centre_crop(pictures, self.interface.augmentations).numpy()}

    @torch.inference_mode()  # holds for the calling thread alone
    def act(self, seen: Seen, rest: Rest | None = None) -> np.ndarray:
        device = self.policy.device
        batch = {name: torch.from_numpy(array)[None].to(device) for name, array in seen.items()}
        with autocast(self._amp, device):
            if rest is None:
                chunk = self.policy.act(batch, self._generator)
            else:
                weights = overlap_weights(min(rest.settled, len(rest.actions)), len(rest.actions))
                known = Known(torch.from_numpy(rest.actions)[None], weights)
                chunk = self.policy.act_given(batch, known, self._generator)
        return chunk[0].cpu().numpy()
