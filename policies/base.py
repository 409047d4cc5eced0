"""What all policies have in common: `loss` and `act`, and the interface that they are connected to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from actors import Interface, Observation
from constants import IMAGENET_MEAN, IMAGENET_STD
from episodes import Stats
from policies.augmentation import centre_crop
from policies.configs import PolicyConfig
from utils import Batch, Demonstrations

LOOK_AGAIN = 0.5  # s after which a policy that can recover asks anew, if it is not told otherwise


@dataclass(frozen=True)
class Known:
    """The first k actions of a chunk, as what is being executed has them.

    Weights of 1 say that an action is settled, smaller ones that the chunk should come close to it.
    """

    actions: Tensor  # (B, k, A), robot units
    weights: Tensor  # (k,), from 0 to 1

    def check(self, chunk: int) -> None:
        """ValueError unless it fits chunks of so many actions."""
        if self.actions.ndim != 3 or not 0 < self.actions.shape[1] <= chunk:
            raise ValueError(f"known actions are {tuple(self.actions.shape)}; give (B, 1 to {chunk}, A)")
        if self.weights.shape != self.actions.shape[1:2]:
            raise ValueError(
                f"weights are {tuple(self.weights.shape)}; give one for each of the {self.actions.shape[1]} "
                "known actions"
            )
        if not ((self.weights >= 0) & (self.weights <= 1)).all():
            raise ValueError("weights of known actions must be from 0 to 1")


@dataclass(frozen=True)
class Choice:
    """What `Policy.finish` chose: how many neighbours, and the weight of the state beside the pictures."""

    ks: Sequence[int]  # numbers of neighbours that were tried
    errors: Mapping[float, Sequence[float]]  # by weight: the error at each of them
    k: int
    state_weight: float

    def text(self) -> str:
        """The choice in words."""
        error = self.errors[self.state_weight][list(self.ks).index(self.k)]
        return (
            f"k {self.k} and state weight {self.state_weight:g}: of {len(self.ks)} times {len(self.errors)}, "
            f"closest to what was demonstrated in the validation episodes; error {error:.4f}"
        )


class Policy(nn.Module):
    """Maps an observation to a chunk of actions. Takes and gives robot units; normalises inside.

    A subclass names its `Config` (flags, and how it is trained and used), builds its networks in `__init__`,
    and defines `loss`, `act`, and `backbones` if it has any. It overrides the rest only where it differs.

    With `observation_horizon` 1, `qpos` is (B, D) and `images` are (B, cameras, H, W, 3). A policy that looks
    back h > 1 steps gets (B, h, D) and (B, h, cameras, H, W, 3), oldest first; the first step of an episode
    also stands for those before it. The chunk of actions begins at the newest step.
    """

    Config: ClassVar[type[PolicyConfig]]

    def __init__(self, config: PolicyConfig, interface: Interface, stats: Stats) -> None:
        super().__init__()
        self.config, self.interface = config, interface
        for field in dataclasses.fields(stats):
            self.register_buffer(field.name, getattr(stats, field.name).clone())
        self.register_buffer("image_mean", 255 * torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("image_std", 255 * torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch (`utils.Demonstrations.batch`): `loss` is minimised, every entry is logged.

        The batch also holds what `draw_noise` returned.
        """
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        return self.qpos_mean.device

    @property
    def chunk_size(self) -> int:
        """Actions that `act` predicts at once."""
        return self.config.chunk_size

    @property
    def observation_horizon(self) -> int:
        """Observations that it looks at, up to the present one."""
        return self.config.observation_horizon

    @property
    def execution_horizon(self) -> int:
        """Actions of a chunk that are executed before the next is asked for, unless a flag says otherwise.

        A policy that was shown how to recover must see that it has to: it looks again after half a second.
        """
        most, fps = self.config.execution_horizon, self.interface.fps
        return min(most, max(1, round(LOOK_AGAIN * fps))) if self.interface.recovers and fps else most

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        """The random numbers that the loss of `samples` samples depends on, one row for each."""
        return {}

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        """Actions (B, chunk, A) for `qpos` (B, D) and `images` (B, cameras, H, W, 3) uint8.

        A policy that draws its actions takes its random numbers from `generator`.
        """
        raise NotImplementedError

    def draw_to_act(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        """The random numbers that `act` takes, one row for each sample, by their distribution, `normal` or
        `uniform`; none if it takes none.

        ValueError if they are not known before it acts.
        """
        return {}

    def act_on(self, obs: Batch, drawn: Batch) -> Tensor:
        """As `act`, given what `draw_to_act` returned."""
        return self.act(obs)

    def act_given(self, obs: Batch, known: Known, generator: torch.Generator | None = None) -> Tensor:
        """As `act`, for a chunk whose beginning is known.

        TypeError if it is no policy that can (`config.inpaints`), ValueError if `known` does not fit.
        """
        raise TypeError(
            f"{type(self).__name__} does not draw its actions from noise; it cannot be given some of them"
        )

    def after_step(self) -> None:
        """Called after each optimiser step."""

    def finish(self, train: Demonstrations, validation: Demonstrations) -> Choice | None:
        """Called when training has ended, on the policies that are kept, if `config.needs_finish`.

        What it learns belongs in buffers, so that the checkpoint holds it; what it chose is only printed.
        """

    def backbones(self) -> list[nn.Module]:
        """Its image backbones: one for each camera, a single one that all share, or none."""
        return []

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Parameters that start from pretrained weights; trained at `--lr_backbone`."""
        pretrained = [backbone for backbone in self.backbones() if backbone.pretrained]
        return [parameter for backbone in pretrained for parameter in backbone.parameters()]

    def rebuild_config(self) -> PolicyConfig:
        """The config from which `load_policy` builds the same networks, without reading any other file."""
        backbones = self.backbones()
        return self.config.rebuilt(backbones[0]) if backbones else self.config

    def normalise_qpos(self, qpos: Tensor) -> Tensor:
        return (qpos - self.qpos_mean) / self.qpos_std

    def normalise_actions(self, actions: Tensor) -> Tensor:
        return (actions - self.action_mean) / self.action_std

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        return actions * self.action_std + self.action_mean

    def normalise_images(self, images: Tensor) -> Tensor:
        """(..., H, W, 3) uint8 -> (..., 3, H, W), normalised; channels stay last in memory.

        Computed by rows of W * 3 numbers: an innermost loop over 3 takes several times as long.
        """
        width = images.shape[-2]
        mean, std = (each.flatten().repeat(width) for each in (self.image_mean, self.image_std))  # (W * 3,)
        rows = (images.flatten(-2).float() - mean) / std  # (..., H, W * 3)
        return rows.unflatten(-1, (width, 3)).movedim(-1, -3)

    def observe(self, observations: Sequence[Observation], device: torch.device | str | None = None) -> Batch:
        """Make a batch of B observations of an environment, with the images as the policy sees them; on
        `device`, the policy's if not given.
        """
        device = self.device if device is None else device
        images = [self.interface.viewed(o["images"]) for o in observations]
        qpos = np.stack([o["qpos"] for o in observations]).astype(np.float32)
        shown = torch.from_numpy(np.array(images)).to(device)
        return {
            "qpos": torch.from_numpy(qpos).to(device),
            "images": centre_crop(shown, self.interface.augmentations),
        }
