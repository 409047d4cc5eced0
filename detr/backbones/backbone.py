"""Image backbones. To add one, write a function that builds it under `@register_backbone("its_name")`.

A backbone maps ImageNet-normalised images (B, 3, H, W) of any size to a map (B, out_channels, h, w), and
says `out_channels`. Building and initialising are two things: `init_backbone` makes one to be trained and
may download weights; `build_backbone` makes the bare architecture of a trained one, from the name and norm
that its checkpoint recorded.

torch is imported where one is built: the names are flags, which load without torch.
"""

from __future__ import annotations

import difflib
import http.client
import socket
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from detr.backbones.norms import NORMS, replace_batch_norm
from detr.backbones.residual_forms import FORMS
from detr.names import TIMM

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = ("auto", "imagenet", "none")
DOWNLOAD_TIMEOUT = 10.0  # seconds without a byte

Builder = Callable[[str, str], "nn.Module"]
BACKBONES: dict[str, Builder] = {}


def register_backbone(
    *names: str, scratch_norm: str = "group_norm", in_torchvision: bool = False
) -> Callable[[Builder], Builder]:
    """Make a function `(name, norm) -> module with out_channels` known under `names`.

    A name `family:NAME` stands for every name that begins with `family:`. `scratch_norm` is the key of
    `NORMS` that random weights are trained with; `in_torchvision` says that torchvision has pretrained ones.
    """

    def register(build: Builder) -> Builder:
        for name in names:
            if name in BACKBONES:
                raise ValueError(f"backbone {name!r} is registered twice")
            BACKBONES[name] = build
        build.scratch_norm, build.in_torchvision = scratch_norm, in_torchvision
        return build

    return register


@register_backbone("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", in_torchvision=True)
def resnet(name: str, norm: str) -> nn.Module:
    """torchvision's ResNet (He et al. 2016) up to layer4, as in DETR, models/backbone.py; stride 32."""
    import torchvision
    from torch import nn

    net = torchvision.models.get_model(name, weights=None, norm_layer=NORMS[norm])
    body = nn.Sequential()
    for key, module in net.named_children():
        if key not in ("avgpool", "fc"):
            body.add_module(key, module)
    body.out_channels = net.fc.in_features
    return body


@register_backbone("keypoints", "keypoints_wide", scratch_norm="batch_norm")
def keypoints(name: str, norm: str) -> nn.Module:
    """Where things are, in four tokens: small enough to learn from scratch on a CPU within minutes. The wide
    ones tell things apart by what is around them, where the room changes.
    """
    if norm != "batch_norm":
        raise ValueError(f"backbone {name!r} has batch_norm, not {norm!r}")
    from detr.backbones.keypoints import Keypoints, WideKeypoints

    return WideKeypoints() if name == "keypoints_wide" else Keypoints()


@register_backbone("robomimic_resnet18")
def robomimic_resnet18(name: str, norm: str) -> nn.Module:
    """robomimic's ResNet18Conv, the image encoder of ACT++'s Diffusion Policy; stride 32."""
    from detr.backbones.spatial import robomimic_nets

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it calls torchvision in a deprecated way
        net = robomimic_nets().ResNet18Conv(pretrained=False)
    replace_batch_norm(net, NORMS[norm])
    net.out_channels = 512
    return net


@register_backbone(*FORMS)
def residual_attention(name: str, norm: str) -> nn.Module:
    """Features that pass through masks of their own making (Wang et al. 2017)."""
    from detr.backbones.residual_attention import ResidualAttention

    return ResidualAttention(FORMS[name], NORMS[norm])


@register_backbone(f"{TIMM}NAME")
def timm_model(name: str, norm: str) -> nn.Module:
    """Any model of the package timm that has feature maps; those without batch norm keep what they have."""
    from detr.backbones import timm_models

    return timm_models.build(name, norm)


def build_backbone(name: str, norm: str | None = None, pretrained: bool = False) -> nn.Module:
    """Build the architecture with random weights; reads no file and no network.

    Args:
        name: a key of `BACKBONES`, or one of a family.
        norm: a key of `NORMS`; if not given, what it trains with from scratch.
        pretrained: whether the weights that the caller will load are pretrained.

    Returns:
        (B, 3, H, W) -> (B, out_channels, h, w), with attributes `out_channels`, `norm` and `pretrained`.

    Raises:
        ValueError: unknown name or norm.
        ImportError: the package that has it is missing.
    """
    builder = _find_builder(name)
    norm = norm or builder.scratch_norm
    _check_choice("norm", norm, NORMS)
    backbone = builder(name, norm)
    backbone.norm = norm
    backbone.pretrained = pretrained
    return backbone


def init_backbone(
    name: str, weights: str | Mapping[str, Tensor] = "auto", source: str = "this state dict"
) -> nn.Module:
    """Build a backbone with the weights that training starts from.

    Pretrained weights come with the batch-norm statistics they were trained with, which stay frozen as in
    DETR; random weights need a norm that learns, their `scratch_norm`. A checkpoint must record the returned
    module's `norm` and `pretrained`, and rebuild it by `build_backbone`.

    Args:
        name: a key of `BACKBONES`, or one of a family.
        weights: "imagenet": torchvision's or timm's, downloaded or from their cache; where that fails (no
            network), warns and falls back on random weights. "none": random. A state dict in the backbone's
            names (of a ResNet: torchvision's), as train_backbone.py writes it; `fc.*` ignored, GroupNorm if
            it holds no running statistics. "auto": "imagenet" where such weights exist, else "none".
        source: what an error calls the state dict, e.g. its file.

    Raises:
        ValueError: unknown name or `weights`, no ImageNet weights for it, or a state dict that does not fit.
        ImportError: the package that has it is missing.
    """
    scratch_norm = _find_builder(name).scratch_norm
    has_imagenet = _has_imagenet_weights(name)
    if weights == "auto":
        weights = "imagenet" if has_imagenet else "none"
    if weights == "none":
        return build_backbone(name)
    if not isinstance(weights, str):
        return _with_weights(name, weights, source)
    _check_choice("backbone weights", weights, WEIGHTS)
    if not has_imagenet:
        raise ValueError(f"there are no ImageNet weights for backbone {name!r}; choose 'none' or a file")
    try:
        state = _imagenet_weights(name)
    except (OSError, http.client.HTTPException) as error:
        warnings.warn(
            f"no ImageNet weights for {name} ({error}): starting from random weights with {scratch_norm} "
            "instead; name a file with --backbone_weights PATH to start from pretrained ones",
            stacklevel=2,
        )
        return build_backbone(name)
    return _with_weights(name, state, source="the ImageNet weights")


def _has_imagenet_weights(name: str) -> bool:
    if name.startswith(TIMM):
        from detr.backbones import timm_models

        return timm_models.has_weights(name)
    return _find_builder(name).in_torchvision


def _imagenet_weights(name: str) -> Mapping[str, Tensor]:
    if name.startswith(TIMM):
        from detr.backbones import timm_models

        return timm_models.fetch_weights(name, DOWNLOAD_TIMEOUT)
    import torchvision

    # IMAGENET1K_V1 are those that DETR, ACT and ACT++ start from.
    with _socket_timeout(DOWNLOAD_TIMEOUT):
        return torchvision.models.get_model_weights(name).IMAGENET1K_V1.get_state_dict(check_hash=True)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torch.hub opens its URL without a timeout, so where packets are dropped it would hang for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _with_weights(name: str, state: Mapping[str, Tensor], source: str) -> nn.Module:
    has_statistics = any(key.endswith("running_mean") for key in state)
    scratch_norm = _find_builder(name).scratch_norm
    norm = "frozen_bn" if has_statistics and scratch_norm != "batch_norm" else scratch_norm
    backbone = build_backbone(name, norm, pretrained=True)
    body = {key: value for key, value in state.items() if not key.startswith("fc.")}
    try:
        backbone.load_state_dict(body)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{source} does not fit backbone {name!r}: {reason[:400]}") from error
    return backbone


def check_backbone(name: str) -> None:
    """ValueError for an unknown backbone."""
    _find_builder(name)


def _find_builder(name: str) -> Builder:
    family, colon, _ = name.partition(":")
    key = f"{family}:NAME" if colon else name
    if key not in BACKBONES:
        _check_choice("backbone", name, BACKBONES)
    return BACKBONES[key]


def _check_choice(what: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        close = difflib.get_close_matches(value, choices, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"unknown {what} {value!r}; {hint}choose from {', '.join(sorted(choices))}")
