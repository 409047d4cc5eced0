"""What policies that see through image backbones have in common: their flags, and how they are rebuilt."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

import cli
from detr.backbone import BACKBONES, build_backbone, init_backbone


@dataclass(frozen=True)
class VisionConfig:
    """Flags of the image backbones."""

    backbone: str = cli.flag("resnet18", f"one of {', '.join(BACKBONES)}")
    backbone_weights: str = cli.flag("auto", "imagenet, none, a file, or auto: imagenet where it exists")
    share_backbone: bool = cli.flag(False, "one backbone for all cameras, as the original ACT; saves memory")
    norm: str | None = None  # of the backbone, as built; set when a policy is rebuilt
    pretrained: bool = False


Config = TypeVar("Config", bound=VisionConfig)


def make_backbones(config: VisionConfig, cameras: Sequence[str]) -> list[nn.Module]:
    """One backbone for each camera, or a single one if shared; bare if the policy is rebuilt, else with the
    weights that training starts from.
    """
    count = 1 if config.share_backbone else len(cameras)
    if config.norm is None:
        return [init_backbone(config.backbone, config.backbone_weights) for _ in range(count)]
    return [build_backbone(config.backbone, config.norm, config.pretrained) for _ in range(count)]


def rebuilt(config: Config, backbone: nn.Module) -> Config:
    """The config from which `make_backbones` builds the like of `backbone` without reading any file."""
    return dataclasses.replace(config, norm=backbone.norm, pretrained=backbone.pretrained)


def pretrained_parameters(backbones: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Parameters of those backbones that start from pretrained weights."""
    return [p for backbone in backbones if backbone.pretrained for p in backbone.parameters()]
