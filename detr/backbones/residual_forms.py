"""Sizes of residual attention networks, in a file without torch, as their names are flags."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """Size of a network."""

    stem: int  # channels of the first convolution
    channels: tuple[int, int, int, int]  # of the stages
    modules: tuple[int, int, int]  # attention modules in each stage but the last
    poolings: tuple[int, int, int]  # in their masks: fewer in later stages, whose maps are smaller already
    small_images: bool = False  # as CIFAR's: a stem of stride 1, and no stride in the last stage


IMAGENET, CIFAR = (256, 512, 1024, 2048), (128, 256, 512, 1024)
FORMS = {
    "residual_attention_56": Form(64, IMAGENET, (1, 1, 1), (3, 2, 1)),
    "residual_attention_92": Form(64, IMAGENET, (1, 2, 3), (3, 2, 1)),
    # stem and channels of a ResNet-18
    "residual_attention_18": Form(64, (64, 128, 256, 512), (1, 1, 1), (3, 2, 1)),
    "residual_attention_56_cifar": Form(32, CIFAR, (1, 1, 1), (2, 1, 0), small_images=True),
    "residual_attention_cifar": Form(32, (32, 64, 128, 256), (1, 1, 1), (2, 1, 0), small_images=True),
}
