"""ACT."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cli
from detr.act import ACT, kl_divergence
from detr.backbone import BACKBONES, build_backbone, init_backbone
from policies.base import Interface, Policy
from stats import Stats
from utils import Batch


@dataclass(frozen=True)
class ACTConfig:
    """Flags of ACT. Defaults as in the paper (Zhao et al. 2023, table III) but for dec_layers."""

    chunk_size: int = cli.flag(100, "actions predicted at once")
    kl_weight: float = cli.flag(10.0, "weight of the CVAE's divergence")
    hidden_dim: int = cli.flag(512, "width of the transformer")
    dim_feedforward: int = cli.flag(3200, "width of its feed-forward layers")
    nheads: int = cli.flag(8, "attention heads")
    enc_layers: int = cli.flag(4, "encoder layers")
    dec_layers: int = cli.flag(1, "decoder layers (ACT computes seven and uses the first)")
    dropout: float = cli.flag(0.1, "dropout")
    no_encoder: bool = cli.flag(False, "leave the CVAE out: plain regression")
    backbone: str = cli.flag("resnet18", f"one of {', '.join(BACKBONES)}")
    backbone_weights: str = cli.flag("auto", "imagenet, none, a file, or auto: imagenet where it exists")
    norm: str | None = None  # of the backbone, as built; set when a policy is rebuilt
    share_backbone: bool = cli.flag(False, "one backbone for all cameras, as the original ACT; saves memory")
    pretrained: bool = False


class ACTPolicy(Policy):
    """Action chunking with transformers (Zhao et al. 2023, arXiv:2304.13705; ACT: policy.py).

    Differs from ACT in that the loss is averaged over the action steps that exist, in all batches of an
    optimiser step alike (`valid_steps`); ACT divides by the padding too.
    """

    Config = ACTConfig

    def __init__(self, config: ACTConfig, interface: Interface, stats: Stats) -> None:
        super().__init__(config, interface, stats)
        if config.hidden_dim % config.nheads:
            raise ValueError(
                f"--hidden_dim is {config.hidden_dim}; it must be a multiple of {config.nheads} heads"
            )
        self.network = ACT(
            backbones=self._build_backbones(),
            state_dim=interface.state_dim,
            action_dim=interface.action_dim,
            chunk_size=config.chunk_size,
            hidden_dim=config.hidden_dim,
            dim_feedforward=config.dim_feedforward,
            nheads=config.nheads,
            enc_layers=config.enc_layers,
            dec_layers=config.dec_layers,
            dropout=config.dropout,
            use_encoder=not config.no_encoder,
        )

    def _build_backbones(self) -> list[nn.Module]:
        count = 1 if self.config.share_backbone else len(self.interface.cameras)
        if self.config.norm is None:
            return [init_backbone(self.config.backbone, self.config.backbone_weights) for _ in range(count)]
        name, norm, pretrained = self.config.backbone, self.config.norm, self.config.pretrained
        return [build_backbone(name, norm, pretrained) for _ in range(count)]

    def rebuild_config(self) -> ACTConfig:
        built = self.network.backbones[0]
        return dataclasses.replace(
            self.config,
            norm=built.norm,
            pretrained=built.pretrained,
        )

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return [
            p for backbone in self.network.backbones if backbone.pretrained for p in backbone.parameters()
        ]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        is_pad = batch["is_pad"]
        actions = self.normalise_actions(batch["actions"])
        predicted, mu, logvar = self.network(
            self.normalise_qpos(batch["qpos"]),
            self.normalise_images(batch["images"]),
            actions,
            is_pad,
            batch.get("noise"),
        )
        errors = F.l1_loss(predicted.float(), actions, reduction="none").mean(dim=-1)  # (B, chunk)
        l1 = errors.masked_fill(is_pad, 0).sum() / batch.get("valid_steps", (~is_pad).sum())
        if mu is None:
            return {"loss": l1, "l1": l1}
        kl = kl_divergence(mu, logvar)
        return {"loss": l1 + self.config.kl_weight * kl, "l1": l1, "kl": kl}

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        if self.config.no_encoder:
            return {}
        shape = (samples, self.network.latent_dim)
        return {"noise": torch.randn(shape, generator=generator, device=self.qpos_mean.device)}

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        images = self.normalise_images(obs["images"])
        actions, _, _ = self.network(self.normalise_qpos(obs["qpos"]), images)
        return self.denormalise_actions(actions.float())
