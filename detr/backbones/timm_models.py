"""Models of the package timm as backbones: the last of the maps that they give as features.

timm is imported only for one of its models. Source: timm's `create_model(..., features_only=True)`.
"""

from __future__ import annotations

import contextlib
import difflib
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detr.backbones.norms import group_norm, replace_batch_norm
from detr.names import TIMM

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")  # as timm asks the hub for them
PROBE = (96, 128)  # height and width (pixels) that no model is made for: models of a fixed size refuse it
# options that let models of a fixed size take images of any size
ANY_SIZE: tuple[dict[str, Any], ...] = ({}, {"dynamic_img_size": True}, {"strict_img_size": False})


class TimmModel(nn.Module):
    """(B, 3, H, W) to (B, out_channels, H / stride, W / stride), rounded up: the image is filled up at its
    right and lower edge, as some models take only multiples of their stride.
    """

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.out_channels = features.feature_info.channels()[-1]
        self.stride = features.feature_info.reduction()[-1]
        self._channels_last = str(getattr(features, "output_fmt", "NCHW")).endswith("NHWC")

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, out_channels, h, w)."""
        h, w = image.shape[-2:]
        image = F.pad(image, (0, -w % self.stride, 0, -h % self.stride))
        features = self.features(image)[-1]
        return features.permute(0, 3, 1, 2) if self._channels_last else features


def build(name: str, norm: str) -> TimmModel:
    """Build a model with random weights; a key of `NORMS` says what becomes of its batch norms, others stay.

    Raises:
        ImportError: timm is missing.
        ValueError: it has no such model, or the model has no feature maps or takes images of one size only.
    """
    model = TimmModel(_create(name, pretrained=False))
    if norm == "group_norm":
        replace_batch_norm(model, group_norm)
    elif norm == "frozen_bn":
        from timm.layers import freeze_batch_norm_2d

        model = freeze_batch_norm_2d(model)
    return model


def has_weights(name: str) -> bool:
    """Whether timm has pretrained weights for it."""
    return _import_timm().models.is_model_pretrained(_timm_name(name))


def fetch_weights(name: str, timeout: float) -> Mapping[str, Tensor]:
    """Pretrained weights in the names of `build`; OSError where they cannot be downloaded.

    First asks for `timeout` seconds whether the hub answers: its own client would try for minutes.
    """
    cached = _cached_file(name)
    if cached:
        return TimmModel(_create(name, pretrained=True, file=cached)).state_dict()
    from huggingface_hub import constants

    with contextlib.suppress(urllib.error.HTTPError):  # it answers
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        urllib.request.urlopen(request, timeout=timeout).close()
    return TimmModel(_create(name, pretrained=True)).state_dict()


def _import_timm() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"a backbone {TIMM}NAME needs the package timm: pip install timm") from error
    return timm


def _timm_name(name: str) -> str:
    """timm's name of a model, perhaps with a tag of weights; ValueError if there is no such model."""
    timm = _import_timm()
    name = name.removeprefix(TIMM)
    known = set(timm.list_models()) | set(timm.list_pretrained())
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {', '.join(repr(TIMM + match) for match in close)}? " if close else ""
        raise ValueError(f"timm has no model {name!r}; {hint}timm.list_models() names all {len(known)}")
    return name


def _create(name: str, pretrained: bool, file: str | None = None) -> nn.Module:
    """A model that gives its last map of features, for images of any size."""
    timm, reason = _import_timm(), ""
    name = _timm_name(name)
    for options in ANY_SIZE:
        if file:
            options = {**options, "pretrained_cfg_overlay": {"file": file}}
        try:
            features = timm.create_model(
                name, pretrained=pretrained, features_only=True, out_indices=(-1,), **options
            )
        except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, IndexError) as error:
            reason = reason or f"it gives no feature maps ({_short(error)})"
            continue
        try:
            with torch.no_grad():
                shape = features.eval()(torch.zeros(1, 3, *PROBE))[-1].shape
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            reason = f"it takes images of one size only ({_short(error)})"
            continue
        if len(shape) == 4:
            return features.train()
        reason = f"its features are no map, but of shape {tuple(shape)}"
    raise ValueError(f"timm's {name!r} cannot be a backbone: {reason}")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:100]


def _cached_file(name: str) -> str | None:
    """The file of the weights, if they were downloaded before."""
    from huggingface_hub import try_to_load_from_cache

    timm = _import_timm()
    config = timm.get_pretrained_cfg(_timm_name(name))
    repository = config.hf_hub_id or ""
    if repository.endswith("/"):  # timm's own: named after the model and its tag
        repository += ".".join(filter(None, (config.architecture, config.tag)))
    for file in WEIGHT_FILES:
        path = try_to_load_from_cache(repository, file) if "/" in repository else None
        if isinstance(path, str):
            return path
    return None
