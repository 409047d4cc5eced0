"""Diffusion Policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from actors import Interface
from episodes import Stats
from policies.configs import DiffusionConfig
from policies.drawing import DrawingPolicy
from utils import Batch


class DiffusionPolicy(DrawingPolicy):
    """Diffusion Policy with a convolutional network (Chi et al. 2023, arXiv:2303.04137; ACT++: policy.py).

    It learns to find the noise in noisy chunks of actions, given the newest observations, and acts by
    turning pure noise into actions, step by step.

    Differs from ACT++: images are normalised, it can look at several observations, the average of the weights
    is updated after the optimiser's step, not before it, and the loss is averaged over the action steps that
    exist.
    """

    Config = DiffusionConfig

    def __init__(self, config: DiffusionConfig, interface: Interface, stats: Stats) -> None:
        super().__init__(config, interface, stats)
        self.scheduler = make_scheduler(config)
        self.scheduler.set_timesteps(config.num_inference_timesteps)
        self._steps: list[int] = self.scheduler.timesteps.tolist()
        # by diffusion step: the share of the variance that is not noise yet
        self.register_buffer("signal", self.scheduler.alphas_cumprod.clone(), persistent=False)

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        """Noise (B, chunk, A), and the diffusion steps (B,) at which it is mixed in."""
        steps = self.config.num_train_timesteps
        return {
            "noise": self.noise(samples, generator),
            "timesteps": torch.randint(steps, (samples,), generator=generator, device=self.device),
        }

    def mix(self, actions: Tensor, drawn: Batch) -> tuple[Tensor, Tensor, Tensor]:
        noise, timesteps = drawn["noise"], drawn["timesteps"]
        signal = self.signal[timesteps, None, None]  # (B, 1, 1)
        noisy = signal.sqrt() * actions + (1 - signal).sqrt() * noise  # (B, chunk, A)
        return noisy, timesteps, noise if self.config.prediction_type == "epsilon" else actions

    def steps(self) -> Sequence[int]:
        """The scheduler's; with ddim the noise at the beginning is all that is random, ddpm draws more at
        each.
        """
        return self._steps

    def draw_to_act(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        if self.config.scheduler == "ddpm":
            raise ValueError("--scheduler ddpm draws at every step; only ddim draws all before the first one")
        return super().draw_to_act(samples, generator)

    def time(self, step: int) -> int:
        return step

    def advance(
        self, noisy: Tensor, output: Tensor, step: int, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.scheduler.step(output, step, noisy, generator=generator).prev_sample

    def clean(self, noisy: Tensor, output: Tensor, step: int) -> Tensor:
        if self.config.prediction_type == "sample":
            return output
        signal, noise = self._shares(step)
        return (noisy - noise * output) / signal

    def output(self, noisy: Tensor, clean: Tensor, step: int) -> Tensor:
        if self.config.prediction_type == "sample":
            return clean
        signal, noise = self._shares(step)
        return (noisy - signal * clean) / noise

    def _shares(self, step: int) -> tuple[Tensor, Tensor]:
        """By how much the actions and the noise count in the noisy actions of a step."""
        return self.signal[step].sqrt(), (1 - self.signal[step]).sqrt()


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
