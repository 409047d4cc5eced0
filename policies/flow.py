"""Flow matching."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from policies.configs import VELOCITY, FlowConfig
from policies.drawing import DrawingPolicy
from utils import Batch

TIMES = 100.0  # time 1 as the network is told it, whose embedding is made for Diffusion's 100 steps
BETA = 1.5  # pi0's


class FlowPolicy(DrawingPolicy):
    """Conditional flow matching (Lipman et al. 2023, arXiv:2210.02747) along straight lines, the rectified
    flow of Liu et al. 2022 (arXiv:2209.03003).

    A line leads from noise, at time 0, to the actions of a demonstration, at time 1. The network learns the
    mean velocity of all lines through a point, and the policy acts by following it from pure noise in a few
    Euler steps. With `prediction_type` sample, the network says where the lines lead to, which tells the
    velocity too: it is what is left of the way over what is left of the time. As in `DiffusionPolicy`, that
    is learned sooner, and it is held to the demonstrations' range.
    """

    Config = FlowConfig

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        """Noise (B, chunk, A), and times (B,) in [0, 1): uniform, or with 1 - time from Beta(1.5, 1), which
        has more of the noisy ones (pi0: Black et al. 2024, arXiv:2410.24164, appendix B).
        """
        noise = self.noise(samples, generator)
        left = 1 - torch.rand(samples, generator=generator, device=self.device)  # (0, 1]
        if self.config.time_distribution == "beta":
            left = left ** (1 / BETA)  # the inverse of Beta(BETA, 1)'s distribution function
        return {"noise": noise, "times": 1 - left}

    def mix(self, actions: Tensor, drawn: Batch) -> tuple[Tensor, Tensor, Tensor]:
        noise, times = drawn["noise"], drawn["times"]
        noisy = torch.lerp(noise, actions, times[:, None, None])  # (B, chunk, A)
        return noisy, TIMES * times, actions - noise if self._says_velocity else actions

    @property
    def _says_velocity(self) -> bool:
        return self.config.prediction_type == VELOCITY

    def steps(self) -> Sequence[int]:
        return range(self.config.num_inference_steps)

    def time(self, step: int) -> float:
        return TIMES * step / self.config.num_inference_steps

    def advance(
        self, noisy: Tensor, output: Tensor, step: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """An Euler step; the last one arrives where the network says that the line leads to."""
        end = self.clean(noisy, output, step).clamp(-1, 1)
        return noisy + (end - noisy) / (self.config.num_inference_steps - step)

    def clean(self, noisy: Tensor, output: Tensor, step: int) -> Tensor:
        """Where the line through the noisy actions leads to."""
        return noisy + self._time_left(step) * output if self._says_velocity else output

    def output(self, noisy: Tensor, clean: Tensor, step: int) -> Tensor:
        return (clean - noisy) / self._time_left(step) if self._says_velocity else clean

    def _time_left(self, step: int) -> float:
        return 1 - step / self.config.num_inference_steps
