"""A U-Net over time that tells a sequence of actions from the noise in it, given the observations.

Source: Chi et al. 2023, "Diffusion Policy: Visuomotor Policy Learning via Action Diffusion",
arXiv:2303.04137, section III; diffusion_policy, model/diffusion/conditional_unet1d.py. Differences:

- FiLM's scale is 1 + s instead of s, so that a block passes its input on before it has learned anything;
- sequences of any length: they are padded with zeros to a multiple of the down-sampling, and cut again.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detr.names import UNET_GROUPS


class StepEmbedding(nn.Module):
    """Diffusion steps or times (B,) to vectors (B, dim): their sines and cosines, and a small MLP."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim % 2 or dim < 4:
            raise ValueError(f"the width of the step's embedding is {dim}; it must be even and at least 4")
        half = dim // 2
        frequencies = torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        self.register_buffer("frequencies", frequencies, persistent=False)  # (dim / 2,), from 1 to 1e-4
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.Mish(), nn.Linear(4 * dim, dim))

    def forward(self, timesteps: Tensor) -> Tensor:
        angles = timesteps[:, None].float() * self.frequencies  # (B, dim / 2)
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=-1))


class ConvBlock(nn.Sequential):
    """Convolution over time, group norm, Mish: (B, in_channels, T) to (B, out_channels, T)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(
            nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2),
            nn.GroupNorm(UNET_GROUPS, out_channels),
            nn.Mish(),
        )


class FiLMBlock(nn.Module):
    """Two convolution blocks, the condition between them, and a way around both.

    The condition scales and shifts each channel (FiLM: Perez et al. 2018, arXiv:1709.07871).
    """

    def __init__(self, in_channels: int, out_channels: int, cond_dim: int, kernel_size: int) -> None:
        super().__init__()
        self.first = ConvBlock(in_channels, out_channels, kernel_size)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(cond_dim, 2 * out_channels))
        self.second = ConvBlock(out_channels, out_channels, kernel_size)
        is_same = in_channels == out_channels
        self.around = nn.Identity() if is_same else nn.Conv1d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """x (B, in_channels, T) and cond (B, cond_dim) to (B, out_channels, T)."""
        scale, shift = self.film(cond)[..., None].chunk(2, dim=1)  # each (B, out_channels, 1)
        return self.second((1 + scale) * self.first(x) + shift) + self.around(x)


class ConditionalUNet(nn.Module):
    """What is actions and what is noise in a noisy chunk of actions; training says which of them it gives.

    Args:
        action_dim: width of an action.
        cond_dim: width of what was observed.
        down_dims: channels of each level, the finest first; each level has half the time steps of the one
            before it.
        kernel_size: of the convolutions; odd.
        step_dim: width of the diffusion step's embedding.

    Raises:
        ValueError: a size does not fit.
    """

    def __init__(
        self,
        action_dim: int,
        cond_dim: int,
        down_dims: Sequence[int] = (256, 512, 1024),
        kernel_size: int = 5,
        step_dim: int = 256,
    ) -> None:
        super().__init__()
        if not down_dims or min(down_dims) < 1 or any(dim % UNET_GROUPS for dim in down_dims):
            shown = " ".join(map(str, down_dims))
            raise ValueError(f"down_dims are {shown}; give one or more, each a multiple of {UNET_GROUPS}")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}; it must be odd")
        self.embed_step = StepEmbedding(step_dim)
        cond_dim += step_dim

        def block(in_channels: int, out_channels: int) -> FiLMBlock:
            return FiLMBlock(in_channels, out_channels, cond_dim, kernel_size)

        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        for before, dim in zip((action_dim, *down_dims), down_dims, strict=False):
            self.down.append(nn.ModuleList([block(before, dim), block(dim, dim)]))
        for dim in down_dims[:-1]:
            self.shrink.append(nn.Conv1d(dim, dim, 3, stride=2, padding=1))  # T to T / 2
        self.mid = nn.ModuleList([block(down_dims[-1], down_dims[-1]) for _ in range(2)])
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for dim, after in reversed(list(zip(down_dims[1:], down_dims, strict=False))):
            self.up.append(nn.ModuleList([block(2 * dim, after), block(after, after)]))
            self.grow.append(nn.ConvTranspose1d(after, after, 4, stride=2, padding=1))  # T / 2 to T
        self.head = nn.Sequential(
            ConvBlock(down_dims[0], down_dims[0], kernel_size), nn.Conv1d(down_dims[0], action_dim, 1)
        )

    def forward(self, actions: Tensor, timesteps: Tensor, cond: Tensor) -> Tensor:
        """What it says of noisy actions (B, chunk, action_dim), in that shape.

        Args:
            actions: (B, chunk, action_dim), of any chunk.
            timesteps: (B,), how noisy they are: steps of the diffusion, or times.
            cond: (B, cond_dim), what was observed.
        """
        cond = torch.cat([self.embed_step(timesteps), cond], dim=-1)  # (B, step_dim + cond_dim)
        length, factor = actions.shape[1], 2 ** len(self.shrink)
        x = nn.functional.pad(actions.transpose(1, 2), (0, -length % factor))  # (B, action_dim, T)
        skips = []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                x = block(x, cond)
            skips.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
        for block in self.mid:
            x = block(x, cond)
        for blocks, grow in zip(self.up, self.grow, strict=True):  # the finest level's skip is not used
            x = torch.cat([x, skips.pop()], dim=1)  # (B, 2 * dim, T / 2 ** level)
            for block in blocks:
                x = block(x, cond)
            x = grow(x)
        return self.head(x)[..., :length].transpose(1, 2)
