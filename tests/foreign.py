"""Episode files as other people's programs write them: as ACT's own, and then changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np

T, D, H, W = 12, 14, 48, 64


def picture(t: int) -> np.ndarray:
    """(H, W, 3) uint8: a gradient, and a square that moves."""
    y, x = np.mgrid[:H, :W]
    image = np.stack([4 * x, 5 * y, 255 - 4 * x], axis=2).astype(np.uint8)
    image[10:20, 3 * t : 3 * t + 10] = 250
    return image


def pictures() -> np.ndarray:
    """(T, H, W, 3) uint8."""
    return np.stack([picture(t) for t in range(T)])


def jpeg(t: int, *options: int) -> bytes:
    return cv2.imencode(".jpg", picture(t), options)[1].tobytes()


def padded(rows: list[bytes], fill: int = 0) -> np.ndarray:
    """(T, L) uint8."""
    table = np.full((len(rows), max(map(len, rows)) + 20), fill, np.uint8)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = np.frombuffer(row, np.uint8)
    return table


def motion(dim: int = D) -> np.ndarray:
    """(T, dim) float32."""
    return (0.1 * np.sin(np.arange(T)[:, None] / 5 + np.arange(dim))).astype(np.float32)


def write(path: Path, change: Callable[[h5py.File], None] | None = None, dim: int = D, **attributes) -> Path:
    """A file as ACT's recorder writes it, with these attributes, and then changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as root:
        root.attrs["sim"] = True
        for name, value in attributes.items():
            root.attrs[name] = value
        root["observations/images/top"] = pictures()
        root["observations/qpos"] = motion(dim)
        root["observations/qvel"] = np.zeros((T, dim), np.float32)
        root["action"] = motion(dim)
        if change:
            change(root)
    return path


def put(name: str, value) -> Callable[[h5py.File], None]:
    """The change that puts a dataset in place of what is there; None: nothing."""

    def change(root: h5py.File) -> None:
        if name in root:
            del root[name]
        if value is not None:
            root[name] = value

    return change
