"""Every backbone by a name that can be built: a small member stands for its family."""

import importlib.util

import pytest

from detr.backbones.backbone import BACKBONES

MEMBERS = {"timm:NAME": "timm:test_resnet"}
NAMES = [MEMBERS.get(name, name) for name in BACKBONES]
LARGE = {
    "resnet101",
    "resnet152",
    "residual_attention_56",
    "residual_attention_92",
    "residual_attention_56_cifar",
}
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs pip install timm")


def each_backbone(names: list[str] = NAMES) -> list:
    """Parameters for pytest: those of packages that are missing are skipped, large ones are slow."""
    return [
        pytest.param(
            name,
            marks=[*([needs_timm] if ":" in name else []), *([pytest.mark.slow] if name in LARGE else [])],
        )
        for name in names
    ]
