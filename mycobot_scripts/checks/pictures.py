"""What pictures show about their camera: whether it sees the gripper, is frozen, adjusts its exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

CHANGED = 25  # of 255, in any colour: more than a camera's noise
MIN_PIXELS = 150  # of a 480x640 picture: about 12x12, what is left of a finger in a policy's small picture
MAX_DRIFT = 0.05  # share by which the brightness of a still scene may change
DARK, BRIGHT = 40, 215  # mean of 255


@dataclass(frozen=True)
class Difference:
    """Where two pictures differ."""

    pixels: int  # as if the picture had 480x640
    box: tuple[int, int, int, int] | None  # left, top, right, bottom (pixels of the picture itself)

    @property
    def is_visible(self) -> bool:
        return self.pixels >= MIN_PIXELS


def difference(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> Difference:
    """Where the pictures (H, W, 3) `after` differ from those `before`: medians, without noise.

    Single pixels do not count, nor does a change of the whole picture's brightness.
    """
    one, other = (np.median(np.stack(frames), axis=0) for frames in (before, after))
    change = other - one
    change -= np.median(change, axis=(0, 1))
    mask = (np.abs(change).max(2) > CHANGED).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count = int(mask.sum())
    if not count:
        return Difference(0, None)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Difference(round(count * 480 * 640 / mask.size), box)


def marked(picture: np.ndarray, change: Difference) -> np.ndarray:
    """The picture (H, W, 3) with a frame round what differs."""
    shown = picture.copy()
    if change.box:
        left, top, right, bottom = change.box
        cv2.rectangle(shown, (left - 2, top - 2), (right + 1, bottom + 1), (0, 255, 0), 2)
    return shown


def drift(frames: Sequence[np.ndarray]) -> float:
    """The share by which the brightness changed between pictures (H, W, 3) of a scene that stands still."""
    means = np.array([frame.mean() for frame in frames])
    return float(np.ptp(means) / max(means.mean(), 1.0))


def distinct(frames: Sequence[np.ndarray]) -> int:
    """How many of the pictures differ from the one before, the first counted; sensors have noise."""
    return 1 + sum(not np.array_equal(a, b) for a, b in zip(frames, frames[1:], strict=False))
