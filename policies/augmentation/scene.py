"""Random changes of what is in front of the camera: where it stands, what covers the view, and the light."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

from policies.augmentation.change import Change, Numbers, columns, in_levels, in_pixels, in_rows, log_uniform

if TYPE_CHECKING:
    from torch import Tensor

MOVE, TURN, ZOOM = 0.03, 3.0, 0.04  # of each side, degrees, of the scale; either way
PATCHES, PATCH = 2, (0.06, 0.3)  # at most so many; sides, of the height
SHADOW_RADIUS, SHADOW_EDGE = (0.1, 3.0), (0.01, 0.06)  # of the height; the widest look like half-planes
SHADOW_DEPTH = (0.25, 0.7)  # of the light that a shadow takes away
BRIGHTNESS = (0.4, 1.8)
GAMMA = (0.5, 2.0)
GAIN = (0.7, 1.4)  # of red and of blue
LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue are (ITU-R BT.601)


def _draw_affine(height: int, width: int, random: Random) -> list[float]:
    """Which place of the picture a pixel shows, in halves of the sides: x and y by the pixel's x, by its y,
    and what is added.
    """
    angle = math.radians(random.uniform(-TURN, TURN))
    scale = 1 / random.uniform(1 - ZOOM, 1 + ZOOM)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    right, down = (2 * random.uniform(-MOVE, MOVE) for _ in range(2))
    return [cos, sin * width / height, -sin * height / width, cos, right, down]


def _affine(pictures: Tensor, numbers: Numbers) -> Tensor:
    """Shift, rotation and zoom at once, about the middle; the edge is repeated."""
    import torch
    from torch.nn import functional as F

    height, width = pictures.shape[-3:-1]
    y, x = (
        (2 * torch.arange(n, dtype=torch.float32, device=pictures.device) + 1) / n - 1
        for n in (height, width)
    )
    by_x, by_y, middle = torch.cat(columns(numbers, pictures), dim=1).split(2, dim=1)  # (B, 2, 1, 1) each
    grid = by_x * x + (by_y * y[:, None] + middle)  # (B, 2, H, W): all x, then all y, which is faster
    flat = pictures.movedim(-1, -3).flatten(1, 2).float()  # (B, n * 3, H, W)
    moved = F.grid_sample(flat, grid.movedim(1, -1), padding_mode="border", align_corners=False)
    return in_levels(moved).unflatten(1, (-1, 3)).movedim(-3, -1).contiguous()


def _draw_patches(height: int, width: int, random: Random) -> list[float]:
    """Of each patch: first row and the one after the last, columns likewise, and its colour."""
    numbers: list[float] = []
    for patch in range(PATCHES):
        is_there = patch == 0 or random.random() < 0.5
        sides = [random.uniform(*PATCH) * height * is_there for _ in range(2)]
        for side, whole in zip(sides, (height, width), strict=True):
            first = random.uniform(-side / 2, whole - side / 2)  # the middle is inside
            numbers += [max(0, round(first)), min(whole, round(first + side))]
        numbers += [int(256 * random.random()) for _ in range(3)]
    return numbers


def _erase(pictures: Tensor, numbers: Numbers) -> Tensor:
    """Cover parts of the picture."""
    import torch

    covered = pictures.clone()
    colours = torch.stack(columns(numbers, pictures), dim=-1).to(torch.uint8)  # (B, n, 1, 1, numbers)
    for sample, rows in enumerate(numbers):
        for picture, row in enumerate(rows):
            for k in range(0, len(row), 7):
                top, bottom, left, right = row[k : k + 4]
                if bottom > top and right > left:
                    colour = colours[sample, picture, :, :, k + 4 : k + 7]
                    covered[sample, picture, top:bottom, left:right] = colour
    return covered


def _draw_shadow(height: int, width: int, random: Random) -> list[float]:
    """An ellipse whose edge is somewhere in the picture: two coordinates as functions of x and y (pixels), in
    which it is the unit circle; how sharp its edge is; and its depth.
    """
    angle = random.uniform(-math.pi, math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    long, wide = (log_uniform(random, *SHADOW_RADIUS) * height for _ in range(2))
    x, y = random.uniform(0, width) - long * cos, random.uniform(0, height) - long * sin  # its middle
    first = [cos / long, sin / long, -(x * cos + y * sin) / long]
    second = [-sin / wide, cos / wide, (x * sin - y * cos) / wide]
    sharpness = min(long, wide) / (random.uniform(*SHADOW_EDGE) * height)
    return [*first, *second, sharpness, random.uniform(*SHADOW_DEPTH)]


def _shadow(pictures: Tensor, numbers: Numbers) -> Tensor:
    """Darken what is inside the ellipse."""
    import torch

    height, width = pictures.shape[-3:-1]
    x = torch.arange(width, device=pictures.device)
    y = torch.arange(height, device=pictures.device)[:, None]  # (H, 1)
    a_x, a_y, a_0, b_x, b_y, b_0, sharpness, depth = columns(numbers, pictures)  # (B, 1 or n, 1, 1)
    radius = (a_x * x + a_0 + a_y * y).square_() + (b_x * x + b_0 + b_y * y).square_()
    light = radius.sqrt_().sub_(1).mul_(-sharpness).sigmoid_().mul_(-depth).add_(1)  # (B, n, H, W)
    return in_pixels(in_rows(pictures).mul_(light.repeat_interleave(3, dim=-1)))


def _draw_brightness(height: int, width: int, random: Random) -> list[float]:
    return [log_uniform(random, *BRIGHTNESS)]


def _brightness(pictures: Tensor, numbers: Numbers) -> Tensor:
    (factor,) = columns(numbers, pictures)
    return in_pixels(in_rows(pictures).mul_(factor))


def _draw_gamma(height: int, width: int, random: Random) -> list[float]:
    return [log_uniform(random, *GAMMA)]


def _gamma(pictures: Tensor, numbers: Numbers) -> Tensor:
    """255 (level / 255) ** gamma."""
    (gamma,) = columns(numbers, pictures)
    return in_pixels(in_rows(pictures).pow_(gamma).mul_(255.0 ** (1 - gamma)))


def _draw_gains(height: int, width: int, random: Random) -> list[float]:
    return [log_uniform(random, *GAIN), 1.0, log_uniform(random, *GAIN)]


def _white_balance(pictures: Tensor, numbers: Numbers) -> Tensor:
    import torch

    gains = torch.cat(columns(numbers, pictures), dim=-1)  # (B, 1, 1, 3)
    return in_pixels(in_rows(pictures).mul_(gains.repeat(1, 1, 1, pictures.shape[-2])))


def _draw_nothing(height: int, width: int, random: Random) -> list[float]:
    return []


def _grey(pictures: Tensor, numbers: Numbers) -> Tensor:
    red, green, blue = pictures.unbind(dim=-1)
    grey = (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])  # (B, n, H, W)
    return in_levels(grey)[..., None].expand_as(pictures)


SCENE_CHANGES = {
    "affine": Change(
        f"shift by up to {MOVE:g} of each side, rotation by {TURN:g} degrees, zoom by {ZOOM:g}",
        _draw_affine,
        _affine,
        rate=0.3,
    ),
    "erase": Change(
        f"up to {PATCHES} patches of a random colour, sides up to {PATCH[1]:g} of the height",
        _draw_patches,
        _erase,
        rate=0.25,
        by_camera=True,
    ),
    "shadow": Change("with a soft edge", _draw_shadow, _shadow, rate=0.2, by_camera=True),
    "brightness": Change(
        f"times {BRIGHTNESS[0]:g} to {BRIGHTNESS[1]:g}", _draw_brightness, _brightness, rate=0.25
    ),
    "gamma": Change(f"{GAMMA[0]:g} to {GAMMA[1]:g}", _draw_gamma, _gamma, rate=0.15),
    "white_balance": Change(
        f"red and blue times {GAIN[0]:g} to {GAIN[1]:g}", _draw_gains, _white_balance, rate=0.25
    ),
    "grey": Change("without colour", _draw_nothing, _grey, rate=0.1),
}
