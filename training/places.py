"""An aid while training: the backbones must also tell where the objects are.

Where looks vary, a policy's own loss teaches its backbones slowly, as it is small already once the arm's pose
tells how a demonstration goes on. Where the objects stood is a harder question, and the recording knows it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detr import map_shape
from policies import Policy

LEAST_SPREAD = 2e-3  # m, or of a quaternion's entries: what varies less is the same in all episodes


def varying(places: np.ndarray) -> np.ndarray:
    """Which entries of places (N, P), with NaN where they are not known, differ between episodes: (P,)."""
    known = places[np.isfinite(places).all(axis=1)]
    return known.std(axis=0) > LEAST_SPREAD if len(known) else np.zeros(places.shape[1], bool)


class PlaceLoss(nn.Module):
    """How far a linear map of what the backbones make of the newest pictures is from where the objects are.

    It is no part of the policy, which acts as if it had never been.

    Args:
        policy: on its device, with backbones.
        places: (N, P) of the training episodes, NaN where they are not known.
        weight: by how much this loss counts beside the policy's own.

    Raises:
        ValueError: the policy has no backbones that learn to act, or the places are all the same or not
            known.
    """

    def __init__(self, policy: Policy, places: np.ndarray, weight: float) -> None:
        super().__init__()
        backbones, interface = policy.backbones(), policy.interface
        if not backbones or policy.config.needs_finish:  # that one acts from memory
            raise ValueError(
                f"--place_loss is {weight:g}; {type(policy).__name__} has no backbones that learn to act; "
                "leave it out"
            )
        entries = varying(places)
        if not entries.any():
            raise ValueError(
                f"--place_loss is {weight:g}; the episodes do not tell where their objects are, or these are "
                "always at the same place: leave it out"
            )
        known = torch.from_numpy(places[np.isfinite(places).all(axis=1)][:, entries])
        self.weight, self._horizon = weight, policy.observation_horizon
        self.register_buffer("entries", torch.from_numpy(np.flatnonzero(entries)), persistent=False)
        self.register_buffer("mean", known.mean(dim=0), persistent=False)
        self.register_buffer("std", known.std(dim=0), persistent=False)
        cells = sum(math.prod(map_shape(backbone, interface.image_size)) for backbone in backbones)
        cells *= len(interface.cameras) // len(backbones)  # one for each, or one for all
        self.head = nn.Linear(cells, int(entries.sum()))
        self._maps: list[Tensor] = []
        self.to(policy.device)

    def listen(self, policy: Policy) -> None:
        """From now on, keep what the policy's backbones compute in training; `forward` uses it up."""

        def keep(module: nn.Module, _inputs: Any, output: Tensor) -> None:
            if module.training:
                self._maps.append(output)

        for backbone in policy.backbones():
            backbone.register_forward_hook(keep)

    def forward(self, places: Tensor) -> Tensor:
        """() mean error, in standard deviations of the places, over those of (B, P) that are known."""
        features = torch.cat([self._newest(output, len(places)) for output in self._maps], dim=1)
        self._maps.clear()
        wanted = (places[:, self.entries] - self.mean) / self.std
        with torch.autocast(features.device.type, enabled=False):
            errors = (self.head(features.float()) - wanted.nan_to_num()).abs().mean(dim=1)  # (B,)
        is_known = wanted.isfinite().all(dim=1)
        return (errors * is_known).sum() / is_known.sum().clamp_min(1)

    def _newest(self, output: Tensor, samples: int) -> Tensor:
        """(samples, features) of a backbone's output, whose rows are samples, or samples by steps, or by
        cameras.
        """
        rows = output.unflatten(0, (samples, -1))
        return (rows[:, -1:] if self._horizon > 1 else rows).flatten(1)
