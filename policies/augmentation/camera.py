"""Random changes that a camera makes: focus, motion, noise of its sensor, and JPEG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from policies.augmentation.change import Change, Numbers, columns, in_pixels, in_rows

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BLUR = (0.003, 0.0125)  # standard deviation, of the height
REACH = 3  # standard deviations at which a Gaussian ends
MOTION = (0.015, 0.05)  # length, of the height
NOISE = 25.0  # of 255: the largest standard deviation
NOISE_UNIT = 32  # of the stored noise: its standard deviation
OFFSETS = 1 << 16  # places where the noise of a picture begins
QUALITY = (10.0, 60.0)  # as the Independent JPEG Group counts it, below 100


def _draw_blur(height: int, width: int, random: Random) -> list[float]:
    """Weights of a Gaussian, from its middle outwards."""
    sigma = random.uniform(*BLUR) * height
    last, reach = math.ceil(REACH * BLUR[1] * height), math.ceil(REACH * sigma)
    weights = [math.exp(-0.5 * (k / sigma) ** 2) if k <= reach else 0.0 for k in range(last + 1)]
    total = 2 * sum(weights) - weights[0]
    return [weight / total for weight in weights]


def _blur(pictures: Tensor, numbers: Numbers) -> Tensor:
    """A Gaussian's, along the columns and then along the rows."""
    reach = max(k for (row,) in numbers for k, weight in enumerate(row) if weight)
    weights = columns([[row[: reach + 1]] for (row,) in numbers], pictures)
    rows = in_rows(pictures)
    for dim, step in ((-2, 1), (-1, 3)):
        length, wide = rows.shape[dim], _widened(rows, dim, step, reach)
        rows = weights[0] * rows
        for k, weight in enumerate(weights[1:], 1):
            before, after = (wide.narrow(dim, step * place, length) for place in (reach - k, reach + k))
            rows.addcmul_(before + after, weight)
    return in_pixels(rows)


def _widened(rows: Tensor, dim: int, step: int, count: int) -> Tensor:
    """`rows` with each edge along `dim`, `step` numbers wide, repeated `count` times."""
    import torch

    first, last = (rows.narrow(dim, place, step) for place in (0, rows.shape[dim] - step))
    return torch.cat([*[first] * count, rows, *[last] * count], dim=dim)


def _draw_motion(height: int, width: int, random: Random) -> list[float]:
    """Pixels along a line through the middle: of each its row, its column, and its weight."""
    angle, length = random.uniform(0, math.pi), random.uniform(*MOTION) * height
    steps = math.ceil(MOTION[1] * height)
    weights: dict[tuple[int, int], float] = {}
    for step in range(steps + 1):
        away = length * (step / steps - 0.5)
        place = round(away * math.sin(angle)), round(away * math.cos(angle))
        weights[place] = weights.get(place, 0.0) + 1 / (steps + 1)
    return [number for (row, column), weight in weights.items() for number in (row, column, weight)]


def _motion_blur(pictures: Tensor, numbers: Numbers) -> Tensor:
    """The mean of the picture at places along a line."""
    import torch

    rows = in_rows(pictures)
    height, width = rows.shape[-2:]
    reach = math.ceil(MOTION[1] * height / 2)
    wide = _widened(_widened(rows, -2, 1, reach), -1, 3, reach)
    means = torch.zeros_like(rows)
    for mean, picture, (row,) in zip(means, wide, numbers, strict=True):
        for down, right, weight in zip(row[::3], row[1::3], row[2::3], strict=True):
            top, left = reach + down, 3 * (reach + right)
            mean.add_(picture[:, top : top + height, left : left + width], alpha=weight)
    return in_pixels(means)


def _draw_noise(height: int, width: int, random: Random) -> list[float]:
    """Standard deviation, of either sign, and a place in the bank of noise."""
    return [random.uniform(-NOISE, NOISE), int(OFFSETS * random.random())]


@lru_cache(maxsize=4)
def noise_bank(count: int, device: torch.device) -> Tensor:
    """(count,) int8, Gaussian, of which any stretch is a picture's noise; always the same."""
    import torch

    drawn = torch.randn(count, generator=torch.Generator().manual_seed(0))
    return drawn.mul_(NOISE_UNIT).round_().clamp_(-127, 127).to(torch.int8).to(device)


def _noise(pictures: Tensor, numbers: Numbers) -> Tensor:
    """Another for every picture, also for those of a sample's past."""
    import torch

    rows = in_rows(pictures)
    samples, count, size = len(rows), rows.shape[1], rows[0, 0].numel()
    bank = noise_bank(count * size + OFFSETS, pictures.device)
    sigma, _ = columns(numbers, pictures)
    starts = [row[1] + k * size for sample in numbers for k, row in enumerate(sample)]
    noise = torch.stack([bank[start : start + size] for start in starts]).view(samples, *rows.shape[1:])
    return in_pixels(rows.addcmul_(noise.float(), sigma / NOISE_UNIT))


# --- JPEG: RGB to YCbCr, the cosine transform of blocks of 8x8 pixels, and coefficients rounded to multiples
# of a table (ITU-T T.81, annex K), without the loss of colour's resolution that many encoders add

LUMA_TABLE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_TABLE = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *[99] * 32,
)
YCBCR = (  # of RGB (ITU-T T.871)
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def _draw_quality(height: int, width: int, random: Random) -> list[float]:
    """How much coarser than the tables: the Independent JPEG Group's formula, in percent."""
    quality = random.uniform(*QUALITY)
    return [5000 / quality if quality < 50 else 200 - 2 * quality]


@lru_cache(maxsize=4)
def jpeg_matrices(device: torch.device) -> Sequence[Tensor]:
    """The cosine transform of a column, (8, 8); that of a row together with YCbCr, (24, 24), and its inverse;
    and the tables of the three colours side by side, (8, 24).
    """
    import torch

    k = torch.arange(8, dtype=torch.float64)
    cosine = torch.cos(math.pi / 8 * (k + 0.5) * k[:, None]) / 2
    cosine[0] /= math.sqrt(2)
    across = torch.kron(cosine, torch.tensor(YCBCR, dtype=torch.float64))
    luma, chroma = (torch.tensor(t, dtype=torch.float64).view(8, 8) for t in (LUMA_TABLE, CHROMA_TABLE))
    tables = torch.stack([luma, chroma, chroma], dim=-1).flatten(1)
    return [matrix.float().to(device) for matrix in (cosine, across, across.inverse(), tables)]


def _jpeg(pictures: Tensor, numbers: Numbers) -> Tensor:
    """A picture that was written as JPEG and read again."""
    height, width = pictures.shape[-3:-1]
    rows = in_rows(pictures).sub_(128)
    if height % 8:
        rows = _widened(rows, -2, 1, 8 - height % 8)[..., 8 - height % 8 :, :]
    if width % 8:
        rows = _widened(rows, -1, 3, 8 - width % 8)[..., 3 * (8 - width % 8) :]
    down, across, back, tables = jpeg_matrices(pictures.device)
    blocks = (rows.unflatten(-1, (-1, 24)) @ across.T).flatten(-2).unflatten(-2, (-1, 8))
    (percent,) = columns(numbers, pictures)
    steps = (tables * percent / 100 + 0.5).floor_().clamp_(1, 255)  # (B, 1, 8, 24)
    steps = steps.repeat(1, 1, 1, rows.shape[-1] // 24)[:, :, None]  # (B, 1, 1, 8, W * 3)
    coefficients = (down @ blocks).div_(steps).round_().mul_(steps)  # (B, n, H / 8, 8, W * 3)
    rows = ((down.T @ coefficients).flatten(-3, -2).unflatten(-1, (-1, 24)) @ back.T).flatten(-2)
    return in_pixels(rows[..., :height, : 3 * width].add_(128))


CAMERA_CHANGES = {
    "blur": Change(
        f"Gaussian, standard deviation up to {BLUR[1]:g} of the height", _draw_blur, _blur, rate=0.15
    ),
    "motion_blur": Change(
        f"along a line of up to {MOTION[1]:g} of the height", _draw_motion, _motion_blur, rate=0.15
    ),
    "noise": Change(
        f"Gaussian, standard deviation up to {NOISE:g} of 255",
        _draw_noise,
        _noise,
        rate=0.25,
        by_camera=True,
    ),
    "jpeg": Change(f"of quality {QUALITY[0]:g} to {QUALITY[1]:g}", _draw_quality, _jpeg, rate=0.15),
}
