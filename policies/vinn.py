"""VINN."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from actors import Interface
from detr import Memory, errors_by_k
from episodes import Stats
from policies.augmentation import centre_crop
from policies.base import Choice, Policy
from policies.byol import NUMBERS, changed_view, make_learner, update_target
from policies.configs import POLICY, VINNConfig
from policies.vision import make_backbones, trained_backbones
from utils import PHASES, Batch, Demonstrations, hold_last

KS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
STATE_WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
QUERIES = 120  # frames of each phase of the validation episodes, on which k and the state's weight are chosen
FRAMES_AT_ONCE = 64


class Features(nn.Module):
    """A backbone whose map is averaged to at most `cells` a side: (B, 3, H, W) to features (B, f); f as for
    images of `image_size` (H, W).
    """

    def __init__(self, backbone: nn.Module, cells: int, image_size: Sequence[int]) -> None:
        super().__init__()
        self.backbone = backbone
        with torch.no_grad():
            features = backbone.eval()(torch.zeros(1, 3, *image_size))  # (1, C, h, w)
        backbone.train()
        self._size = [min(side, cells) for side in features.shape[2:]]

    def forward(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.backbone(images), self._size).flatten(1)


class VINNPolicy(Policy):
    """Does what was done in the moments most like the present one (Pari et al. 2021, arXiv:2112.01511; ACT++:
    vinn_*.py).

    What is trained are features (`policies.byol`); the demonstrations go into memory at the end
    (`detr.neighbours`). It differs from VINN in that a neighbour gives a chunk of actions, as in ACT++.
    """

    Config = VINNConfig

    def __init__(self, config: VINNConfig, interface: Interface, stats: Stats) -> None:
        backbones = None
        if config.features == POLICY and not config.is_rebuilt:
            values, backbones = trained_backbones(Path(config.features_from), interface)
            config = dataclasses.replace(config, **values)
        super().__init__(config, interface, stats)
        backbones = backbones or make_backbones(config, interface.cameras)
        self.nets = nn.ModuleList(Features(b, config.cells, interface.image_size) for b in backbones)
        self.learners = nn.ModuleList(map(make_learner, self.nets) if config.trains else [])
        if not config.trains:
            self.requires_grad_(False)
        self.memory = Memory()
        self.register_buffer("k", torch.tensor(config.k or 0))
        self.register_buffer("state_weight", torch.tensor(config.state_weight or 0.0))

    def backbones(self) -> list[nn.Module]:
        return [net.backbone for net in self.nets]

    def train(self, mode: bool = True) -> VINNPolicy:
        """As in every module; training further clears the memory, as the features change."""
        if mode:
            self.memory.clear()
        return super().train(mode)

    # --- features

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        shape = (samples, len(self.interface.cameras), 2, NUMBERS)
        return {"views": torch.rand(shape, generator=generator, device=self.device)}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        numbers = batch["views"] if "views" in batch else self.draw_noise(len(batch["images"]))["views"]
        images = batch["images"].movedim(-1, -3).float() / 255  # (B, cameras, 3, H, W)
        images, numbers = self._by_learner(images), self._by_learner(numbers)
        losses = {}
        for name, learner, pictures, number in zip(
            self.interface.cameras, self.learners, images, numbers, strict=False
        ):
            views = [changed_view(pictures, number[:, i], self.config.byol_crop) for i in (0, 1)]
            pair = torch.cat(
                [(255 * v - self.image_mean) / self.image_std for v in views], dim=1
            )  # (B, 6, H, W)
            # batch norm, while it learns, needs more than one sample: a single one is shown twice
            losses[f"byol_{name}"] = learner(pair if len(pair) > 1 else pair.repeat(2, 1, 1, 1))
        mean = torch.stack(list(losses.values())).mean()
        return {"loss": mean, **(losses if len(losses) > 1 else {})}

    def _by_learner(self, rows: Tensor) -> list[Tensor]:
        """(B, cameras, ...) to (B, ...) for each learner, or (B * cameras, ...) for one that has them all."""
        return list(rows.unbind(1)) if len(self.nets) > 1 else [rows.flatten(0, 1)]

    def after_step(self) -> None:
        for learner in self.learners:
            update_target(learner)

    def features(self, images: Tensor) -> Tensor:
        """(B, cameras, H, W, 3) uint8 to (B, cameras, f)."""
        shown = self.normalise_images(images)
        nets = self.nets if len(self.nets) > 1 else [self.nets[0]] * shown.shape[1]
        by_camera = [net(pictures) for net, pictures in zip(nets, shown.unbind(1), strict=True)]
        return torch.stack(by_camera, dim=1).float()

    # --- memory

    @torch.no_grad()
    def finish(self, train: Demonstrations, validation: Demonstrations) -> Choice | None:
        every = [(e, step) for e, length in enumerate(train.lengths) for step in range(length)]
        features, states = self._encode(train, every, "remembering")
        actions = torch.from_numpy(np.concatenate(train.actions)).float().to(self.device)
        self.memory.fill(features, states, actions, torch.from_numpy(train.lengths).to(self.device))
        is_given = self.config.k is not None and self.config.state_weight is not None
        return None if is_given else self._choose(validation)

    def _encode(
        self, data: Demonstrations, samples: Sequence[tuple[int, int]], title: str
    ) -> tuple[Tensor, Tensor]:
        """Features (n, cameras, f) and normalised states (n, D) of samples (episode, step)."""
        features, states = [], []
        with tqdm(total=len(samples), desc=title, unit="frame") as progress:
            for first in range(0, len(samples), FRAMES_AT_ONCE):
                batch = data.batch(samples[first : first + FRAMES_AT_ONCE], chunk_size=1)
                images = centre_crop(batch["images"], self.interface.augmentations)
                features.append(self.features(images.to(self.device)))
                states.append(self.normalise_qpos(batch["qpos"].to(self.device)))
                progress.update(len(images))
        return torch.cat(features), torch.cat(states)

    def _choose(self, data: Demonstrations) -> Choice:
        """Choose the number of neighbours and the state's weight that come closest to the demonstrations.

        All phases of an episode count alike, as in `training.loop.validate`: the start is short but decides.
        """
        samples = [sample for phase in PHASES.values() for sample in _spread(data.lengths, phase)]
        features, states = self._encode(data, samples, "choosing k")
        visual, from_states = self.memory.distances(features, states)
        targets = hold_last(*data.chunks(samples, self.chunk_size)).to(self.device)
        ks = [k for k in KS if k <= len(self.memory)] if self.config.k is None else [self.config.k]
        weights = STATE_WEIGHTS if self.config.state_weight is None else [self.config.state_weight]
        errors = {
            w: errors_by_k(self.memory, visual + w * from_states, targets, self.action_std, ks)
            for w in tqdm(weights, desc="choosing k", unit="weight")
        }
        weight, number = min(itertools.product(errors, range(len(ks))), key=lambda at: errors[at[0]][at[1]])
        self.k.fill_(ks[number])
        self.state_weight.fill_(weight)
        return Choice(ks, errors, ks[number], weight)

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        if not len(self.memory):
            raise RuntimeError("VINN has no memory yet: its training has not ended; go on with --resume")
        features, states = self.features(obs["images"]), self.normalise_qpos(obs["qpos"])
        with torch.autocast(self.device.type, enabled=False):  # bfloat16 is too coarse to tell who is nearest
            return self.memory.predict(features, states, int(self.k), self.state_weight, self.chunk_size)


def _spread(lengths: np.ndarray, phase: tuple[float, float]) -> list[tuple[int, int]]:
    """QUERIES samples (episode, step), evenly spread over a phase of the episodes; some of them several times
    if the phase is short, so that all phases count alike.
    """
    low, high = phase
    every = [(e, step) for e, n in enumerate(lengths) for step in range(int(low * n), math.ceil(high * n))]
    return [every[place] for place in np.linspace(0, len(every) - 1, QUERIES).astype(int)]
