"""CNNMLP: the baseline of ACT, which predicts one action at a time.

Source: Zhao et al. 2023, section V (BC-ConvMLP); `CNNMLP` in ACT, detr/models/detr_vae.py. It differs in
that the three convolutions that shrink a camera's map are padded, and their result pooled to the 3 x 8 cells
that upstream has for 480 x 640 images: so images and backbones of any size fit.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELLS = (3, 8)  # height, width of a camera's map as the MLP sees it
WIDTHS = (128, 64, 32)  # channels of the convolutions that shrink it


def mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers from each size to the next, with ReLU between them."""
    layers = [nn.Linear(before, after) for before, after in zip(sizes, sizes[1:], strict=False)]
    return nn.Sequential(*(part for layer in layers[:-1] for part in (layer, nn.ReLU())), layers[-1])


class CNNMLP(nn.Module):
    """Convolutional features of each camera, and the state, to one action.

    Args:
        backbones: one per camera, in the cameras' order, or a single one for all cameras; each maps
            (B, 3, H, W) to (B, out_channels, h, w).
        cameras: how many there are.
        state_dim, action_dim: width of `qpos` and of an action.
        hidden_dim, hidden_depth: width and number of the MLP's hidden layers.
    """

    def __init__(
        self,
        backbones: Sequence[nn.Module],
        cameras: int,
        state_dim: int,
        action_dim: int,
        hidden_dim: int = 1024,
        hidden_depth: int = 2,
    ) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones)
        self.down_projs = nn.ModuleList(
            _down_proj(self._backbone(camera).out_channels) for camera in range(cameras)
        )
        width = cameras * WIDTHS[-1] * CELLS[0] * CELLS[1] + state_dim
        self.mlp = mlp([width, *[hidden_dim] * hidden_depth, action_dim])

    def _backbone(self, camera: int) -> nn.Module:
        return self.backbones[camera if len(self.backbones) > 1 else 0]

    def forward(self, qpos: Tensor, images: Tensor) -> Tensor:
        """(B, D) and (B, cameras, 3, H, W), both normalised, to (B, A)."""
        features = [
            down_proj(self._backbone(camera)(images[:, camera])).flatten(1)  # (B, 32 * 3 * 8)
            for camera, down_proj in enumerate(self.down_projs)
        ]
        return self.mlp(torch.cat([*features, qpos], dim=1))


class _Padded(nn.Conv2d):
    """A convolution that keeps the size of a map. It pads in a step of its own: where rows of the kernel
    meet only padding, as on maps one row high, oneDNN in bf16 leaves their gradient uninitialised, even NaN.
    """

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(F.pad(images, [self.kernel_size[0] // 2] * 4))


def _down_proj(channels: int) -> nn.Sequential:
    """(B, channels, h, w) to (B, 32, 3, 8); no nonlinearity, as in ACT."""
    widths = (channels, *WIDTHS)
    convs = [_Padded(a, b, 5) for a, b in zip(widths, widths[1:], strict=False)]
    return nn.Sequential(*convs, nn.AdaptiveAvgPool2d(CELLS))
