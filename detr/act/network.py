"""ACT: a conditional VAE that turns one observation into a chunk of actions.

Source: Zhao et al. 2023, "Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware", section IV and
appendix C; `DETRVAE` in ACT and ACT++, detr/models/detr_vae.py. Differences:

- all decoder layers are used; upstream computes seven and takes the first one's output;
- no `is_pad_head`, which nothing upstream trains;
- without the CVAE its parts do not exist; the latent's token is one learned vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detr.act.latent import CodeLatent, GaussianLatent
from detr.act.position_encoding import sine_position_2d, sinusoid_table
from detr.act.transformer import Encoder, Transformer


@dataclass(frozen=True)
class ACTSizes:
    """Sizes of ACT's parts."""

    state_dim: int  # width of `qpos`
    action_dim: int
    chunk_size: int  # actions predicted at once
    hidden_dim: int = 512  # width of the tokens, a multiple of 4 and of `nheads`
    dim_feedforward: int = 3200
    nheads: int = 8
    enc_layers: int = 4  # of the observation's encoder, and of the CVAE's
    dec_layers: int = 1
    dropout: float = 0.1


class ACT(nn.Module):
    """Action chunking with transformers.

    Args:
        backbones: one per camera, in the cameras' order, or a single one for all cameras; each maps
            (B, 3, H, W) to (B, out_channels, h, w). Upstream gives every camera the same positions, and so do
            we: with a shared backbone the network cannot tell the cameras apart, except by what they see.
        sizes: of its parts.
        latent: what the CVAE squeezes the actions through; None leaves a plain regression.

    Raises:
        ValueError: the backbones differ in `out_channels`, or a size does not fit.
    """

    def __init__(
        self,
        backbones: Sequence[nn.Module],
        sizes: ACTSizes,
        latent: GaussianLatent | CodeLatent | None = None,
    ) -> None:
        super().__init__()
        channels = {backbone.out_channels for backbone in backbones}
        if len(channels) != 1:
            raise ValueError(f"the backbones must agree in out_channels, got {sorted(channels)}")
        if sizes.dec_layers < 1:
            raise ValueError(f"dec_layers must be at least 1, got {sizes.dec_layers}")
        dim, heads, width, dropout = sizes.hidden_dim, sizes.nheads, sizes.dim_feedforward, sizes.dropout
        self.backbones = nn.ModuleList(backbones)
        self.input_proj = nn.Conv2d(channels.pop(), dim, kernel_size=1)
        self.input_proj_robot_state = nn.Linear(sizes.state_dim, dim)
        self.additional_pos_embed = nn.Embedding(2, dim)  # latent, proprioception
        self.query_embed = nn.Embedding(sizes.chunk_size, dim)
        self.transformer = Transformer(dim, heads, width, sizes.enc_layers, sizes.dec_layers, dropout)
        self.action_head = nn.Linear(dim, sizes.action_dim)

        self.latent = latent
        if latent is not None:
            self.encoder = Encoder(sizes.enc_layers, dim, heads, width, dropout)
            self.cls_embed = nn.Embedding(1, dim)
            self.encoder_joint_proj = nn.Linear(sizes.state_dim, dim)
            self.encoder_action_proj = nn.Linear(sizes.action_dim, dim)
            self.latent_proj = nn.Linear(dim, latent.info_dim)
            self.latent_out_proj = nn.Linear(latent.dim, dim)
        else:  # what is left of latent_out_proj when the latent is always zero: its bias
            self.latent_token = nn.Parameter(torch.zeros(dim))

    def encode(self, qpos: Tensor, actions: Tensor, is_pad: Tensor | None = None) -> Tensor:
        """What the CVAE's encoder says of the latent, given the actions that were taken.

        Args:
            qpos: (B, state_dim), normalised.
            actions: (B, chunk, action_dim), normalised.
            is_pad: (B, chunk) bool, True past the end of the episode.

        Returns:
            (B, latent.info_dim) float32.
        """
        cls = self.cls_embed.weight.expand(len(qpos), 1, -1)  # (B, 1, d)
        joints = self.encoder_joint_proj(qpos)[:, None]  # (B, 1, d)
        tokens = torch.cat([cls, joints, self.encoder_action_proj(actions)], dim=1)  # (B, 2 + chunk, d)
        pos = sinusoid_table(tokens.shape[1], tokens.shape[2], tokens.device)
        padding = None if is_pad is None else nn.functional.pad(is_pad, (2, 0), value=False)  # (B, 2 + chunk)
        summary = self.encoder(tokens, pos, padding, wanted=1)[:, 0]  # (B, d), at the CLS token
        return self.latent_proj(summary).float()

    def forward(
        self,
        qpos: Tensor,
        images: Tensor,
        actions: Tensor | None = None,
        is_pad: Tensor | None = None,
        noise: Tensor | None = None,
        latent: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Predict a chunk of actions; the latent is encoded from `actions`, or else given, or the likely one.

        Args:
            qpos: (B, state_dim), normalised.
            images: (B, cameras, 3, H, W), ImageNet-normalised.
            actions: (B, chunk, action_dim), normalised; only for training.
            is_pad: (B, chunk) bool, True at actions past the end of the episode.
            noise: from `latent.draw_noise`; drawn here if not given.
            latent: (B, latent.dim), for use without actions; `latent.likely()` if not given.

        Returns:
            actions (B, chunk, action_dim), normalised; what `encode` returned, or None without `actions` or
            without the CVAE.

        Raises:
            ValueError: the number of cameras is not that of the backbones.
        """
        info = None
        if self.latent is None:
            token = self.latent_token.expand(len(qpos), -1)  # (B, d)
        elif actions is None:
            latent = (
                self.latent.likely(qpos.device).to(qpos).expand(len(qpos), -1) if latent is None else latent
            )
            token = self.latent_out_proj(latent)  # (B, d)
        else:
            info = self.encode(qpos, actions, is_pad)
            noise = self.latent.draw_noise(len(qpos), None, qpos.device) if noise is None else noise
            token = self.latent_out_proj(self.latent.sample(info, noise))  # (B, d)

        image_tokens, image_pos = self.embed_images(images)
        vectors = torch.stack([token, self.input_proj_robot_state(qpos)], dim=1)  # (B, 2, d)
        tokens = torch.cat([vectors, image_tokens], dim=1)  # (B, 2 + N, d)
        pos = torch.cat([self.additional_pos_embed.weight, image_pos])  # (2 + N, d)
        hidden = self.transformer(tokens, pos, self.query_embed.weight)  # (B, chunk, d)
        return self.action_head(hidden), info

    def embed_images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Turn images (B, cameras, 3, H, W) into tokens (B, N, d) at positions (N, d), by camera."""
        maps = [self.input_proj(x) for x in camera_maps(self.backbones, images)]
        return map_tokens(maps, len(images)), map_positions(maps, len(images))


def camera_maps(backbones: Sequence[nn.Module], images: Tensor) -> list[Tensor]:
    """What the backbones see in images (B, cameras, 3, H, W): a map (B, C, h, w) for each camera, or a single
    one (B * cameras, C, h, w).

    ValueError if the number of cameras is not that of the backbones.
    """
    if len(backbones) == 1:  # all cameras in one batch
        return [backbones[0](images.flatten(0, 1))]
    if len(backbones) == images.shape[1]:
        return [backbone(image) for backbone, image in zip(backbones, images.unbind(1), strict=True)]
    raise ValueError(f"{images.shape[1]} cameras given, but {len(backbones)} backbones")


def map_tokens(maps: Sequence[Tensor], samples: int) -> Tensor:
    """The cells of maps as tokens (B, N, C) of B samples, camera after camera.

    Upstream joins the cameras' maps side by side and so orders tokens by row first; attention does not see
    order. Under channels-last all reshapes here are views.
    """
    return torch.cat([x.flatten(2).transpose(1, 2).reshape(samples, -1, x.shape[1]) for x in maps], dim=1)


def map_positions(maps: Sequence[Tensor], samples: int) -> Tensor:
    """Where the tokens of `map_tokens` are, (N, C)."""
    each = [sine_position_2d(*x.shape[2:], x.shape[1], x.device).repeat(len(x) // samples, 1) for x in maps]
    return torch.cat(each)
