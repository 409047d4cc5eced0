"""CNNMLP."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cli
from detr.cnnmlp import CNNMLP
from policies.base import Interface, Policy
from policies.vision import VisionConfig, make_backbones, pretrained_parameters, rebuilt
from stats import Stats
from utils import Batch


@dataclass(frozen=True)
class CNNMLPConfig(VisionConfig):
    """Flags of CNNMLP. Defaults as in ACT (detr_vae.py: build_cnnmlp)."""

    hidden_dim: int = cli.flag(1024, "width of the MLP's hidden layers", least=1, most=65_536)
    hidden_depth: int = cli.flag(2, "how many hidden layers it has", least=1, most=1000)


class CNNMLPPolicy(Policy):
    """One action at a time from convolutional features (`CNNMLPPolicy` in ACT, policy.py): what chunks of
    actions are compared with.
    """

    Config = CNNMLPConfig
    chunk_field = None

    def __init__(self, config: CNNMLPConfig, interface: Interface, stats: Stats) -> None:
        super().__init__(config, interface, stats)
        self.network = CNNMLP(
            backbones=make_backbones(config, interface.cameras),
            cameras=len(interface.cameras),
            state_dim=interface.state_dim,
            action_dim=interface.action_dim,
            hidden_dim=config.hidden_dim,
            hidden_depth=config.hidden_depth,
        )

    def rebuild_config(self) -> CNNMLPConfig:
        return rebuilt(self.config, self.network.backbones[0])

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return pretrained_parameters(self.network.backbones)

    def _predict(self, batch: Batch) -> Tensor:
        """(B, A) float32, normalised."""
        images = self.normalise_images(batch["images"])
        return self.network(self.normalise_qpos(batch["qpos"]), images).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        mse = F.mse_loss(self._predict(batch), self.normalise_actions(batch["actions"][:, 0]))
        return {"loss": mse, "mse": mse}

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        return self.denormalise_actions(self._predict(obs))[:, None]  # (B, 1, A)
