"""Diffusion Policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cli
from detr.backbone import BACKBONES
from detr.spatial import CameraEncoder
from detr.unet import GROUPS, ConditionalUNet
from policies.base import Interface, Policy
from policies.vision import VisionConfig, make_backbones, pretrained_parameters, rebuilt
from stats import Stats
from utils import Batch, hold_last

SCHEDULERS = ("ddim", "ddpm")
PREDICTIONS = ("epsilon", "sample")


@dataclass(frozen=True)
class DiffusionConfig(VisionConfig):
    """Flags of Diffusion Policy.

    The defaults, but for the backbone, are what learned the transfer of a cube in 1000 steps of 32 samples,
    with --backbone keypoints --augment none. Those of the original code are --observation_horizon 2
    --action_horizon 8 --prediction_horizon 16 --down_dims 256 512 1024 --prediction_type epsilon, at
    --lr 1e-4.
    """

    observation_horizon: int = cli.flag(
        1, "observations that it looks at, up to the present one", least=1, most=1000
    )
    action_horizon: int = cli.flag(50, "actions of a prediction that are executed", least=1, most=10_000)
    prediction_horizon: int = cli.flag(
        100, "actions predicted at once, from the present one on", least=1, most=10_000, alias="chunk_size"
    )
    num_train_timesteps: int = cli.flag(
        100, "diffusion steps from actions to noise, in training", least=1, most=100_000
    )
    num_inference_timesteps: int = cli.flag(
        10, "of these, how many are taken back from noise to actions", least=1, most=100_000
    )
    scheduler: str = cli.flag(
        "ddim", "how: ddim, which needs few steps; or ddpm, made for all of them", SCHEDULERS
    )
    down_dims: tuple[int, ...] = cli.flag(
        (64, 128, 256), "channels of the U-Net's levels", least=1, most=65_536
    )
    prediction_type: str = cli.flag(
        "sample",
        "what the network tells: sample, the actions, which is learned soon; or epsilon, the noise, as in "
        "the original",
        PREDICTIONS,
    )
    backbone: str = cli.flag("robomimic_resnet18", f"one of {', '.join(BACKBONES)}")

    def __post_init__(self) -> None:
        """ValueError for the first value that does not fit."""
        cli.check(self)
        if any(width % GROUPS for width in self.down_dims):
            raise ValueError(
                f"--down_dims is {' '.join(map(str, self.down_dims))}; each must be a multiple of {GROUPS}"
            )
        for name, limit in (
            ("action_horizon", "prediction_horizon"),
            ("num_inference_timesteps", "num_train_timesteps"),
        ):
            value, most = getattr(self, name), getattr(self, limit)
            if value > most:
                raise ValueError(f"--{name} is {value}; it must not be more than --{limit}, which is {most}")


class DiffusionPolicy(Policy):
    """Diffusion Policy with a convolutional network (Chi et al. 2023, arXiv:2303.04137; ACT++: policy.py).

    It learns the noise in noisy chunks of actions, given the newest observations, and acts by taking the
    noise out of nothing but noise, step by step. States and actions are scaled to [-1, 1].

    Differs from ACT++ in that images are normalised, that several observations may be looked at, that the
    average of the weights is updated after the optimiser's step, not before it, and that the loss is averaged
    over the action steps that exist.
    """

    Config = DiffusionConfig
    chunk_field = "prediction_horizon"
    within_chunk = ("action_horizon",)
    ema = 0.999
    training_defaults = {"lr": 1e-3, "lr_schedule": "cosine", "warmup_steps": 100, "grad_clip": 1.0}

    def __init__(self, config: DiffusionConfig, interface: Interface, stats: Stats) -> None:
        super().__init__(config, interface, stats)
        backbones = make_backbones(config, interface.cameras)
        self.encoders = nn.ModuleList(CameraEncoder(b, interface.image_size) for b in backbones)
        width = interface.state_dim + sum(e.project.out_features for e in self._encoder_of_each_camera())
        self.network = ConditionalUNet(
            interface.action_dim, config.observation_horizon * width, config.down_dims
        )
        self.scheduler = make_scheduler(config)

    @property
    def observation_horizon(self) -> int:
        return self.config.observation_horizon

    @property
    def execution_horizon(self) -> int:
        return self.config.action_horizon

    def rebuild_config(self) -> DiffusionConfig:
        return rebuilt(self.config, self.encoders[0].backbone)

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return pretrained_parameters(encoder.backbone for encoder in self.encoders)

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
        """What is observed as one vector (B, cond_dim) a sample; shapes as told in `Policy`."""
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
        batch = {**self.draw_noise(len(is_pad)), **batch}
        noise, timesteps = batch["noise"], batch["timesteps"]
        # the network sees the whole chunk: behind its end, what it will itself go on with
        actions = self.normalise_actions(hold_last(batch["actions"], is_pad))  # (B, chunk, A)
        noisy = self.scheduler.add_noise(actions, noise, timesteps)
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
        """Actions in robot units from noise (B, chunk, A) and what is observed (B, cond_dim).

        With ddim all chance lies in that noise; ddpm adds more at each step, from `generator`.
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
    kind = {"ddim": DDIMScheduler, "ddpm": DDPMScheduler}[config.scheduler]
    return kind(
        num_train_timesteps=config.num_train_timesteps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=config.prediction_type,
        clip_sample=True,
    )
