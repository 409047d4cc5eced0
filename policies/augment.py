"""Random changes of a training batch, made on the device: of its images, and of the state beside them.

A policy that can read the arm's joints learns to look at the picture last. An unreliable state, or a camera
that is sometimes dark, takes that shortcut away.

torch and torchvision are imported where they compute, so that the flags load without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from common import cli

if TYPE_CHECKING:
    from torch import Tensor
    from torchvision.transforms import v2

CROP = 0.95  # of each side that a crop keeps (ACT++: utils.py)
DEGREES = 5.0  # of rotation either way (ACT++: utils.py)
BRIGHTNESS, CONTRAST, SATURATION = 0.3, 0.4, 0.5  # colour jitter, either way of 1 (ACT++: utils.py)
SHIFT = 0.04  # of each side, either way
AUGMENTATIONS = ("crop", "rotate", "color", "shift")  # in the order in which they are applied
NONE = "none"


@dataclass(frozen=True)
class AugmentConfig:
    """Flags of the random changes in training."""

    TITLE: ClassVar[str] = "picture"

    augment: tuple[str, ...] | None = cli.flag(
        None,
        "random changes of the images in training: crop (to 0.95 of each side; evaluation then sees as much "
        "of the middle), rotate (by up to 5 degrees), color (brightness, contrast, saturation), shift (by up "
        "to 0.04 of each side), or none; the policy's own if not given",
        (*AUGMENTATIONS, NONE),
        distinct=True,
    )
    state_dropout: float = cli.flag(
        0.0, "share of the samples whose whole state is replaced by its mean", least=0, most=1
    )
    state_noise: float = cli.flag(
        0.0, "Gaussian noise on the state, in standard deviations of each of its entries", least=0, most=100
    )

    def check_augment(self) -> None:
        """ValueError for flags that make no sense."""
        if self.augment and NONE in self.augment and len(self.augment) > 1:
            raise ValueError(f"--augment is {' '.join(self.augment)}; {NONE} must stand alone")

    def augmentations(self, default: Sequence[str]) -> tuple[str, ...]:
        """Changes of the images, in order; `default` if the flag is not given."""
        chosen = default if self.augment is None else self.augment
        return tuple(name for name in AUGMENTATIONS if name in chosen)


def _cropped(height: int, width: int) -> tuple[int, int]:
    return int(CROP * height), int(CROP * width)


def _transforms(name: str, height: int, width: int) -> list[v2.Transform]:
    from torchvision.transforms import v2

    if name == "crop":
        return [v2.RandomCrop(_cropped(height, width)), v2.Resize((height, width), antialias=True)]
    if name == "rotate":
        return [v2.RandomRotation(DEGREES, v2.InterpolationMode.BILINEAR)]
    if name == "color":
        return [v2.ColorJitter(BRIGHTNESS, CONTRAST, SATURATION)]
    # the picture's edge is repeated, so that no black border shows how far it was shifted
    margins = [int(SHIFT * width), int(SHIFT * height)]
    return [v2.RandomCrop((height, width), padding=margins, padding_mode="edge")]


def centre_crop(images: Tensor, names: Sequence[str]) -> Tensor:
    """Images (..., H, W, 3) uint8 as a policy sees them when it acts: if training cropped, the middle of the
    same size, scaled up in the same way.
    """
    if "crop" not in names:
        return images
    from torchvision.transforms import v2

    height, width = images.shape[-3:-1]
    crop = v2.Compose([v2.CenterCrop(_cropped(height, width)), v2.Resize((height, width), antialias=True)])
    return crop(images.movedim(-1, -3)).movedim(-3, -1)


class Augmentation:
    """Changes a batch (`utils.Demonstrations.batch`) at random, each sample in its own way.

    All draws come from torch's global generators; those for images from the CPU's, so that nothing waits for
    the device. A change that is off draws nothing.

    Args:
        names: of `AUGMENTATIONS`; all cameras of a sample are changed alike (as in ACT++).
        qpos_mean, qpos_std: (D,), of the state, on the batch's device.
        state_dropout: share of the samples whose whole state becomes its mean.
        state_noise: standard deviation of the noise on the state, in those of its entries.
        darkness: for each camera, the probability that an image becomes black; empty: never.
    """

    def __init__(
        self,
        names: Sequence[str],
        qpos_mean: Tensor,
        qpos_std: Tensor,
        state_dropout: float = 0.0,
        state_noise: float = 0.0,
        darkness: Sequence[float] = (),
    ) -> None:
        import torch

        self._names = [name for name in AUGMENTATIONS if name in names]
        self._mean, self._std = qpos_mean, qpos_std
        self._dropout, self._noise = state_dropout, state_noise
        self._darkness = torch.tensor(darkness, device=qpos_mean.device) if any(darkness) else None

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A changed copy, of the same shapes and types."""
        return {**batch, "images": self.images(batch["images"]), "qpos": self.state(batch["qpos"])}

    def images(self, images: Tensor) -> Tensor:
        """Change (B, ..., cameras, H, W, 3) uint8; a sample's past in the same way as its present."""
        import torch

        if self._names:
            from torchvision.transforms import v2

            height, width = images.shape[-3:-1]
            change = v2.Compose([t for name in self._names for t in _transforms(name, height, width)])
            images = torch.stack([change(sample.movedim(-1, -3)).movedim(-3, -1) for sample in images])
        if self._darkness is not None:
            cameras = (len(images), *[1] * (images.ndim - 5), images.shape[-4])  # (B, ..., cameras)
            is_dark = torch.rand(cameras, device=images.device) < self._darkness
            images = images.masked_fill(is_dark[..., None, None, None], 0)
        return images

    def state(self, qpos: Tensor) -> Tensor:
        """Change (B, ..., D)."""
        import torch

        if self._noise:
            qpos = qpos + self._noise * self._std * torch.randn_like(qpos)
        if self._dropout:
            is_dropped = torch.rand(len(qpos), device=qpos.device) < self._dropout
            qpos = torch.where(is_dropped.view(-1, *[1] * (qpos.ndim - 1)), self._mean, qpos)
        return qpos
