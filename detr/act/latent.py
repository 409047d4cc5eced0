"""What ACT's CVAE squeezes a chunk of actions through: a Gaussian, or codes (ACT++).

Both take what the encoder says of a chunk, `info` (B, info_dim), and give a vector (B, dim) for the decoder.
"""

import torch
from torch import Tensor, nn

MOMENTUM = 0.01  # of the running mean of how often a code has each value


class GaussianLatent(nn.Module):
    """Independent normal numbers (Kingma and Welling 2014; Zhao et al. 2023, appendix C).

    `info` is their mean and log variance, side by side.
    """

    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.dim, self.info_dim = dim, 2 * dim

    def draw_noise(self, samples: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        """What `sample` needs, (samples, dim)."""
        return torch.randn((samples, self.dim), generator=generator, device=device)

    def sample(self, info: Tensor, noise: Tensor) -> Tensor:
        """(B, dim); gradients reach `info`."""
        return sample_gaussian(*info.chunk(2, dim=-1), noise)

    def likely(self, device: torch.device | str = "cpu") -> Tensor:
        """The vector (1, dim) to act with if none is given: the mean of the prior."""
        return torch.zeros(1, self.dim, device=device)

    def measures(self, info: Tensor) -> dict[str, Tensor]:
        """Measures of a batch: `kl`, which is also a part of the loss."""
        return {"kl": kl_divergence(*info.chunk(2, dim=-1))}


class CodeLatent(nn.Module):
    """Codes, each of which has one of several values (ACT++, detr/models/detr_vae.py: the VQ variant).

    The decoder gets them one-hot. Gradients pass straight through to the probabilities (Bengio et al. 2013,
    arXiv:1308.3432). `info` holds the logits.

    Args:
        classes: number of codes (ACT++'s vq_class).
        values: how many each can have (ACT++'s vq_dim).
    """

    def __init__(self, classes: int = 32, values: int = 32) -> None:
        super().__init__()
        if classes < 1 or values < 2:
            raise ValueError(
                f"classes is {classes}, values {values}; it needs at least one code of two values"
            )
        self.classes, self.values = classes, values
        self.dim = self.info_dim = classes * values
        self.register_buffer("frequencies", torch.full((classes, values), 1 / values))

    def draw_noise(self, samples: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        """What `sample` needs, (samples, classes)."""
        return torch.rand((samples, self.classes), generator=generator, device=device)

    def probabilities(self, info: Tensor) -> Tensor:
        """(B, classes, values) float32 of logits (B, info_dim)."""
        return info.float().unflatten(-1, (self.classes, self.values)).softmax(dim=-1)

    def sample(self, info: Tensor, noise: Tensor) -> Tensor:
        """(B, dim), one-hot; gradients reach `info`."""
        probs = self.probabilities(info)
        if self.training:
            self.frequencies.lerp_(probs.detach().mean(dim=0), MOMENTUM)
        one_hot = self.one_hot(draw_codes(probs.detach(), noise))
        return one_hot + (probs - probs.detach()).flatten(1)

    def one_hot(self, codes: Tensor) -> Tensor:
        """(B, dim) float32 of codes (B, classes)."""
        return nn.functional.one_hot(codes, self.values).float().flatten(1)

    def likely(self, device: torch.device | str = "cpu") -> Tensor:
        """The vector (1, dim) to act with if none is given: each code's most frequent value."""
        return self.one_hot(self.frequencies.argmax(dim=-1)[None]).to(device)

    def measures(self, info: Tensor) -> dict[str, Tensor]:
        """Measures of a batch: `vq_discrepancy`, the expected mean distance (L1) between codes and
        probabilities.
        """
        probs = self.probabilities(info)
        return {"vq_discrepancy": 2 * (1 - probs.square().sum(dim=-1)).mean() / self.values}


def draw_codes(probs: Tensor, noise: Tensor) -> Tensor:
    """Codes (B, classes) with probabilities (B, classes, values), by uniform numbers (B, classes)."""
    below = (probs.cumsum(dim=-1) <= noise.to(probs)[..., None]).sum(dim=-1)
    return below.clamp(max=probs.shape[-1] - 1)  # the sum of all may fall short of one by rounding


def sample_gaussian(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Draw from N(mu, exp(logvar)) by standard normal numbers, so that gradients reach both; any shape."""
    return mu + (logvar / 2).exp() * noise.to(mu)


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) of (B, latent_dim): summed over the latent, mean over the batch."""
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1).mean()
