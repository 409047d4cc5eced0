"""What policies that see through image backbones have in common: their flags, and how they are rebuilt."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

import cli
from checkpoints import check_weights, described, read_weights
from detr.backbone import BACKBONES, WEIGHTS, build_backbone, check_backbone, init_backbone
from policies.stored import stored_interface, stored_values


@dataclass(frozen=True)
class VisionConfig:
    """Flags of the image backbones."""

    backbone: str = cli.flag("resnet18", f"one of {', '.join(BACKBONES)}")
    backbone_weights: str = cli.flag("auto", "imagenet, none, a file, or auto: imagenet where it exists")
    share_backbone: bool = cli.flag(False, "one backbone for all cameras, as the original ACT; saves memory")
    norm: str | None = None  # of the backbone, as built; set when a policy is rebuilt
    pretrained: bool = False


# the n-th backbone's weights, in a policy's state dict
BACKBONE_WEIGHT = re.compile(r"(?:network\.backbones\.(\d+)|(?:nets|encoders)\.(\d+)\.backbone)\.(.+)")
Config = TypeVar("Config", bound=VisionConfig)


def make_backbones(config: VisionConfig, cameras: Sequence[str]) -> list[nn.Module]:
    """One backbone for each camera, or a single one if shared; bare if the policy is rebuilt, else with the
    weights that training starts from.
    """
    count = 1 if config.share_backbone else len(cameras)
    if config.norm is None:
        return start_backbones(config.backbone, config.backbone_weights, count)
    return [build_backbone(config.backbone, config.norm, config.pretrained) for _ in range(count)]


def start_backbones(name: str, weights: str, count: int = 1) -> list[nn.Module]:
    """So many backbones with the weights that training starts from (`init_backbone`), or with those of a
    file.

    FileNotFoundError if there is no such file, ValueError if it is damaged or does not fit.
    """
    if weights in WEIGHTS:
        return [init_backbone(name, weights) for _ in range(count)]
    _check_weights(weights)
    state = read_weights(weights)
    return [init_backbone(name, state, source=weights) for _ in range(count)]


def check_vision(config: VisionConfig) -> None:
    """ValueError for a backbone that is not known, FileNotFoundError for a missing file of weights."""
    check_backbone(config.backbone)
    _check_weights(config.backbone_weights)


def _check_weights(weights: str) -> None:
    if weights not in WEIGHTS and not Path(weights).is_file():
        raise FileNotFoundError(f"backbone weights {weights!r}: no such file; or say {', '.join(WEIGHTS)}")


def rebuilt(config: Config, backbone: nn.Module) -> Config:
    """The config from which `make_backbones` builds the like of `backbone` without reading any file."""
    return dataclasses.replace(config, norm=backbone.norm, pretrained=backbone.pretrained)


def pretrained_parameters(backbones: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Parameters of those backbones that start from pretrained weights."""
    return [p for backbone in backbones if backbone.pretrained for p in backbone.parameters()]


def trained_backbones(
    content: Mapping[str, Any], path: Path, cameras: Sequence[str]
) -> tuple[dict[str, Any], list[nn.Module]]:
    """The backbones of a trained policy, one for each camera, or a single one if they were shared.

    Args:
        content: its checkpoint (`checkpoints.read_checkpoint`).
        path: the file.
        cameras: of those it saw, the ones that are wanted.

    Returns:
        what `VisionConfig` must say of them, and the backbones with their weights.

    Raises:
        ValueError: it has none, or not for such a camera, or is not what it should be.
    """
    check_weights(content.get("weights", {}), path)
    found: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for name, value in content.get("weights", {}).items():
        if match := BACKBONE_WEIGHT.fullmatch(name):
            found[int(match[1] or match[2])][match[3]] = value
    config, names = content.get("config"), [field.name for field in dataclasses.fields(VisionConfig)]
    config = config if isinstance(config, Mapping) else {}
    if not found or not config.get("norm"):
        maker = described(content["policy_class"]) if "policy_class" in content else "of ACT or ACT++"
        raise ValueError(f"{path}: a policy {maker} has no backbones to take")
    fields = stored_values(VisionConfig, {n: config[n] for n in names if n in config}, f"{path}: its config")
    known = stored_interface(content.get("interface"), f"{path}: its interface").cameras
    missing = [camera for camera in cameras if camera not in known]
    if missing:
        raise ValueError(f"that policy never saw camera {missing[0]!r}; it saw {', '.join(known)}")
    places = [0] if fields["share_backbone"] else [known.index(camera) for camera in cameras]
    try:
        backbones = [build_backbone(fields["backbone"], fields["norm"], fields["pretrained"]) for _ in places]
        for place, backbone in zip(places, backbones, strict=True):
            backbone.load_state_dict(found[place])
    except (RuntimeError, LookupError, ValueError) as error:
        raise ValueError(f"{path}: its weights are not those of backbone {fields['backbone']!r}") from error
    return fields, backbones
