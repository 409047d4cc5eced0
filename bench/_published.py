"""ACT's network as published, out of torch's own modules, to be compared with ours.

Source: DETRVAE and Transformer in ACT, detr/models/detr_vae.py and transformer.py; `ACTPolicy` in policy.py.
Kept as there: sequence first; `nn.MultiheadAttention` called so that it materialises its weights, with
dropout on them; seven decoder layers whose outputs are stacked, of which the first is used, so that gradients
of zeros flow through the others; the head `is_pad`, which nothing trains; float32, images contiguous.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from constants import IMAGENET_MEAN, IMAGENET_STD
from detr import (
    ACTSizes,
    build_backbone,
    init_xavier,
    kl_divergence,
    sample_gaussian,
    sine_position_2d,
    sinusoid_table,
)
from utils import Batch

LATENT_DIM = 32
DROPOUT = 0.1
DEC_LAYERS = 7


class _FeedForward(nn.Module):
    """The second half of every layer."""

    def __init__(self, dim: int, dim_feedforward: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(dim, dim_feedforward), nn.Linear(dim_feedforward, dim)
        self.inner, self.outer = nn.Dropout(DROPOUT), nn.Dropout(DROPOUT)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.outer(self.linear2(self.inner(F.relu(self.linear1(x))))))


class PublishedEncoderLayer(nn.Module):
    """Self-attention and feed-forward network, (N, B, d) to (N, B, d)."""

    def __init__(self, dim: int, heads: int, dim_feedforward: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, dropout=DROPOUT)
        self.dropout, self.norm = nn.Dropout(DROPOUT), nn.LayerNorm(dim)
        self.feed_forward = _FeedForward(dim, dim_feedforward)

    def forward(self, x: Tensor, pos: Tensor, padding: Tensor | None = None) -> Tensor:
        query = x + pos
        attended = self.self_attn(query, query, x, key_padding_mask=padding, need_weights=True)[0]
        return self.feed_forward(self.norm(x + self.dropout(attended)))


class PublishedDecoderLayer(nn.Module):
    """Self-attention of the queries, attention to the memory, feed-forward network."""

    def __init__(self, dim: int, heads: int, dim_feedforward: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, dropout=DROPOUT)
        self.cross_attn = nn.MultiheadAttention(dim, heads, dropout=DROPOUT)
        self.dropout1, self.norm1 = nn.Dropout(DROPOUT), nn.LayerNorm(dim)
        self.dropout2, self.norm2 = nn.Dropout(DROPOUT), nn.LayerNorm(dim)
        self.feed_forward = _FeedForward(dim, dim_feedforward)

    def forward(self, x: Tensor, query_pos: Tensor, memory: Tensor, pos: Tensor) -> Tensor:
        query = x + query_pos
        x = self.norm1(x + self.dropout1(self.self_attn(query, query, x, need_weights=True)[0]))
        attended = self.cross_attn(x + query_pos, memory + pos, memory, need_weights=True)[0]
        return self.feed_forward(self.norm2(x + self.dropout2(attended)))


class PublishedACT(nn.Module):
    """ACT with one camera and its ResNet-18; takes normalised state and actions, and images in [0, 1]."""

    def __init__(
        self, state_dim: int = 14, chunk_size: int = 100, dec_layers: int = DEC_LAYERS, **others: int
    ) -> None:
        """`others` are of `ACTSizes`."""
        super().__init__()
        sizes = ACTSizes(state_dim, state_dim, chunk_size, dec_layers=dec_layers, **others)
        hidden_dim = sizes.hidden_dim
        widths = (hidden_dim, sizes.nheads, sizes.dim_feedforward)
        self.encoder = nn.ModuleList(PublishedEncoderLayer(*widths) for _ in range(sizes.enc_layers))
        self.cvae = nn.ModuleList(PublishedEncoderLayer(*widths) for _ in range(sizes.enc_layers))
        self.decoder = nn.ModuleList(PublishedDecoderLayer(*widths) for _ in range(dec_layers))
        for stack in (self.encoder, self.cvae, self.decoder):
            init_xavier(stack)
        self.decoder_norm = nn.LayerNorm(hidden_dim)
        self.backbone = build_backbone("resnet18", norm="frozen_bn", pretrained=True)
        self.input_proj = nn.Conv2d(self.backbone.out_channels, hidden_dim, kernel_size=1)
        self.input_proj_robot_state = nn.Linear(state_dim, hidden_dim)
        self.action_head, self.is_pad_head = nn.Linear(hidden_dim, state_dim), nn.Linear(hidden_dim, 1)
        self.query_embed = nn.Embedding(chunk_size, hidden_dim)
        self.additional_pos_embed = nn.Embedding(2, hidden_dim)
        self.cls_embed = nn.Embedding(1, hidden_dim)
        self.encoder_action_proj = nn.Linear(state_dim, hidden_dim)
        self.encoder_joint_proj = nn.Linear(state_dim, hidden_dim)
        self.latent_proj = nn.Linear(hidden_dim, 2 * LATENT_DIM)
        self.latent_out_proj = nn.Linear(LATENT_DIM, hidden_dim)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def _posterior(self, qpos: Tensor, actions: Tensor, is_pad: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent, (B, 32) each."""
        cls = self.cls_embed.weight[None].repeat(len(qpos), 1, 1)  # (B, 1, d)
        joints = self.encoder_joint_proj(qpos)[:, None]  # (B, 1, d)
        x = torch.cat([cls, joints, self.encoder_action_proj(actions)], dim=1).permute(
            1, 0, 2
        )  # (2 + chunk, B, d)
        pos = sinusoid_table(x.shape[0], x.shape[2])[:, None]
        padding = F.pad(is_pad, (2, 0), value=False)
        for layer in self.cvae:
            x = layer(x, pos, padding)
        return self.latent_proj(x[0]).chunk(2, dim=-1)

    def _decode(self, latent: Tensor, qpos: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Actions (B, chunk, D) and padding logits (B, chunk, 1) for an image (B, 3, H, W)."""
        features = self.input_proj(self.backbone((image - self.mean) / self.std))  # (B, d, h, w)
        batch, dim, h, w = features.shape
        vectors = torch.stack([latent, self.input_proj_robot_state(qpos)])  # (2, B, d)
        x = torch.cat([vectors, features.flatten(2).permute(2, 0, 1)])  # (2 + h * w, B, d)
        pos = torch.cat([self.additional_pos_embed.weight, sine_position_2d(h, w, dim)])[:, None].repeat(
            1, batch, 1
        )
        for layer in self.encoder:
            x = layer(x, pos)
        query_pos = self.query_embed.weight[:, None].repeat(1, batch, 1)  # (chunk, B, d)
        queries, outputs = torch.zeros_like(query_pos), []
        for layer in self.decoder:
            queries = layer(queries, query_pos, x, pos)
            outputs.append(self.decoder_norm(queries))
        hidden = torch.stack(outputs).transpose(1, 2)[0]  # (B, chunk, d), of the first layer: as published
        return self.action_head(hidden), self.is_pad_head(hidden)

    def loss(self, batch: Batch) -> Tensor:
        """ACT's loss for `qpos`, `images` (B, 1, 3, H, W), `actions` and `is_pad`."""
        mu, logvar = self._posterior(batch["qpos"], batch["actions"], batch["is_pad"])
        latent = self.latent_out_proj(sample_gaussian(mu, logvar, torch.randn_like(mu)))
        predicted, _ = self._decode(latent, batch["qpos"], batch["images"][:, 0])
        errors = F.l1_loss(predicted, batch["actions"], reduction="none")
        return (errors * ~batch["is_pad"][..., None]).mean() + 10 * kl_divergence(mu, logvar)

    def forward(self, qpos: Tensor, images: Tensor) -> Tensor:
        """Actions (B, chunk, D) for `qpos` (B, D) and `images` (B, 1, 3, H, W), the latent at zero."""
        latent = self.latent_out_proj(qpos.new_zeros(len(qpos), LATENT_DIM))
        return self._decode(latent, qpos, images[:, 0])[0]
