"""Where in a recording a camera was bumped: from a step on, all that stands is elsewhere in its picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cameras.displacement import Displacement, find_displacement, moved

SAME = 1.5  # pixels of 640 by which displacements before, or after, the bump may differ
SPELL = 1.0  # s that a bump takes: in it, anything may be seen
SAMPLES = 4  # frames before and after it that are looked at, to be sure


@dataclass(frozen=True)
class Bump:
    """A camera that stood elsewhere from a step on."""

    step: int
    displacement: Displacement  # after it

    @property
    def text(self) -> str:
        """The bump in words."""
        there = self.displacement
        return f"bumped at step {self.step}, by {there.distance:.0f} px and {there.rotation:.1f} degrees"


def find_bump(frames: Sequence[np.ndarray], fps: float, most: float) -> Bump | None:
    """The step at which a camera was bumped; None if it was not, or if it moves along with the arm.

    Nearly always one comparison is enough: that of the last frame with the first.

    Args:
        frames: (H, W, 3) uint8 RGB each, of one camera, from the first step on.
        fps: of them.
        most: pixels of 640 by which the picture may be off at the end, without a bump.
    """
    if len(frames) < 2:
        return None
    first = frames[0]
    tolerance, least = (pixels * first.shape[1] / 640 for pixels in (min(SAME, most / 2), most))

    def displacement(step: int) -> Displacement:
        return find_displacement(first, frames[step])

    end = displacement(len(frames) - 1)
    stays = np.eye(3)
    if not end.is_believed or _apart(end, stays) < least:
        return None
    low, high = 0, len(frames) - 1  # before the bump, and after it
    while high - low > 1:
        middle = (low + high) // 2
        is_after = _apart(displacement(middle), end.matrix) < _apart(displacement(middle), stays)
        low, high = (low, middle) if is_after else (middle, high)
    return Bump(high, end) if _holds(displacement, high, (len(frames), fps), tolerance, end) else None


def _holds(
    displacement: Callable[[int], Displacement],
    bump: int,
    episode: tuple[int, float],
    tolerance: float,
    end: Displacement,
) -> bool:
    """Whether all stands still before the bump and after it; `episode` is its steps, and those a second."""
    steps, fps = episode
    spell = max(1, round(SPELL * fps / 2))
    before = np.unique(np.linspace(0, max(0, bump - spell), SAMPLES).round().astype(int))
    after = np.unique(np.linspace(min(steps - 1, bump + spell), steps - 1, SAMPLES).round().astype(int))
    return all(
        _apart(displacement(int(step)), matrix) < tolerance
        for moments, matrix in ((before, np.eye(3)), (after, end.matrix))
        for step in moments
    )


def _apart(one: Displacement, matrix: np.ndarray) -> float:
    """Pixels between two displacements, the mean over the middle of the picture's half; infinite in doubt."""
    if not one.is_believed:
        return np.inf
    height, width = one.size
    x, y = (np.array([0.25, 0.5, 0.75]) * side for side in (width, height))
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return float(np.linalg.norm(moved(one.matrix, points) - moved(matrix, points), axis=1).mean())
