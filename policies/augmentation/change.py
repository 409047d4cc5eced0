"""What a random change of pictures in training is, and what all of them are made of.

A change draws numbers, and changes pictures by them. The numbers stay on the CPU, or go to the device without
anything waiting for it. torch is imported where it computes, so that the flags load without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# of each of B samples: a row for all of its pictures, or one for each of them
Numbers = Sequence[Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Change:
    """A random change of pictures.

    Args:
        words: what it does, for `--help`.
        draw: of the height and width (pixels) and a source of random numbers, a row of numbers.
        apply: of pictures (B, n, H, W, 3) uint8 and the numbers of each sample, the changed pictures. The n
            are a sample's cameras; for a policy that looks back, those of each step, oldest first.
        rate: share of the samples that are changed.
        by_camera: each camera draws numbers of its own; otherwise all are changed alike.
        settled: one of the first four, whose runs go on bit for bit: it draws from torch's generator, and on
            a CPU it changes one sample at a time.
    """

    words: str
    draw: Callable[[int, int, Random], list[float]]
    apply: Callable[[Tensor, Numbers], Tensor]
    rate: float = 1.0
    by_camera: bool = False
    settled: bool = False

    def numbers(self, cameras: int, height: int, width: int, random: Random) -> list[list[float]] | None:
        """A sample's rows of numbers, one or as many as cameras; None if it is left as it is."""
        if self.rate < 1 and random.random() >= self.rate:
            return None
        return [self.draw(height, width, random) for _ in range(cameras if self.by_camera else 1)]


def log_uniform(random: Random, least: float, most: float) -> float:
    """As likely between 1/2 and 1 as between 1 and 2."""
    return least * (most / least) ** random.random()


def columns(numbers: Numbers, pictures: Tensor) -> list[Tensor]:
    """Each kind of number as (B, 1 or n, 1, 1), on the device of the pictures."""
    import torch

    table = torch.tensor(numbers, dtype=torch.float32).to(pictures.device, non_blocking=True)
    return [column[..., None, None] for column in table.unbind(dim=-1)]


def in_rows(pictures: Tensor) -> Tensor:
    """(B, n, H, W, 3) uint8 to (B, n, H, W * 3) float: an innermost loop over 3 takes much longer."""
    return pictures.flatten(-2).float()


def in_levels(values: Tensor) -> Tensor:
    """Floats to uint8, rounded and cut off at 0 and 255; `values` is written over."""
    import torch

    # by way of int16, for which a CPU has instructions
    return values.add_(0.5).clamp_(0, 255).to(torch.int16).to(torch.uint8)


def in_pixels(rows: Tensor) -> Tensor:
    """(B, n, H, W * 3) float to (B, n, H, W, 3) uint8, as `in_levels`."""
    return in_levels(rows).unflatten(-1, (-1, 3))
