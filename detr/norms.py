"""Normalisation layers that a backbone is built with."""

from collections.abc import Callable

import torchvision
from torch import nn

Norm = Callable[[int], nn.Module]  # channels -> layer
GROUP = 16  # channels that are normalised together


def group_norm(channels: int) -> nn.GroupNorm:
    """Groups of 16 channels; where they do not come out even, somewhat larger ones."""
    groups = max(1, channels // GROUP)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


NORMS: dict[str, Norm] = {
    "frozen_bn": torchvision.ops.FrozenBatchNorm2d,  # keeps what pretraining measured; useless from scratch
    "group_norm": group_norm,  # small batches do not disturb it
    "batch_norm": nn.BatchNorm2d,
}


def replace_batch_norm(module: nn.Module, norm: Norm) -> None:
    """Put another norm, with the same weights, in the place of each batch norm in a module; what timm's
    batch norms do after normalising remains.
    """
    for name, child in module.named_children():
        if not isinstance(child, nn.BatchNorm2d):
            replace_batch_norm(child, norm)
            continue
        new = norm(child.num_features)
        new.load_state_dict({"weight": child.weight.data, "bias": child.bias.data}, strict=False)
        rest = [getattr(child, part) for part in ("drop", "act") if hasattr(child, part)]
        setattr(module, name, nn.Sequential(new, *rest) if rest else new)
