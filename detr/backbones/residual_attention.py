"""Residual attention networks: features pass through masks that the network itself makes.

Source: Wang et al. 2017, "Residual Attention Network for Image Classification", arXiv:1704.06904, sections 3
(modules) and 4 (sizes; table 2). The units are pre-activation bottlenecks (He et al. 2016, arXiv:1603.05027).

Differs from the paper so that images of any size fit: a mask is interpolated to the size of what it is added
to or multiplied with, not by a factor.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detr.backbones.norms import Norm
from detr.backbones.residual_forms import Form

P, T, R = 1, 2, 1  # units before and after an attention module, in its trunk, between two poolings


class ResidualUnit(nn.Module):
    """Pre-activation bottleneck: 1x1, 3x3, 1x1 at a quarter of the channels, added to what came in."""

    def __init__(self, in_channels: int, channels: int, norm: Norm, stride: int = 1) -> None:
        super().__init__()
        width = channels // 4
        self.norm1, self.conv1 = norm(in_channels), nn.Conv2d(in_channels, width, 1, bias=False)
        self.norm2, self.conv2 = norm(width), nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm3, self.conv3 = norm(width), nn.Conv2d(width, channels, 1, bias=False)
        self.shortcut = None
        if stride > 1 or in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, channels, H / stride, W / stride), rounded up."""
        activated = F.relu(self.norm1(x), inplace=True)
        y = self.conv1(activated)
        y = self.conv2(F.relu(self.norm2(y), inplace=True))
        y = self.conv3(F.relu(self.norm3(y), inplace=True))
        return y + (x if self.shortcut is None else self.shortcut(activated))


def _units(count: int, channels: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(*(ResidualUnit(channels, channels, norm) for _ in range(count)))


class Hourglass(nn.Module):
    """Down by `poolings` poolings and up again, with a skip connection at every size but the smallest."""

    def __init__(self, channels: int, poolings: int, norm: Norm) -> None:
        super().__init__()
        self.pools = poolings > 0
        self.down = _units(R, channels, norm)
        self.skip = self.inner = None
        if poolings > 1:
            self.skip = ResidualUnit(channels, channels, norm)
            self.inner = Hourglass(channels, poolings - 1, norm)
        self.up = _units(R, channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        y = self.down(F.max_pool2d(x, 3, stride=2, padding=1) if self.pools else x)
        if self.inner is not None:
            y = self.skip(y) + self.inner(y)
        y = self.up(y)
        if not self.pools:
            return y
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


class AttentionModule(nn.Module):
    """A trunk T of residual units, and a mask M in (0, 1) for each of its entries: (1 + M) T.

    The 1 keeps features alive through many modules, where masks alone would fade them (section 3.2); the
    mask is the paper's mixed attention, a sigmoid without constraints (section 3.3).
    """

    def __init__(self, channels: int, poolings: int, norm: Norm) -> None:
        super().__init__()
        self.before = _units(P, channels, norm)
        self.trunk = _units(T, channels, norm)
        self.hourglass = Hourglass(channels, poolings, norm)
        self.to_mask = nn.Sequential(
            *(norm(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1, bias=False)),
            *(norm(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1, bias=False)),
        )
        self.after = _units(P, channels, norm)

    def mask(self, x: Tensor) -> Tensor:
        """M of what `before` gives: (B, C, H, W) to the same shape, each entry in (0, 1)."""
        return torch.sigmoid(self.to_mask(self.hourglass(x)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        x = self.before(x)
        trunk = self.trunk(x)
        return self.after(torch.addcmul(trunk, self.mask(x), trunk))  # (1 + M) T


class ResidualAttention(nn.Module):
    """(B, 3, H, W) to (B, out_channels, H / 32, W / 32), rounded up; H / 4 and W / 4 if `small_images`."""

    def __init__(self, form: Form, norm: Norm) -> None:
        super().__init__()
        self.out_channels = form.channels[-1]
        kernel, stride = (3, 1) if form.small_images else (7, 2)
        self.stem = nn.Sequential(
            nn.Conv2d(3, form.stem, kernel, stride, padding=kernel // 2, bias=False),
            norm(form.stem),
            nn.ReLU(inplace=True),
        )
        if not form.small_images:
            self.stem.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.stages = nn.Sequential()
        before = form.stem
        strides = (1, 2, 2, 1 if form.small_images else 2)
        for stage, (channels, stride) in enumerate(zip(form.channels, strides, strict=True)):
            layers = [ResidualUnit(before, channels, norm, stride)]
            if stage < len(form.modules):
                poolings = form.poolings[stage]
                layers += [AttentionModule(channels, poolings, norm) for _ in range(form.modules[stage])]
            else:
                layers += _units(2, channels, norm)
            self.stages.append(nn.Sequential(*layers))
            before = channels
        self.last_norm = norm(before)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, out_channels, h, w)."""
        return F.relu(self.last_norm(self.stages(self.stem(image))), inplace=True)
