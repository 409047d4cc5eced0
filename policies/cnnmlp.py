"""CNNMLP."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actors import Interface
from detr import CNNMLP
from episodes import Stats
from policies.base import Policy
from policies.configs import CNNMLPConfig
from policies.vision import make_backbones
from utils import Batch


class CNNMLPPolicy(Policy):
    """One action at a time from convolutional features (`CNNMLPPolicy` in ACT, policy.py): the baseline
    for chunks of actions.
    """

    Config = CNNMLPConfig

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

    def backbones(self) -> list[nn.Module]:
        return list(self.network.backbones)

    def _predict(self, batch: Batch) -> Tensor:
        """(B, A) float32, normalised."""
        images = self.normalise_images(batch["images"])
        return self.network(self.normalise_qpos(batch["qpos"]), images).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        mse = F.mse_loss(self._predict(batch), self.normalise_actions(batch["actions"][:, 0]))
        return {"loss": mse, "mse": mse}

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        return self.denormalise_actions(self._predict(obs))[:, None]  # (B, 1, A)
