"""Light that changes slowly while a look lasts: a cloud, a lamp, and a camera's exposure that follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.looks.ranges import DriftRanges

WAVES = 3  # sines that are added up
PERIODS = (3.0, 15.0)  # s, of them
OWN = 0.4  # share of a light's changes that is its own: a lamp among others
LATE = 0.5  # s by which exposure follows the light
FOLLOWED = 0.5  # share of the light's changes that exposure makes up for


@dataclass(frozen=True)
class Light:
    """How the light is at a moment."""

    strength: np.ndarray  # (lights,), times each light's
    ambient: float  # times the ambient light
    tint: np.ndarray  # (3,), times red, green and blue
    exposure: float  # times the picture's brightness


class Drift:
    """The light at each moment of a look: a smooth function of time."""

    def __init__(self, rng: np.random.Generator, ranges: DriftRanges, lights: int) -> None:
        """`lights` is how many there are."""
        self._ranges = ranges
        curves = (3 + lights, WAVES)  # all light, its warmth, exposure, and each light by itself
        self._speeds = 2 * np.pi / rng.uniform(*PERIODS, curves)  # rad/s
        self._phases = rng.uniform(0, 2 * np.pi, curves)
        weights = rng.uniform(0.5, 1.0, curves)
        self._weights = weights / weights.sum(axis=1, keepdims=True)

    def _waves(self, seconds: float) -> np.ndarray:
        """(3 + lights,) in [-1, 1]."""
        return (self._weights * np.sin(self._speeds * seconds + self._phases)).sum(axis=1)

    def _strengths(self, seconds: float) -> np.ndarray:
        """(1 + lights,): of the ambient light and of each light."""
        waves = self._waves(seconds)
        own = np.concatenate([[waves[0]], (1 - OWN) * waves[0] + OWN * waves[3:]])
        return 1 + self._ranges.light * own

    def at(self, seconds: float) -> Light:
        """The light so many seconds into the episode."""
        strengths, (_, warm, wander) = self._strengths(seconds), self._waves(seconds)[:3]
        warmth = self._ranges.warmth * warm
        made_up = self._strengths(seconds - LATE)[0] ** -FOLLOWED
        exposure = made_up * (1 + self._ranges.exposure * wander)
        return Light(strengths[1:], strengths[0], np.array([1 + warmth, 1, 1 - warmth]), exposure)
