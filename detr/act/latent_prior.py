"""Which codes are likely: the autoregressive prior of ACT with a `CodeLatent`.

Source: `Latent_Model_Transformer` of ACT++, detr/models/latent_model.py: three causal blocks of width 256,
one code after another, whatever is observed. Differs in that its blocks are torch's, with pre-norm.
"""

import torch
from torch import Tensor, nn

from detr.act.latent import draw_codes


class LatentPrior(nn.Module):
    """Probability of each code given those before it.

    Args:
        classes: number of codes.
        values: how many each can have.
    """

    def __init__(
        self, classes: int, values: int, dim: int = 256, heads: int = 8, layers: int = 3, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.classes, self.values = classes, values
        self.embed = nn.Embedding(values + 1, dim)  # the last one marks the start
        self.place = nn.Parameter(0.02 * torch.randn(classes, dim))
        block = nn.TransformerEncoderLayer(
            dim, heads, 4 * dim, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.head = nn.Linear(dim, values)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits (B, n + 1, values) of the first codes, up to the one after those given, (B, n < classes)."""
        start = codes.new_full((len(codes), 1), self.values)
        tokens = self.embed(torch.cat([start, codes], dim=1))  # (B, n + 1, d)
        n = tokens.shape[1]
        earlier = nn.Transformer.generate_square_subsequent_mask(n, tokens.device, tokens.dtype)
        return self.head(self.blocks(tokens + self.place[:n], mask=earlier, is_causal=True))

    def loss(self, codes: Tensor) -> Tensor:
        """Mean cross entropy (nats per code) of codes (B, classes)."""
        return nn.functional.cross_entropy(self(codes[:, :-1]).transpose(1, 2), codes)

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """What `generate` needs, (samples, classes): uniform numbers."""
        return torch.rand((samples, self.classes), generator=generator, device=self.place.device)

    def generate(self, noise: Tensor) -> Tensor:
        """Draw codes (samples, classes), without dropout.

        Each goes through the blocks once: the keys and values of those before it are kept.
        """
        code = torch.full((len(noise), 1), self.values, device=noise.device)  # the start
        codes: list[Tensor] = []
        kept: dict[int, Tensor] = {}  # by block
        for number in range(self.classes):
            x = self.embed(code) + self.place[number]  # (samples, 1, d)
            for i, block in enumerate(self.blocks.layers):
                x, kept[i] = _follow(block, x, kept.get(i))
            probs = self.head(self.blocks.norm(x)).softmax(dim=-1)  # (samples, 1, values)
            code = draw_codes(probs, noise[:, number, None])  # (samples, 1)
            codes.append(code)
        return torch.cat(codes, dim=1)


def _follow(block: nn.TransformerEncoderLayer, x: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
    """What a block makes of a token (B, 1, d), given the keys and values (2, B, heads, n, d/heads) of those
    before it; and these with its own, (2, B, heads, n + 1, d/heads).
    """
    attention = block.self_attn
    projected = nn.functional.linear(block.norm1(x), attention.in_proj_weight, attention.in_proj_bias)
    by_head = projected.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    kept = by_head[1:] if kept is None else torch.cat([kept, by_head[1:]], dim=3)
    mixed = nn.functional.scaled_dot_product_attention(by_head[0], kept[0], kept[1])  # (B, heads, 1, d/heads)
    x = x + attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return x + block.linear2(block.activation(block.linear1(block.norm2(x)))), kept
