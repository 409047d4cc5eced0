"""Normalisation layers that a backbone is built with. Their names are flags, so torch is imported late."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

Norm = Callable[[int], "nn.Module"]  # channels -> layer
GROUP = 16  # channels that are normalised together


def frozen_batch_norm(channels: int) -> nn.Module:
    """Keeps what pretraining measured; useless from scratch."""
    from torchvision.ops import FrozenBatchNorm2d

    return FrozenBatchNorm2d(channels)


def is_frozen_batch_norm(layer: nn.Module | None) -> bool:
    """Whether a layer is one; asked without importing torchvision, which takes a second."""
    torchvision = sys.modules.get("torchvision.ops")
    return torchvision is not None and isinstance(layer, torchvision.FrozenBatchNorm2d)


def group_norm(channels: int) -> nn.GroupNorm:
    """Groups of 16 channels; where they do not come out even, somewhat larger ones. Small batches do not
    disturb it.
    """
    from torch import nn

    groups = max(1, channels // GROUP)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Mean and variance of the batch in training; when it acts, of all that it was trained on."""
    from torch import nn

    return nn.BatchNorm2d(channels)


NORMS: dict[str, Norm] = {
    "frozen_bn": frozen_batch_norm,
    "group_norm": group_norm,
    "batch_norm": batch_norm,
}


def replace_batch_norm(module: nn.Module, norm: Norm) -> None:
    """Put another norm, with the same weights, in the place of each batch norm in a module; what timm's
    batch norms do after normalising remains.
    """
    from torch import nn

    for name, child in module.named_children():
        if not isinstance(child, nn.BatchNorm2d):
            replace_batch_norm(child, norm)
            continue
        new = norm(child.num_features)
        new.load_state_dict({"weight": child.weight.data, "bias": child.bias.data}, strict=False)
        rest = [getattr(child, part) for part in ("drop", "act") if hasattr(child, part)]
        setattr(module, name, nn.Sequential(new, *rest) if rest else new)
