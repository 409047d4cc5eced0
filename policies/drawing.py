"""What the policies have in common that draw a chunk of actions: they make it of noise, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actors import Interface
from detr import CameraEncoder, ConditionalUNet
from episodes import Stats
from policies.base import Known, Policy
from policies.configs import DrawingConfig
from policies.vision import make_backbones
from utils import Batch, hold_last

CANDIDATES = 4  # chunks that are begun where some actions are known; the one that fits them best goes on


class DrawingPolicy(Policy):
    """Diffusion Policy's network and encoder of observations (Chi et al. 2023, arXiv:2303.04137; ACT++:
    policy.py), and the loop from noise to actions. States and actions are scaled to [-1, 1].

    A subclass says what is noisy and what the network is to say of it (`draw_noise`, `mix`), which steps are
    taken from noise to actions, and how (`steps`, `time`, `advance`, `clean`, `output`).
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

    def clean(self, noisy: Tensor, output: Tensor, step: int) -> Tensor:
        """The actions (B, chunk, A) that the network takes the noisy ones of a step for."""
        raise NotImplementedError

    def output(self, noisy: Tensor, clean: Tensor, step: int) -> Tensor:
        """What the network would have said if it took them for `clean`: undoes `clean`."""
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

    def draw_to_act(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        return {"normal": self.noise(samples, generator)}

    def act_on(self, obs: Batch, drawn: Batch) -> Tensor:
        return self.denoise(drawn["normal"], self.condition(obs))

    def act_given(self, obs: Batch, known: Known, generator: torch.Generator | None = None) -> Tensor:
        """As `act`, for a chunk whose beginning is known (inpainting). Where a weight is 1, the chunk has the
        known action, to the bit.

        At each step, what the network takes the noisy actions for is drawn towards the known ones, by their
        weights. That alone does not choose between several ways of doing a thing where little is known or
        steps are few, and neither does the gradient by which real-time chunking guides a flow (Black et al.
        2025, arXiv:2506.07339). So several chunks are begun, and half way the one that fits what is known
        best goes on, as in bidirectional decoding (Liu et al. 2024, arXiv:2408.17355).
        """
        known.check(self.chunk_size)
        actions, weights = known.actions.to(self.device), known.weights.to(self.device)
        rest = self.chunk_size - len(weights)
        goal = F.pad(self.normalise_actions(actions), (0, 0, 0, rest))  # (B, chunk, A)
        pull = F.pad(weights, (0, rest))[:, None]  # (chunk, 1)
        cond = self.condition(obs).repeat_interleave(CANDIDATES, dim=0)
        goal = goal.repeat_interleave(CANDIDATES, dim=0)
        noisy, steps = self.noise(len(cond), generator), self.steps()
        for number, step in enumerate(steps):
            output = self._say(noisy, step, cond)
            clean = self.clean(noisy, output, step)
            if number == len(steps) // 2:
                best = _best(pull * (clean - goal).square())
                noisy, clean, cond, goal = noisy[best], clean[best], cond[best], goal[best]
            output = self.output(noisy, torch.lerp(clean, goal, pull), step)
            noisy = self.advance(noisy, output, step, generator)
        chunk = self.denormalise_actions(noisy)
        settled = (weights == 1)[:, None]  # (k, 1)
        return torch.cat(
            [torch.where(settled, actions, chunk[:, : len(weights)]), chunk[:, len(weights) :]], 1
        )

    def denoise(self, actions: Tensor, cond: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Actions in robot units from noise (B, chunk, A) and the observations (B, cond_dim).

        What a step draws besides, if it does, comes from `generator`.
        """
        for step in self.steps():
            actions = self.advance(actions, self._say(actions, step, cond), step, generator)
        return self.denormalise_actions(actions)

    def _say(self, noisy: Tensor, step: int, cond: Tensor) -> Tensor:
        """What the network says of a step's noisy actions, float32."""
        times = torch.full((len(cond),), self.time(step), device=cond.device)
        return self.network(noisy, times, cond).float()


def _best(errors: Tensor) -> Tensor:
    """For each sample the row of its candidate with the least error, (B,); `errors` are
    (B * CANDIDATES, chunk, A).
    """
    best = errors.mean(dim=(1, 2)).view(-1, CANDIDATES).argmin(dim=1)
    return CANDIDATES * torch.arange(len(best), device=best.device) + best


def overlap_weights(settled: int, overlap: int) -> Tensor:
    """Weights (overlap,) of the actions that two chunks have in common, as real-time chunking has them (Black
    et al. 2025, arXiv:2506.07339, equation 5): 1 for those that will be executed before the new chunk is
    there, then falling to 0, faster than in a straight line.

    ValueError unless 0 <= settled <= overlap.
    """
    if not 0 <= settled <= overlap:
        raise ValueError(f"{settled} actions are settled; it must be 0 to {overlap}, those in common")
    places = torch.arange(overlap)
    left = ((overlap - places) / (overlap - settled + 1)).clamp(max=1)
    weights = left * torch.expm1(left) / math.expm1(1)
    return torch.where(places < settled, 1.0, weights)
