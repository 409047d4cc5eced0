"""The transformer of DETR as ACT uses it: post-norm, positions added to queries and keys in every layer.

Sources: Vaswani et al. 2017, "Attention Is All You Need"; Carion et al. 2020, "End-to-End Object Detection
with Transformers"; DETR, models/transformer.py, and its copy in ACT, detr/models/transformer.py. Parameters
have the names and shapes they have there, so weights pass both ways. Differences:

- batch first: (B, N, d) instead of (N, B, d);
- attention is one fused kernel that never holds the (N, N) weights, or on a CPU plain products where there
  are few keys; hence
- no dropout on attention weights: with it the CPU falls back on a kernel that holds them. The attention's
  output, the hidden layer and the feed-forward output have theirs as in DETR;
- no pre-norm variant and no intermediate outputs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW_KEYS = 16  # up to which plain products are faster on a CPU than the fused kernel; it is made for many


class Attention(nn.Module):
    """Multi-head attention with the parameters of `nn.MultiheadAttention`.

    Args:
        dim: width of the tokens.
        heads: number of heads; must divide `dim`.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"hidden_dim {dim} cannot be split over {heads} heads")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))  # queries, keys, values
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None = None) -> Tensor:
        """Attend from `query` to `key` and `value`.

        Args:
            query: (B, Q, d), or (1, Q, d) if all samples have the same.
            key, value: (B, N, d).
            padding: (B, N) bool, True at tokens to ignore; every row needs a False.

        Returns:
            (B, Q, d).
        """
        dim = query.shape[-1]
        q, k = self._queries_and_keys(query, key)  # (B or 1, heads, Q, d/heads), (B, heads, N, d/heads)
        v = self._by_head(F.linear(value, self.in_proj_weight[2 * dim :], self.in_proj_bias[2 * dim :]))
        visible = None if padding is None else ~padding[:, None, None, :]  # (B, 1, 1, N)
        out = attend(q, k, v, FEW_KEYS, visible)  # (B, heads, Q, d/heads)
        return self.out_proj(out.transpose(1, 2).flatten(2))  # (B, Q, d)

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """How much each query (B, Q, d) looks at each key (B, N, d): (B, heads, Q, N), 1 in sum over N."""
        return _weights(*self._queries_and_keys(query, key))

    def _by_head(self, x: Tensor) -> Tensor:
        """(B, N, d) to (B, heads, N, d/heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _queries_and_keys(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Projected, by head."""
        dim = query.shape[-1]
        if query is key:  # self-attention: one product makes both
            q, k = F.linear(query, self.in_proj_weight[: 2 * dim], self.in_proj_bias[: 2 * dim]).chunk(
                2, dim=-1
            )
        else:
            q = F.linear(query, self.in_proj_weight[:dim], self.in_proj_bias[:dim])
            k = F.linear(key, self.in_proj_weight[dim : 2 * dim], self.in_proj_bias[dim : 2 * dim])
        return self._by_head(q), self._by_head(k)


def attend(q: Tensor, k: Tensor, v: Tensor, few_keys: int, visible: Tensor | None = None) -> Tensor:
    """Attention by head: q (B or 1, heads, Q, d/heads), k and v (B, heads, N, d/heads) to q's shape, with B.

    By plain products on a CPU for up to `few_keys` keys, unless only those `visible` (B, 1, 1, N) count.
    """
    if visible is None and k.shape[2] <= few_keys and k.device.type == "cpu":
        return _weights(q, k).to(v.dtype) @ v
    return F.scaled_dot_product_attention(q.expand(len(k), -1, -1, -1), k, v, attn_mask=visible)


def _weights(q: Tensor, k: Tensor) -> Tensor:
    """(B or 1, heads, Q, d/heads) and (B, heads, N, d/heads) to (B, heads, Q, N)."""
    return torch.softmax(q * q.shape[3] ** -0.5 @ k.transpose(2, 3), dim=3)


class Dropout(nn.Dropout):
    """`nn.Dropout`; on a CPU one random byte per number decides, several times faster than a float each.

    The rate is therefore rounded to a multiple of 1/256, and the scale fits it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        dropped = round(256 * self.p)
        is_plain = not self.training or x.device.type != "cpu" or not 0 < dropped < 256
        if is_plain or torch.compiler.is_compiling():  # which makes one loop of it, and knows no random bytes
            return super().forward(x)
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        keep = words.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * keep.to(x.dtype).mul_(256 / (256 - dropped))


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward network, each added to its input and normalised."""

    def __init__(self, dim: int, heads: int, dim_feedforward: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.linear1 = nn.Linear(dim, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Tensor, pos: Tensor, padding: Tensor | None = None, wanted: int | None = None
    ) -> Tensor:
        """(B, N, d) to (B, N, d), or to the first `wanted` of them; `pos` (N, d), `padding` (B, N) bool."""
        key = x + pos
        query = key if wanted is None else key[:, :wanted]
        mixed = self.self_attn(query, key, x, padding)
        x = self.norm1(x[:, :wanted] + self.dropout(mixed))
        hidden = self.dropout(F.relu(self.linear1(x)))  # (B, N, dim_feedforward)
        return self.norm2(x + self.dropout(self.linear2(hidden)))


class DecoderLayer(nn.Module):
    """Self-attention among the queries, attention to the memory, a feed-forward network.

    DETR's queries start as zeros. The values of the first layer's self-attention are then all the same, and
    so is its output, whatever the weights: we keep that one vector, `start`, and compute no attention. Until
    dropout or the memory tells the samples apart, they are computed as one.
    """

    def __init__(self, dim: int, heads: int, dim_feedforward: int, dropout: float, is_first: bool) -> None:
        super().__init__()
        if is_first:
            self.start = nn.Parameter(torch.zeros(dim))
        else:
            self.self_attn = Attention(dim, heads)
        self.is_first = is_first
        self.multihead_attn = Attention(dim, heads)
        self.linear1 = nn.Linear(dim, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, query_pos: Tensor, memory: Tensor, memory_key: Tensor) -> Tensor:
        """(B, Q, d) to (B, Q, d); `query_pos` (Q, d), `memory`, `memory_key` (with positions) (B, N, d).

        The first layer takes the zeros (1, Q, d) that all samples begin with.
        """
        if self.is_first:
            x = self._begin(x, len(memory))
        else:
            query = x + query_pos
            x = self.norm1(x + self.dropout(self.self_attn(query, query, x)))
        x = self.norm2(x + self.dropout(self.multihead_attn(x + query_pos, memory_key, memory)))
        hidden = self.dropout(F.relu(self.linear1(x)))  # (B, Q, dim_feedforward)
        return self.norm3(x + self.dropout(self.linear2(hidden)))

    def _begin(self, zeros: Tensor, samples: int) -> Tensor:
        """What the first self-attention makes of `zeros` (1, Q, d): (samples, Q, d) if dropout changes each,
        else (1, Q, d).
        """
        drops = self.training and self.dropout.p > 0
        mixed = self.start.expand(samples if drops else 1, *zeros.shape[1:])
        return self.norm1(zeros + self.dropout(mixed))


class Encoder(nn.Module):
    """A stack of encoder layers."""

    def __init__(self, layers: int, dim: int, heads: int, dim_feedforward: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(dim, heads, dim_feedforward, dropout) for _ in range(layers))
        init_xavier(self)

    def forward(
        self, x: Tensor, pos: Tensor, padding: Tensor | None = None, wanted: int | None = None
    ) -> Tensor:
        """(B, N, d) to (B, N, d); `pos` (N, d), `padding` (B, N) bool, True where there is nothing.

        With `wanted`, only the first so many tokens are returned, and the last layer computes no others.
        """
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, pos, padding, wanted if number == len(self.layers) else None)
        return x


class Decoder(nn.Module):
    """A stack of decoder layers that starts from zeros, and a norm at its end."""

    def __init__(self, layers: int, dim: int, heads: int, dim_feedforward: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(dim, heads, dim_feedforward, dropout, is_first=i == 0) for i in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        init_xavier(self)

    def forward(self, query_pos: Tensor, memory: Tensor, pos: Tensor) -> Tensor:
        """Read answers (B, Q, d) to `query_pos` (Q, d) out of `memory` (B, N, d) at `pos` (N, d)."""
        x = memory.new_zeros(1, *query_pos.shape)  # (1, Q, d)
        memory_key = memory + pos
        for layer in self.layers:
            x = layer(x, query_pos, memory, memory_key)
        return self.norm(x)


class Transformer(nn.Module):
    """Encoder over the observation, decoder that reads one token per query out of it."""

    def __init__(
        self,
        dim: int,
        heads: int,
        dim_feedforward: int,
        enc_layers: int,
        dec_layers: int,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(enc_layers, dim, heads, dim_feedforward, dropout)
        self.decoder = Decoder(dec_layers, dim, heads, dim_feedforward, dropout)

    def forward(self, tokens: Tensor, pos: Tensor, query_pos: Tensor) -> Tensor:
        """`tokens` (B, N, d) at `pos` (N, d), asked by `query_pos` (Q, d), to (B, Q, d)."""
        return self.decoder(query_pos, self.encoder(tokens, pos), pos)


def init_xavier(module: nn.Module) -> None:
    """Draw all matrices of `module` as `Transformer._reset_parameters` in DETR does."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
