"""The backbones that a policy begins with: new, from a file, rebuilt, or taken from another policy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from actors import Interface
from detr import WEIGHTS, build_backbone, init_backbone
from policies.checkpoints import Stored, read_checkpoint, read_weights
from policies.configs import VisionConfig, check_weights_source


def make_backbones(config: VisionConfig, cameras: Sequence[str]) -> list[nn.Module]:
    """One backbone for each camera, or a single one if shared; bare if the policy is rebuilt, else with the
    weights that training starts from.
    """
    count = 1 if config.share_backbone else len(cameras)
    if config.is_rebuilt:
        return [build_backbone(config.backbone, config.norm, config.pretrained) for _ in range(count)]
    return start_backbones(config.backbone, config.backbone_weights, count)


def start_backbones(name: str, weights: str, count: int = 1) -> list[nn.Module]:
    """`count` backbones with the weights that training starts from (`init_backbone`), or those of a file.

    FileNotFoundError if there is no such file, ValueError if it is damaged or does not fit.
    """
    if weights in WEIGHTS:
        return [init_backbone(name, weights) for _ in range(count)]
    check_weights_source(weights)
    state = read_weights(weights)
    return [init_backbone(name, state, source=weights) for _ in range(count)]


def trained_backbones(path: Path, interface: Interface) -> tuple[dict[str, Any], list[nn.Module]]:
    """The backbones of a trained policy, one for each camera, or a single one if they were shared.

    Args:
        path: its checkpoint.
        interface: of the policy that gets them; the trained one must have seen its cameras in the same way.

    Returns:
        values of `VisionConfig` from which they are rebuilt, and the backbones with their weights.

    Raises:
        ValueError: it has no backbones, or none for a camera, or saw other pictures, or is damaged.
    """
    content = read_checkpoint(path)
    if "policy_class" not in content:
        raise ValueError(f"{path}: a policy of ACT or ACT++ has no backbones to take")
    policy = Stored.of(content, path).policy()
    trained, backbones = policy.interface, policy.backbones()
    if not backbones:
        raise ValueError(f"{path}: a policy {content['policy_class']} has no backbones to take")
    for name in ("image_size", "views"):
        theirs, ours = getattr(trained, name), getattr(interface, name)
        if theirs != ours:
            raise ValueError(
                f"--features_from is a policy with {name} {theirs}, here it is {ours}; give the flags that "
                "it was trained with"
            )
    if ("crop" in trained.augmentations) != ("crop" in interface.augmentations):
        theirs = "with" if "crop" in trained.augmentations else "without"
        raise ValueError(
            f"--features_from is a policy that was trained {theirs} crop in --augment, and so sees another "
            f"part of a picture; train {theirs} it here too"
        )
    missing = [camera for camera in interface.cameras if camera not in trained.cameras]
    if missing:
        raise ValueError(f"that policy never saw camera {missing[0]!r}; it saw {', '.join(trained.cameras)}")
    values = {field.name: getattr(policy.config, field.name) for field in dataclasses.fields(VisionConfig)}
    if not values["share_backbone"]:
        backbones = [backbones[trained.cameras.index(camera)] for camera in interface.cameras]
    return values, backbones
