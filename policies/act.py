"""ACT."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cli
from detr.act import ACT
from detr.latent import CodeLatent, GaussianLatent
from detr.latent_prior import LatentPrior
from policies.base import Interface, Policy
from policies.vision import VisionConfig, make_backbones, pretrained_parameters, rebuilt
from stats import Stats
from utils import Batch


@dataclass(frozen=True)
class ACTConfig(VisionConfig):
    """Flags of ACT. Defaults as in the paper (Zhao et al. 2023, table III) but for dec_layers."""

    chunk_size: int = cli.flag(100, "actions predicted at once", least=1, most=10_000)
    kl_weight: float = cli.flag(10.0, "weight of the CVAE's divergence", least=0)
    hidden_dim: int = cli.flag(512, "width of the transformer", least=4, most=16_384)
    dim_feedforward: int = cli.flag(3200, "width of its feed-forward layers", least=1, most=65_536)
    nheads: int = cli.flag(8, "attention heads", least=1, most=1024)
    enc_layers: int = cli.flag(4, "encoder layers", least=1, most=100)
    dec_layers: int = cli.flag(1, "decoder layers (ACT computes seven and uses the first)", least=1, most=100)
    dropout: float = cli.flag(0.1, "dropout", least=0, below=1)
    no_encoder: bool = cli.flag(False, "leave the CVAE out: plain regression")
    use_vq: bool = cli.flag(
        False, "codes instead of the Gaussian latent; train_latent_model.py then adds a prior"
    )
    vq_class: int = cli.flag(32, "number of codes", least=1, most=4096)
    vq_dim: int = cli.flag(32, "values that each code can have", least=2, most=4096)

    def __post_init__(self) -> None:
        """ValueError for the first value that does not fit."""
        cli.check(self)
        if self.hidden_dim % math.lcm(4, self.nheads):
            raise ValueError(
                f"--hidden_dim is {self.hidden_dim}; it must be a multiple of 4 and of {self.nheads} heads"
            )
        if self.no_encoder and self.use_vq:
            raise ValueError(
                "--use_vq gives the CVAE codes, and --no_encoder leaves it out; give one of them"
            )


class ACTPolicy(Policy):
    """Action chunking with transformers (Zhao et al. 2023, arXiv:2304.13705; ACT: policy.py).

    Differs from ACT in that the loss is averaged over the action steps that exist, in all batches of an
    optimiser step alike (`valid_steps`); ACT divides by the padding too.

    With `use_vq` it acts with codes that its prior draws, once that is trained (train_latent_model.py), and
    until then with each code's most frequent value.
    """

    Config = ACTConfig

    def __init__(self, config: ACTConfig, interface: Interface, stats: Stats) -> None:
        super().__init__(config, interface, stats)
        self.network = ACT(
            backbones=make_backbones(config, interface.cameras),
            state_dim=interface.state_dim,
            action_dim=interface.action_dim,
            chunk_size=config.chunk_size,
            hidden_dim=config.hidden_dim,
            dim_feedforward=config.dim_feedforward,
            nheads=config.nheads,
            enc_layers=config.enc_layers,
            dec_layers=config.dec_layers,
            dropout=config.dropout,
            latent=self._make_latent(),
        )
        if config.use_vq:
            self.prior = LatentPrior(config.vq_class, config.vq_dim).requires_grad_(False)
            self.register_buffer("has_prior", torch.tensor(False))

    def _make_latent(self) -> GaussianLatent | CodeLatent | None:
        if self.config.no_encoder:
            return None
        return (
            CodeLatent(self.config.vq_class, self.config.vq_dim) if self.config.use_vq else GaussianLatent()
        )

    def rebuild_config(self) -> ACTConfig:
        return rebuilt(self.config, self.network.backbones[0])

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return pretrained_parameters(self.network.backbones)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        is_pad = batch["is_pad"]
        actions = self.normalise_actions(batch["actions"])
        predicted, info = self.network(
            self.normalise_qpos(batch["qpos"]),
            self.normalise_images(batch["images"]),
            actions,
            is_pad,
            batch.get("noise"),
        )
        errors = F.l1_loss(predicted.float(), actions, reduction="none").mean(dim=-1)  # (B, chunk)
        l1 = errors.masked_fill(is_pad, 0).sum() / batch.get("valid_steps", (~is_pad).sum())
        measures = {} if info is None else self.network.latent.measures(info)
        return {"loss": l1 + self.config.kl_weight * measures.get("kl", 0), "l1": l1, **measures}

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        if self.network.latent is None:
            return {}
        return {"noise": self.network.latent.draw_noise(samples, generator, self.device)}

    def after_step(self) -> None:
        if self.config.use_vq:
            self.has_prior.fill_(False)  # it was trained on codes that mean something else now

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        latent = None
        if self.config.use_vq and self.has_prior:
            latent = self.network.latent.one_hot(self.prior.generate(len(obs["qpos"]), generator))
        images = self.normalise_images(obs["images"])
        actions, _ = self.network(self.normalise_qpos(obs["qpos"]), images, latent=latent)
        return self.denormalise_actions(actions.float())
