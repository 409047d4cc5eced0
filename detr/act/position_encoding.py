"""Fixed position encodings: DETR's two-dimensional sines for images, ACT's table for sequences.

Both are computed in float64 once per size and device and kept; callers must not change them in place.
A compiled network takes them as constants: the compiler would otherwise trace numpy, and compute them anew on
the CPU in each step.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

TEMPERATURE = 10_000


def _angles(positions: np.ndarray, dim: int) -> np.ndarray:
    """(N,) positions to (N, dim): sines at even indices, cosines at odd, of growing wavelengths."""
    index = np.arange(dim)
    angles = positions[:, None] / TEMPERATURE ** (2 * (index // 2) / dim)  # (N, dim)
    return np.where(index % 2 == 0, np.sin(angles), np.cos(angles))


def _to_tensor(array: np.ndarray, device: torch.device | str) -> Tensor:
    # A tensor first made while evaluating must remain usable for training.
    with torch.inference_mode(False):
        return torch.from_numpy(array.astype(np.float32)).to(device)


def sine_position_2d(h: int, w: int, dim: int, device: torch.device | str = "cpu") -> Tensor:
    """Encode each cell of an (h, w) map; rows of the result run over the map row by row.

    Half of the `dim` numbers tell the row, half the column, each counted from 1 and scaled so that the last
    one is at 2 pi. Source: Carion et al. 2020, "End-to-End Object Detection with Transformers";
    `PositionEmbeddingSine` (normalize=True) in DETR, models/position_encoding.py.

    Returns:
        (h * w, dim) float32.

    Raises:
        ValueError: `dim` is no multiple of 4.
    """
    return _sine_position_2d(h, w, dim, device)


@lru_cache(maxsize=32)
def _sine_position_2d(h: int, w: int, dim: int, device: torch.device | str) -> Tensor:
    if dim % 4:
        raise ValueError(f"the width of 2-D sine positions must be a multiple of 4, got {dim}")
    rows = np.arange(1, h + 1) / (h + 1e-6) * 2 * np.pi
    columns = np.arange(1, w + 1) / (w + 1e-6) * 2 * np.pi
    y = np.repeat(_angles(rows, dim // 2), w, axis=0)  # (h * w, dim / 2)
    x = np.tile(_angles(columns, dim // 2), (h, 1))  # (h * w, dim / 2)
    return _to_tensor(np.concatenate([y, x], axis=1), device)  # (h * w, dim)


def sinusoid_table(n: int, dim: int, device: torch.device | str = "cpu") -> Tensor:
    """Encode the places 0 .. n-1 of a sequence; (n, dim) float32.

    Source: Vaswani et al. 2017, section 3.5; `get_sinusoid_encoding_table` in ACT, detr/models/detr_vae.py.
    """
    return _sinusoid_table(n, dim, device)


@lru_cache(maxsize=32)
def _sinusoid_table(n: int, dim: int, device: torch.device | str) -> Tensor:
    return _to_tensor(_angles(np.arange(n), dim), device)


for _table in (sine_position_2d, sinusoid_table):
    _table._dynamo_marked_constant = True  # torch.compiler.assume_constant_result; that takes seconds to load
