"""Random changes of a training batch, made on the device: of its images, and of the state beside them.

A policy that can read the arm's joints learns to look at the picture last. An unreliable state, or a camera
that is sometimes dark, takes that shortcut away.

torch and torchvision are imported where they compute, so that the flags load without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from common import cli

if TYPE_CHECKING:
    from torch import Tensor

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


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    """Images (..., h, w, 3) uint8, scaled to (..., height, width, 3)."""
    from torchvision.transforms import v2

    resize = v2.Resize((height, width), antialias=True)
    return resize(images.movedim(-1, -3)).movedim(-3, -1)


def centre_crop(images: Tensor, names: Sequence[str]) -> Tensor:
    """Images (..., H, W, 3) uint8 as a policy sees them when it acts: if training cropped, the middle of the
    same size, scaled up in the same way.
    """
    if "crop" not in names:
        return images
    from torchvision.transforms import v2

    height, width = images.shape[-3:-1]
    middle = v2.CenterCrop(_cropped(height, width))(images.movedim(-1, -3)).movedim(-3, -1)
    return _resized(middle, height, width)


# --- the changes: each draws numbers for one sample, and is made on several at once, (B, n, H, W, 3) uint8,
# by the numbers of each. These stay on the CPU, or go to the device without anything waiting for it.


def _uniform(least: float, most: float) -> float:
    import torch

    return torch.empty(1).uniform_(least, most).item()


def _below(count: int) -> int:
    import torch

    return int(torch.randint(count, ())) if count > 1 else 0


def _columns(numbers: Sequence[Sequence[float]], images: Tensor) -> list[Tensor]:
    """The numbers of B samples, each kind as (B, 1, 1, 1, 1) on the device of the images."""
    import torch

    table = torch.tensor(numbers, dtype=torch.float32).to(images.device, non_blocking=True)
    return [column.view(-1, 1, 1, 1, 1) for column in table.unbind(dim=1)]


def _cut(images: Tensor, corners: Sequence[Sequence[int]], height: int, width: int) -> Tensor:
    """(B, n, height, width, 3): of each sample the part whose first row and column are given."""
    import torch

    pairs = zip(images, corners, strict=True)
    return torch.stack([i[:, top : top + height, left : left + width] for i, (top, left) in pairs])


def _draw_crop(height: int, width: int) -> list[int]:
    cropped = _cropped(height, width)
    return [_below(whole - part + 1) for whole, part in zip((height, width), cropped, strict=True)]


def _crop(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    height, width = images.shape[-3:-1]
    return _resized(_cut(images, numbers, *_cropped(height, width)), height, width)


def _draw_rotation(height: int, width: int) -> list[float]:
    angle = math.radians(_uniform(-DEGREES, DEGREES))
    return [math.cos(angle), math.sin(angle) * height / width, math.sin(angle) * width / height]


def _rotate(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    """About the middle; what comes in from outside is black."""
    import torch
    from torch.nn import functional as F

    cos, sin_x, sin_y = (column.flatten() for column in _columns(numbers, images))  # (B,) each
    zero = torch.zeros_like(cos)
    rows = [torch.stack(row, dim=1) for row in ((cos, -sin_x, zero), (sin_y, cos, zero))]
    flat = images.movedim(-1, -3).flatten(1, 2).float()  # (B, n * 3, H, W)
    grid = F.affine_grid(torch.stack(rows, dim=1), list(flat.shape), align_corners=False)
    turned = F.grid_sample(flat, grid, align_corners=False).round_().to(torch.uint8)
    return turned.unflatten(1, (-1, 3)).movedim(-3, -1)


def _draw_colour(height: int, width: int) -> list[float]:
    import torch

    order = [place for place in torch.randperm(4).tolist() if place < 3]  # a fourth would be the hue
    return [*order, *(_uniform(1 - most, 1 + most) for most in (BRIGHTNESS, CONTRAST, SATURATION))]


def _colour(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    """Brightness, contrast and saturation, in each sample's own order: mixtures with black, with the mean of
    its grey picture, and with that picture itself.
    """
    import torch

    steps = [
        [value for place in row[:3] for value in (row[3 + int(place)], place == 1, place == 2)]
        for row in numbers
    ]
    columns = _columns(steps, images)
    pictures = images.movedim(-1, -3).float().contiguous()  # (B, n, 3, H, W)
    for factor, is_contrast, is_saturation in zip(columns[::3], columns[1::3], columns[2::3], strict=True):
        red, green, blue = pictures.split(1, dim=-3)
        grey = (0.2989 * red + 0.587 * green + 0.114 * blue).floor_()  # (B, n, 1, H, W)
        other = is_contrast * grey.mean(dim=(-2, -1), keepdim=True) + is_saturation * grey
        pictures = (factor * pictures + (1 - factor) * other).clamp_(0, 255).floor_()
    return pictures.to(torch.uint8).movedim(-3, -1)


def _margins(height: int, width: int) -> tuple[int, int]:
    return int(SHIFT * height), int(SHIFT * width)


def _draw_shift(height: int, width: int) -> list[int]:
    return [_below(2 * margin + 1) for margin in _margins(height, width)]


def _shift(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    """The picture's edge is repeated, so that no black border shows how far it was shifted."""
    import torch

    height, width = images.shape[-3:-1]
    wide = images
    for dim, margin in zip((-3, -2), _margins(height, width), strict=True):
        edges = (wide.narrow(dim, place, 1) for place in (0, wide.shape[dim] - 1))
        first, last = (edge.repeat_interleave(margin, dim=dim) for edge in edges)
        wide = torch.cat([first, wide, last], dim=dim)
    return _cut(wide, numbers, height, width)


# by name: what draws a sample's numbers for pictures of a height and width, and what changes pictures by them
CHANGES: dict[
    str, tuple[Callable[[int, int], list[float]], Callable[[Tensor, list[list[float]]], Tensor]]
] = {
    "crop": (_draw_crop, _crop),
    "rotate": (_draw_rotation, _rotate),
    "color": (_draw_colour, _colour),
    "shift": (_draw_shift, _shift),
}


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
            drawn = [[CHANGES[name][0](*images.shape[-3:-1]) for name in self._names] for _ in images]
            # a sample fits into a CPU's cache, a batch does not
            at_once = len(images) if images.is_cuda else 1
            parts = range(0, len(images), at_once)
            changed = [self._changed(images[i : i + at_once], drawn[i : i + at_once]) for i in parts]
            images = torch.cat(changed)
        if self._darkness is not None:
            cameras = (len(images), *[1] * (images.ndim - 5), images.shape[-4])  # (B, ..., cameras)
            is_dark = torch.rand(cameras, device=images.device) < self._darkness
            images = images.masked_fill(is_dark[..., None, None, None], 0)
        return images

    def _changed(self, images: Tensor, drawn: Sequence[Sequence[list[float]]]) -> Tensor:
        """Images (B, ..., H, W, 3), each sample by its numbers, a row for each change."""
        pictures = images.flatten(1, -4)  # (B, n, H, W, 3)
        for name, numbers in zip(self._names, zip(*drawn, strict=True), strict=True):
            pictures = CHANGES[name][1](pictures, numbers)
        return pictures.reshape(images.shape)

    def state(self, qpos: Tensor) -> Tensor:
        """Change (B, ..., D)."""
        import torch

        if self._noise:
            qpos = qpos + self._noise * self._std * torch.randn_like(qpos)
        if self._dropout:
            is_dropped = torch.rand(len(qpos), device=qpos.device) < self._dropout
            qpos = torch.where(is_dropped.view(-1, *[1] * (qpos.ndim - 1)), self._mean, qpos)
        return qpos
