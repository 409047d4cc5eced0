"""Diffusion Policy."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detr import CameraEncoder, ConditionalUNet
from episodes import Stats
from policies.base import Interface, Policy
from policies.configs import DiffusionConfig
from policies.vision import make_backbones
from utils import Batch, hold_last


class DiffusionPolicy(Policy):
    """Diffusion Policy with a convolutional network (Chi et al. 2023, arXiv:2303.04137; ACT++: policy.py).

    It learns to find the noise in noisy chunks of actions, given the newest observations, and acts by
    turning pure noise into actions, step by step. States and actions are scaled to [-1, 1].

    Differs from ACT++: images are normalised, it can look at several observations, the average of the weights
    is updated after the optimiser's step, not before it, and the loss is averaged over the action steps that
    exist.
    """

    Config = DiffusionConfig

    def __init__(self, config: DiffusionConfig, interface: Interface, stats: Stats) -> None:
        super().__init__(config, interface, stats)
        backbones = make_backbones(config, interface.cameras)
        self.encoders = nn.ModuleList(CameraEncoder(b, interface.image_size) for b in backbones)
        width = interface.state_dim + sum(e.project.out_features for e in self._encoder_of_each_camera())
        self.network = ConditionalUNet(
            interface.action_dim, config.observation_horizon * width, config.down_dims
        )
        self.scheduler = make_scheduler(config)
        # by diffusion step: the share of the variance that is not noise yet
        self.register_buffer("signal", self.scheduler.alphas_cumprod.clone(), persistent=False)

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

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        """Noise (B, chunk, A), and the diffusion steps (B,) at which it is mixed in."""
        shape = (samples, self.chunk_size, self.interface.action_dim)
        steps = self.config.num_train_timesteps
        return {
            "noise": torch.randn(shape, generator=generator, device=self.device),
            "timesteps": torch.randint(steps, shape[:1], generator=generator, device=self.device),
        }

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        is_pad = batch["is_pad"]
        if "noise" not in batch:
            batch = {**batch, **self.draw_noise(len(is_pad))}
        noise, timesteps = batch["noise"], batch["timesteps"]
        # the network sees the whole chunk, so past the episode's end the last action is held
        actions = self.normalise_actions(hold_last(batch["actions"], is_pad))  # (B, chunk, A)
        signal = self.signal[timesteps, None, None]  # (B, 1, 1)
        noisy = signal.sqrt() * actions + (1 - signal).sqrt() * noise  # (B, chunk, A)
        predicted = self.network(noisy, timesteps, self.condition(batch))
        target = noise if self.config.prediction_type == "epsilon" else actions
        errors = F.mse_loss(predicted.float(), target, reduction="none").mean(dim=-1)  # (B, chunk)
        mse = errors.masked_fill(is_pad, 0).sum() / batch.get("valid_steps", (~is_pad).sum())
        return {"loss": mse}

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        cond = self.condition(obs)
        shape = (len(cond), self.chunk_size, self.interface.action_dim)
        return self.denoise(torch.randn(shape, generator=generator, device=self.device), cond, generator)

    def denoise(self, actions: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Actions in robot units from noise (B, chunk, A) and the observations (B, cond_dim).

        With ddim that noise is all that is random; ddpm draws more at each step, from `generator`.
        """
        self.scheduler.set_timesteps(self.config.num_inference_timesteps)
        for step in self.scheduler.timesteps.tolist():
            timesteps = torch.full((len(cond),), step, device=cond.device)
            predicted = self.network(actions, timesteps, cond).float()
            actions = self.scheduler.step(predicted, step, actions, generator=generator).prev_sample
        return self.denormalise_actions(actions)


def make_scheduler(config: DiffusionConfig) -> Any:
    """diffusers' noise scheduler, as Diffusion Policy's configuration files set it; imported late, as that
    takes seconds.
    """
    try:
        from diffusers import DDIMScheduler, DDPMScheduler
    except ImportError as error:
        raise ImportError(
            f"Diffusion Policy needs diffusers: pip install -r requirements.txt ({error})"
        ) from error
    scheduler = {"ddim": DDIMScheduler, "ddpm": DDPMScheduler}[config.scheduler]
    return scheduler(
        num_train_timesteps=config.num_train_timesteps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=config.prediction_type,
        clip_sample=True,
    )
