"""Random changes of a training batch, made on the device: of its images, and of the state beside them.

A policy that can read the arm's joints learns to look at the picture last. An unreliable state, or a camera
that is sometimes dark, takes that shortcut away. Joints that are off by a constant, in the state and in the
actions alike, teach it to see in the picture where the arm is.

torch and torchvision are imported where they compute, so that the flags load without them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar

from common import cli
from policies.augmentation.camera import CAMERA_CHANGES
from policies.augmentation.change import Change
from policies.augmentation.plain import PLAIN_CHANGES
from policies.augmentation.scene import SCENE_CHANGES

if TYPE_CHECKING:
    from torch import Tensor

# by name, in the order in which they are applied: from what stands before the camera to its file
CHANGES: dict[str, Change] = {**PLAIN_CHANGES, **SCENE_CHANGES, **CAMERA_CHANGES}
AUGMENTATIONS = tuple(CHANGES)
GROUPS = {"robust": (*SCENE_CHANGES, *CAMERA_CHANGES)}  # names that stand for several
NONE = "none"
AT_ONCE = 4  # samples that a CPU changes at once: they fit into its cache, a batch does not


def _help() -> str:
    """What `--augment` offers."""
    one_by_one = ", ".join(
        f"{name} ({change.words}{'' if change.rate == 1 else f'; share {change.rate:g}'})"
        for name, change in CHANGES.items()
    )
    groups = ", ".join(f"{name} (all from {of[0]} to {of[-1]})" for name, of in GROUPS.items())
    return (
        f"random changes of the images in training: {one_by_one}, {groups}, or {NONE}; the policy's own if "
        "not given; shares are of the samples"
    )


@dataclass(frozen=True)
class AugmentConfig:
    """Flags of the random changes in training."""

    TITLE: ClassVar[str] = "picture"

    augment: tuple[str, ...] | None = cli.flag(
        None,
        _help(),
        (*CHANGES, *GROUPS, NONE),
        distinct=True,
    )
    state_dropout: float = cli.flag(
        0.0, "share of the samples whose whole state is replaced by its mean", least=0, most=1
    )
    state_noise: float = cli.flag(
        0.0, "Gaussian noise on the state, in standard deviations of each of its entries", least=0, most=100
    )
    joint_offset: float = cli.flag(
        0.0,
        "degrees by which the zero of each joint is off at most, in a sample's state and actions alike, so "
        "that the policy sees where a badly calibrated arm is",
        least=0,
        most=45,
    )

    def check_augment(self) -> None:
        """ValueError for flags that make no sense."""
        if self.augment and NONE in self.augment and len(self.augment) > 1:
            raise ValueError(f"--augment is {' '.join(self.augment)}; {NONE} must stand alone")

    def augmentations(self, default: Sequence[str]) -> tuple[str, ...]:
        """Changes of the images, in order; `default` if the flag is not given."""
        chosen = default if self.augment is None else self.augment
        named = {each for name in chosen for each in GROUPS.get(name, (name,))}
        return tuple(name for name in AUGMENTATIONS if name in named)


class Augmentation:
    """Changes a batch (`utils.Demonstrations.batch`) at random, each sample in its own way.

    All draws come from torch's global generators; those for images from the CPU's, so that nothing waits for
    the device. A change that is off draws nothing.

    Args:
        names: of `AUGMENTATIONS`; all cameras of a sample are changed alike (as in ACT++), unless the change
            says otherwise, and a sample's past as its present.
        qpos_mean, qpos_std: (D,), of the state, on the batch's device.
        state_dropout: share of the samples whose whole state becomes its mean.
        state_noise: standard deviation of the noise on the state, in those of its entries.
        joint_offset: (D,) by how much each entry of state and action is off at most (rad); None: not at all.
        darkness: for each camera, the probability that an image becomes black; empty: never.
    """

    def __init__(
        self,
        names: Sequence[str],
        qpos_mean: Tensor,
        qpos_std: Tensor,
        state_dropout: float = 0.0,
        state_noise: float = 0.0,
        joint_offset: Tensor | None = None,
        darkness: Sequence[float] = (),
    ) -> None:
        import torch

        self._changes = [change for name, change in CHANGES.items() if name in names]
        self._mean, self._std = qpos_mean, qpos_std
        self._dropout, self._noise, self._offset = state_dropout, state_noise, joint_offset
        self._darkness = torch.tensor(darkness, device=qpos_mean.device) if any(darkness) else None

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A changed copy, of the same shapes and types."""
        images = self.images(batch["images"])
        qpos, is_known = self.state(batch["qpos"])
        actions = batch["actions"]
        if self._offset is not None:
            qpos, actions = self.displaced(qpos, actions, is_known)
        return {**batch, "images": images, "qpos": qpos, "actions": actions}

    def images(self, images: Tensor) -> Tensor:
        """Change (B, ..., cameras, H, W, 3) uint8; a sample's past in the same way as its present."""
        import torch

        if self._changes:
            images = self._changed(images, self._draw(images))
        if self._darkness is not None:
            cameras = (len(images), *[1] * (images.ndim - 5), images.shape[-4])  # (B, ..., cameras)
            is_dark = torch.rand(cameras, device=images.device) < self._darkness
            images = images.masked_fill(is_dark[..., None, None, None], 0)
        return images

    def _draw(self, images: Tensor) -> list[list[list[list[float]] | None]]:
        """For each sample, what each change does to it: a row of numbers for each picture, or one for all;
        None: nothing.
        """
        import torch

        cameras, height, width = images.shape[-4:-1]
        steps = math.prod(images.shape[1:-4])
        random = Random(0)
        if not all(change.settled for change in self._changes):
            random.seed(int(torch.randint(1 << 62, ())))
        drawn = []
        for _ in images:
            rows = [change.numbers(cameras, height, width, random) for change in self._changes]
            drawn.append([row * steps if row and len(row) > 1 else row for row in rows])
        return drawn

    def _changed(self, images: Tensor, drawn: Sequence[Sequence[list[list[float]] | None]]) -> Tensor:
        """Images (B, ..., H, W, 3), each sample by its numbers."""
        import torch

        samples = list(images.flatten(1, -4))  # (n, H, W, 3) each
        for change, numbers in zip(self._changes, zip(*drawn, strict=True), strict=True):
            chosen = [i for i, row in enumerate(numbers) if row is not None]
            count = len(samples) if images.is_cuda else 1 if change.settled else AT_ONCE
            for part in (chosen[i : i + count] for i in range(0, len(chosen), count)):
                pictures = torch.stack([samples[i] for i in part])
                changed = change.apply(pictures, [numbers[i] for i in part])
                for i, sample in zip(part, changed, strict=True):
                    samples[i] = sample
        return torch.stack(samples).view(images.shape)

    def displaced(self, qpos: Tensor, actions: Tensor, is_known: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, ..., D) and actions (B, chunk, A >= D) of arms whose zeros are off, where the state
        `is_known` (B,): without it, nothing tells by how much.
        """
        import torch

        shares = torch.rand(len(qpos), qpos.shape[-1], device=qpos.device) * 2 - 1
        offset = shares * is_known[:, None] * self._offset  # (B, D)
        of_actions = torch.nn.functional.pad(offset, (0, actions.shape[-1] - offset.shape[-1]))
        return qpos + offset.view(len(qpos), *[1] * (qpos.ndim - 2), -1), actions + of_actions[:, None]

    def state(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """Change (B, ..., D); with it (B,) whether it still tells anything."""
        import torch

        is_known = torch.ones(len(qpos), dtype=torch.bool, device=qpos.device)
        if self._noise:
            qpos = qpos + self._noise * self._std * torch.randn_like(qpos)
        if self._dropout:
            is_known = torch.rand(len(qpos), device=qpos.device) >= self._dropout
            qpos = torch.where(is_known.view(-1, *[1] * (qpos.ndim - 1)), qpos, self._mean)
        return qpos, is_known
