"""Random changes of pictures as ACT++ makes them: crop, rotation, colour; and a shift by whole pixels.

Their draws are torchvision's, from torch's generator. They and the results are settled, so that runs of
earlier versions go on bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from policies.augmentation.change import Change, Numbers, columns

if TYPE_CHECKING:
    from torch import Tensor

CROP = 0.95  # of each side that a crop keeps (ACT++: utils.py)
DEGREES = 5.0  # of rotation either way (ACT++: utils.py)
BRIGHTNESS, CONTRAST, SATURATION = 0.3, 0.4, 0.5  # colour jitter, either way of 1 (ACT++: utils.py)
SHIFT = 0.04  # of each side, either way


def cropped_size(height: int, width: int) -> tuple[int, int]:
    """What `crop` keeps of a picture of a size."""
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
    middle = v2.CenterCrop(cropped_size(height, width))(images.movedim(-1, -3)).movedim(-3, -1)
    return _resized(middle, height, width)


def _uniform(least: float, most: float) -> float:
    import torch

    return torch.empty(1).uniform_(least, most).item()


def _below(count: int) -> int:
    import torch

    return int(torch.randint(count, ())) if count > 1 else 0


def _cut(images: Tensor, numbers: Numbers, height: int, width: int) -> Tensor:
    """(B, n, height, width, 3): of each sample the part whose first row and column are given."""
    import torch

    corners = (corner for (corner,) in numbers)
    pairs = zip(images, corners, strict=True)
    return torch.stack([i[:, top : top + height, left : left + width] for i, (top, left) in pairs])


def _draw_crop(height: int, width: int, _: Random) -> list[float]:
    cropped = cropped_size(height, width)
    return [_below(whole - part + 1) for whole, part in zip((height, width), cropped, strict=True)]


def _crop(images: Tensor, numbers: Numbers) -> Tensor:
    height, width = images.shape[-3:-1]
    return _resized(_cut(images, numbers, *cropped_size(height, width)), height, width)


def _draw_rotation(height: int, width: int, _: Random) -> list[float]:
    angle = math.radians(_uniform(-DEGREES, DEGREES))
    return [math.cos(angle), math.sin(angle) * height / width, math.sin(angle) * width / height]


def _rotate(images: Tensor, numbers: Numbers) -> Tensor:
    """About the middle; what comes in from outside is black."""
    import torch
    from torch.nn import functional as F

    cos, sin_x, sin_y = (column.flatten() for column in columns(numbers, images))  # (B,) each
    zero = torch.zeros_like(cos)
    rows = [torch.stack(row, dim=1) for row in ((cos, -sin_x, zero), (sin_y, cos, zero))]
    flat = images.movedim(-1, -3).flatten(1, 2).float()  # (B, n * 3, H, W)
    grid = F.affine_grid(torch.stack(rows, dim=1), list(flat.shape), align_corners=False)
    turned = F.grid_sample(flat, grid, align_corners=False).round_().to(torch.uint8)
    return turned.unflatten(1, (-1, 3)).movedim(-3, -1)


def _draw_colour(height: int, width: int, _: Random) -> list[float]:
    import torch

    order = [place for place in torch.randperm(4).tolist() if place < 3]  # a fourth would be the hue
    return [*order, *(_uniform(1 - most, 1 + most) for most in (BRIGHTNESS, CONTRAST, SATURATION))]


def _colour(images: Tensor, numbers: Numbers) -> Tensor:
    """Brightness, contrast and saturation, in each sample's own order: mixtures with black, with the mean of
    its grey picture, and with that picture itself.
    """
    import torch

    steps = [
        [[value for place in row[:3] for value in (row[3 + int(place)], place == 1, place == 2)]]
        for (row,) in numbers
    ]
    parts = [column.unsqueeze(-1) for column in columns(steps, images)]  # (B, 1, 1, 1, 1) each
    pictures = images.movedim(-1, -3).float().contiguous()  # (B, n, 3, H, W)
    for factor, is_contrast, is_saturation in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        red, green, blue = pictures.split(1, dim=-3)
        grey = (0.2989 * red + 0.587 * green + 0.114 * blue).floor_()  # (B, n, 1, H, W)
        other = is_contrast * grey.mean(dim=(-2, -1), keepdim=True) + is_saturation * grey
        pictures = (factor * pictures + (1 - factor) * other).clamp_(0, 255).floor_()
    return pictures.to(torch.uint8).movedim(-3, -1)


def _margins(height: int, width: int) -> tuple[int, int]:
    return int(SHIFT * height), int(SHIFT * width)


def _draw_shift(height: int, width: int, _: Random) -> list[float]:
    return [_below(2 * margin + 1) for margin in _margins(height, width)]


def _shift(images: Tensor, numbers: Numbers) -> Tensor:
    """The picture's edge is repeated, so that no black border shows how far it was shifted."""
    import torch

    height, width = images.shape[-3:-1]
    wide = images
    for dim, margin in zip((-3, -2), _margins(height, width), strict=True):
        edges = (wide.narrow(dim, place, 1) for place in (0, wide.shape[dim] - 1))
        first, last = (edge.repeat_interleave(margin, dim=dim) for edge in edges)
        wide = torch.cat([first, wide, last], dim=dim)
    return _cut(wide, numbers, height, width)


PLAIN_CHANGES = {
    "crop": Change(
        f"to {CROP:g} of each side; evaluation then sees as much of the middle",
        _draw_crop,
        _crop,
        settled=True,
    ),
    "rotate": Change(f"by up to {DEGREES:g} degrees", _draw_rotation, _rotate, settled=True),
    "color": Change("brightness, contrast, saturation", _draw_colour, _colour, settled=True),
    "shift": Change(f"by up to {SHIFT:g} of each side", _draw_shift, _shift, settled=True),
}
