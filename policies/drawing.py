"""What the policies have in common that draw a chunk of actions: they make it of noise, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detr import CameraEncoder, ConditionalUNet
from episodes import Stats
from policies.base import Interface, Policy
from policies.configs import DrawingConfig
from policies.vision import make_backbones
from utils import Batch, hold_last


class DrawingPolicy(Policy):
    """Diffusion Policy's network and encoder of observations (Chi et al. 2023, arXiv:2303.04137; ACT++:
    policy.py), and the loop from noise to actions. States and actions are scaled to [-1, 1].

    A subclass says what is noisy and what the network is to say of it (`draw_noise`, `mix`), which steps are
    taken from noise to actions, and how (`steps`, `time`, `advance`).
    """

    Config = DrawingConfig

    def __init__(self, config: DrawingConfig, interface: Interface, stats: Stats) -> None:
        super().__init__(config, interface, stats)
        backbones = make_backbones(config, interface.cameras)
        self.encoders = nn.ModuleList(CameraEncoder(b, interface.image_size) for b in backbones)
        width = interface.state_dim + sum(e.project.out_features for e in self._encoder_of_each_camera())
        self.network = ConditionalUNet(
            interface.action_dim, config.observation_horizon * width, config.down_dims
        )

    def mix(self, actions: Tensor, drawn: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy actions for the network to learn from.

        Args:
            actions: (B, chunk, A), normalised.
            drawn: what `draw_noise` returned.

        Returns:
            the actions with the noise in them (B, chunk, A); how noisy they are, as the network is told (B,);
            and what it is to say of them (B, chunk, A).
        """
        raise NotImplementedError

    def steps(self) -> Sequence[int]:
        """The steps from noise to actions, first to last."""
        raise NotImplementedError

    def time(self, step: int) -> float:
        """How noisy the actions of a step are, as the network is told."""
        raise NotImplementedError

    def advance(
        self, noisy: Tensor, output: Tensor, step: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """The actions of the next step, from those of a step and what the network says of them; all are
        (B, chunk, A).
        """
        raise NotImplementedError

    def backbones(self) -> list[nn.Module]:
        return [encoder.backbone for encoder in self.encoders]

    def normalise_qpos(self, qpos: Tensor) -> Tensor:
        """To [-1, 1] over the demonstrations' range, as the actions."""
        return 2 * (qpos - self.qpos_min) / (self.qpos_max - self.qpos_min) - 1

    def normalise_actions(self, actions: Tensor) -> Tensor:
        return 2 * (actions - self.action_min) / (self.action_max - self.action_min) - 1

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        return (actions + 1) / 2 * (self.action_max - self.action_min) + self.action_min

    def _encoder_of_each_camera(self) -> list[CameraEncoder]:
        cameras = len(self.interface.cameras)
        return list(self.encoders) * (cameras if len(self.encoders) == 1 else 1)

    def condition(self, obs: Batch) -> Tensor:
        """The observations of each sample as one vector, (B, cond_dim); shapes as in `Policy`."""
        batch, horizon = len(obs["qpos"]), self.observation_horizon
        qpos = self.normalise_qpos(obs["qpos"]).reshape(batch * horizon, -1)
        images = obs["images"].reshape(
            batch * horizon, *obs["images"].shape[-4:]
        )  # (B * h, cameras, H, W, 3)
        views = self.normalise_images(images).unbind(1)
        encoded = [e(view) for e, view in zip(self._encoder_of_each_camera(), views, strict=True)]
        return torch.cat([qpos, *encoded], dim=-1).reshape(batch, -1)

    def noise(self, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Chunks of pure noise (samples, chunk, A)."""
        shape = (samples, self.chunk_size, self.interface.action_dim)
        return torch.randn(shape, generator=generator, device=self.device)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        is_pad = batch["is_pad"]
        if "noise" not in batch:
            batch = {**batch, **self.draw_noise(len(is_pad))}
        # the network sees the whole chunk, so past the episode's end the last action is held
        actions = self.normalise_actions(hold_last(batch["actions"], is_pad))  # (B, chunk, A)
        noisy, times, target = self.mix(actions, batch)
        predicted = self.network(noisy, times, self.condition(batch))
        errors = F.mse_loss(predicted.float(), target, reduction="none").mean(dim=-1)  # (B, chunk)
        mse = errors.masked_fill(is_pad, 0).sum() / batch.get("valid_steps", (~is_pad).sum())
        return {"loss": mse}

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        cond = self.condition(obs)
        return self.denoise(self.noise(len(cond), generator), cond, generator)

    def denoise(self, actions: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Actions in robot units from noise (B, chunk, A) and the observations (B, cond_dim).

        What a step draws besides, if it does, comes from `generator`.
        """
        for step in self.steps():
            times = torch.full((len(cond),), self.time(step), device=cond.device)
            output = self.network(actions, times, cond).float()
            actions = self.advance(actions, output, step, generator)
        return self.denormalise_actions(actions)
