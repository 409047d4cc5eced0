"""Reference pictures: what a camera shows where episodes begin, and which of it stays where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from episodes import Episode, encode_jpeg

MOST_EPISODES = 7  # of a dataset, evenly over it, whose first frames make its reference
VARIES = 20  # of 255, in any colour, after evening out brightness: more than a camera's noise
NEAR = 9  # pixels around what varies that are left out too
EDGE = 40.0  # grey levels a pixel or so (Sobel): what is seen of a camera's place
LEAST_STEADY = 0.5  # of the edges; where fewer stay, the pictures are of different places
QUALITY = 95  # of the reference's JPEG


@dataclass(frozen=True)
class Reference:
    """A camera's picture where episodes begin."""

    picture: np.ndarray  # (H, W, 3) uint8 RGB
    steady: np.ndarray  # (H, W) bool, where it is the same in all episodes

    def plain(self) -> dict[str, bytes]:
        """As plain values, for a checkpoint: a JPEG and a PNG."""
        _, steady = cv2.imencode(".png", 255 * self.steady.astype(np.uint8))
        return {"picture": encode_jpeg(self.picture, QUALITY).tobytes(), "steady": steady.tobytes()}


def make_reference(pictures: Sequence[np.ndarray]) -> Reference:
    """The reference from pictures (H, W, 3) uint8 RGB of one camera, where episodes begin.

    It is their median, so that what lies elsewhere in each of them is gone.

    Raises:
        ValueError: they differ nearly everywhere: in size, or because camera, table or light changed.
    """
    sizes = {picture.shape for picture in pictures}
    if len(sizes) > 1:
        listed = " and ".join(sorted("x".join(map(str, size[1::-1])) for size in sizes))
        raise ValueError(f"its pictures are of different sizes, {listed}")
    first = pictures[0]
    if len(pictures) == 1:
        return Reference(first, np.ones(first.shape[:2], bool))
    median = np.median(np.stack(pictures), axis=0).astype(np.uint8)
    smooth = _smooth(median)
    varies = np.zeros(first.shape[:2], bool)
    for picture in map(_smooth, pictures):
        gain = np.median(smooth, axis=(0, 1)) / np.maximum(np.median(picture, axis=(0, 1)), 1)  # (3,)
        varies |= (np.abs(gain * picture - smooth) > VARIES).any(axis=2)
    edges = _edges(first)
    if edges.any() and 1 - varies[edges].mean() < LEAST_STEADY:
        raise ValueError("the first pictures of its episodes differ: camera, table or light changed")
    steady = cv2.erode((~varies).astype(np.uint8), np.ones((NEAR, NEAR), np.uint8))
    return Reference(median, steady > 0)


def _smooth(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32, without a camera's noise."""
    return cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32)


def _edges(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool, where brightness changes from pixel to pixel."""
    grey = cv2.cvtColor(cv2.GaussianBlur(picture, (0, 0), 1.0), cv2.COLOR_RGB2GRAY)
    return cv2.magnitude(*(cv2.Sobel(grey, cv2.CV_32F, x, 1 - x) for x in (1, 0))) > EDGE


def dataset_references(
    paths: Sequence[Path], cameras: Sequence[str] | None = None
) -> tuple[dict[str, Reference], dict[str, str]]:
    """The references of a dataset, from the first frames of its episodes.

    Args:
        paths: of its episodes.
        cameras: which; all if not given.

    Returns:
        a reference for each camera that has one; and for each other one, why it has none.
    """
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, MOST_EPISODES).round().astype(int))]
    episodes = [Episode.load(path, cameras, in_memory=False) for path in chosen]
    references: dict[str, Reference] = {}
    missing: dict[str, str] = {}
    for camera in episodes[0].images if cameras is None else cameras:
        frames = [one.images[camera][0] for one in episodes if camera in one.images and len(one)]
        try:
            references[camera] = make_reference(frames)
        except ValueError as error:
            missing[camera] = str(error)
    return references, missing


def stored_references(values: Any, where: str) -> dict[str, Reference]:
    """References by camera, from the plain values that a file holds; ValueError if they are none.

    `where` is what a message calls them; None, of files without references, gives none.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} are no pictures by camera")
    return {camera: _stored(value, f"{where}: that of {camera!r}") for camera, value in values.items()}


def _stored(value: Any, where: str) -> Reference:
    parts = [value.get(name) if isinstance(value, Mapping) else None for name in ("picture", "steady")]
    if not all(isinstance(part, bytes) and part for part in parts):
        raise ValueError(f"{where} is no picture")
    picture, steady = (
        cv2.imdecode(np.frombuffer(part, np.uint8), how)
        for part, how in zip(parts, (cv2.IMREAD_COLOR, cv2.IMREAD_GRAYSCALE), strict=True)
    )
    if picture is None or steady is None or picture.shape[:2] != steady.shape:
        raise ValueError(f"{where} is damaged")
    return Reference(picture, steady > 0)
