"""Networks that only act: what they compute is what `ACT` and `Keypoints` do, but all that does not depend on
what is observed is computed once, weights are packed, and everything is in one type, without autocast.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from detr.act import (
    ACT,
    Attention,
    DecoderLayer,
    EncoderLayer,
    attend,
    camera_maps,
    map_positions,
    map_tokens,
)
from detr.acting.fused import fused
from detr.acting.packed import PackedLinear
from detr.backbones import Keypoints, cell_centres

PLAIN_KEYS = 1024  # up to which plain products are faster on a CPU than the fused kernel, at batch 1


def acting_backbone(backbone: nn.Module, image: Tensor, dtype: torch.dtype) -> nn.Module:
    """A backbone as `fused` makes it; arguments are its."""
    make = ActingKeypoints if isinstance(backbone, Keypoints) else fused
    acts = make(backbone, image, dtype)
    acts.out_channels = backbone.out_channels
    return acts


class ActingKeypoints(nn.Module):
    """`Keypoints`, for images of one size."""

    def __init__(self, keypoints: Keypoints, image: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        first, *between, norm = keypoints.convs
        conv = nn.Conv2d(3, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)
        conv.weight.data = keypoints.rgb_kernel()
        scaled = copy.copy(norm)
        scaled._parameters = {name: nn.Parameter(factor) for name, factor in keypoints.last_norm().items()}
        self._convs = fused(nn.Sequential(conv, *between, scaled), image, dtype)
        h, w = self._convs(image).shape[2:]
        self._centres = cell_centres(h, w, image.device).T.contiguous()  # (2, h * w)
        self._norm, self._to_tokens = keypoints.norm_points, keypoints.to_tokens
        self._out_channels = keypoints.out_channels

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, out_channels, 1, tokens) float32."""
        maps = self._convs(image)  # (B, C, h, w)
        with torch.autocast(image.device.type, enabled=False):
            places = torch.softmax(maps.flatten(2).transpose(1, 2).float(), dim=1)  # (B, h * w, C)
            points = (self._centres @ places).transpose(1, 2).flatten(1)  # (B, 2 * C)
            tokens = self._to_tokens(self._norm(points))  # (B, tokens * out_channels)
        return tokens.view(len(image), 1, -1, self._out_channels).permute(0, 3, 1, 2)


class _Attention(nn.Module):
    """`Attention` whose products and sums with positions, which never change, were computed before."""

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        super().__init__()
        self._heads = attention.heads
        self._out = PackedLinear(attention.out_proj.weight, attention.out_proj.bias, dtype)

    def _by_head(self, x: Tensor, count: int) -> tuple[Tensor, ...]:
        """(B, N, count * d) to `count` tensors (B, heads, N, d/heads)."""
        return x.unflatten(-1, (count, self._heads, -1)).permute(2, 0, 3, 1, 4).unbind()

    def _answer(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor) -> Tensor:
        """Attend, and add the result to x (B, Q, d)."""
        return self._out(attend(q, k, v, PLAIN_KEYS).transpose(1, 2).flatten(2), x)


class _SelfAttention(_Attention):
    """Attention among tokens at `pos` (N, d), added to them."""

    def __init__(self, attention: Attention, pos: Tensor, dtype: torch.dtype) -> None:
        super().__init__(attention, dtype)
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        self._in = PackedLinear(weight, bias, dtype)
        at_pos = pos @ weight.T  # (N, 3 * d)
        at_pos[:, -pos.shape[1] :] = 0  # values have no position
        self._at_pos = at_pos.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, d) to the same."""
        return self._answer(*self._by_head(self._in(x, self._at_pos), 3), x)


class _CrossAttention(_Attention):
    """Attention from queries at `query_pos` (Q, d) to a memory at `pos` (N, d), added to the queries."""

    def __init__(self, attention: Attention, query_pos: Tensor, pos: Tensor, dtype: torch.dtype) -> None:
        super().__init__(attention, dtype)
        dim = pos.shape[1]
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        self._query = PackedLinear(weight[:dim], bias[:dim], dtype)
        self._in = PackedLinear(weight[dim:], bias[dim:], dtype)  # keys and values
        self._at_query_pos = (query_pos @ weight[:dim].T).to(dtype)
        self._at_pos = nn.functional.pad(pos @ weight[dim : 2 * dim].T, (0, dim)).to(dtype)  # (N, 2 * d)

    def queries(self, x: Tensor) -> Tensor:
        """(B, Q, d) to (B, heads, Q, d/heads)."""
        return self._by_head(self._query(x, self._at_query_pos), 1)[0]

    def forward(self, x: Tensor, memory: Tensor, q: Tensor | None = None) -> Tensor:
        """x (B, Q, d) with what it reads out of memory (B, N, d); `q` is `queries(x)`."""
        q = self.queries(x) if q is None else q
        k, v = self._by_head(self._in(memory, self._at_pos), 2)
        return self._answer(q, k, v, x)


class _FeedForward(nn.Module):
    """The feed-forward network of a layer, added to its input."""

    def __init__(self, layer: EncoderLayer | DecoderLayer, dtype: torch.dtype) -> None:
        super().__init__()
        self._first = PackedLinear(layer.linear1.weight, layer.linear1.bias, dtype, relu=True)
        self._second = PackedLinear(layer.linear2.weight, layer.linear2.bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, d) to the same."""
        return self._second(self._first(x), x)


class _Encoder(nn.Module):
    """An encoder layer whose tokens are at `pos` (N, d)."""

    def __init__(self, layer: EncoderLayer, pos: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self._attention = _SelfAttention(layer.self_attn, pos, dtype)
        self._feed_forward = _FeedForward(layer, dtype)
        self._norm1, self._norm2 = layer.norm1, layer.norm2

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, d) to the same."""
        return self._norm2(self._feed_forward(self._norm1(self._attention(x))))


class _Decoder(nn.Module):
    """A decoder layer whose queries are at `query_pos` (Q, d), and its memory at `pos` (N, d)."""

    def __init__(self, layer: DecoderLayer, query_pos: Tensor, pos: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self._read = _CrossAttention(layer.multihead_attn, query_pos, pos, dtype)
        self._feed_forward = _FeedForward(layer, dtype)
        self._norm1, self._norm2, self._norm3 = layer.norm1, layer.norm2, layer.norm3
        self._start = self._queries = self._attention = None
        if layer.is_first:  # it begins with the same for all that is observed
            start = layer.norm1(layer.start.expand(1, *query_pos.shape))  # (1, Q, d)
            self._start = start.to(dtype).contiguous()
            self._queries = self._read.queries(self._start).contiguous()  # (1, heads, Q, d/heads)
        else:
            self._attention = _SelfAttention(layer.self_attn, query_pos, dtype)

    def forward(self, x: Tensor | None, memory: Tensor) -> Tensor:
        """x (B, Q, d), or None in the first layer, to the same."""
        if self._attention is None:
            x, q = self._start.expand(len(memory), -1, -1), self._queries.expand(len(memory), -1, -1, -1)
        else:
            x, q = self._norm1(self._attention(x)), None
        x = self._norm2(self._read(x, memory, q))
        return self._norm3(self._feed_forward(x))


class ActingACT(nn.Module):
    """`ACT`, for images of one size.

    Args:
        network: with weights as they shall be; its backbones may be of `acting_backbone`.
        images: (1, cameras, 3, H, W) float32, any values; of the size that it will see.
        dtype: it is computed in this type.
    """

    def __init__(self, network: ACT, images: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.latent = network.latent
        self.backbones = network.backbones
        projection = network.input_proj
        self._input_proj = PackedLinear(projection.weight.flatten(1), projection.bias, dtype)
        self._state = network.input_proj_robot_state
        self._latent_token = None if self.latent is None else network.latent_out_proj
        if self.latent is None:
            self._token = network.latent_token.detach()
        else:
            self._token = self._latent_token(self.latent.likely(images.device))[0]
        dim = len(projection.weight)
        maps = [x[:, :1].expand(-1, dim, -1, -1) for x in camera_maps(self.backbones, images)]
        pos = torch.cat([network.additional_pos_embed.weight, map_positions(maps, 1)])  # (2 + N, d)
        transformer, query_pos = network.transformer, network.query_embed.weight
        self._encoder = nn.Sequential(*(_Encoder(layer, pos, dtype) for layer in transformer.encoder.layers))
        self._decoder = nn.ModuleList(
            _Decoder(layer, query_pos, pos, dtype) for layer in transformer.decoder.layers
        )
        self._norm, self._action_head = transformer.decoder.norm, network.action_head
        self._dtype = dtype

    def forward(self, qpos: Tensor, images: Tensor, latent: Tensor | None = None) -> tuple[Tensor, None]:
        """As `ACT.forward` without actions; the chunk is float32."""
        with torch.autocast(images.device.type, enabled=False):
            token = self._token.expand(len(qpos), -1) if latent is None else self._latent_token(latent)
            vectors = torch.stack([token, self._state(qpos)], dim=1).to(self._dtype)  # (B, 2, d)
            seen = self._input_proj(map_tokens(camera_maps(self.backbones, images), len(images)))  # (B, N, d)
            memory = self._encoder(torch.cat([vectors, seen], dim=1))  # (B, 2 + N, d)
            x = None
            for layer in self._decoder:
                x = layer(x, memory)
            return self._action_head(self._norm(x).float()), None
