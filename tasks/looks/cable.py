"""A cable that lies on a table: its way, and the bars that show it."""

from __future__ import annotations

import numpy as np

SEGMENT = 0.02  # m
SEGMENTS = 38  # at most
BEND_EVERY = 6  # segments from one random curvature to the next
COLOURS = (  # none is red, as the cube is
    (0.05, 0.05, 0.05),
    (0.05, 0.05, 0.05),
    (0.20, 0.20, 0.22),
    (0.85, 0.85, 0.85),
    (0.10, 0.22, 0.55),
    (0.10, 0.40, 0.20),
    (0.75, 0.65, 0.10),
)


def cable_path(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, segments: int, bend: float
) -> np.ndarray:
    """Points (segments + 1, 2) in m, SEGMENT apart, of a smooth curve that enters a rectangle at an edge.

    It heads for a point in the rectangle's middle half; its curvature (1/m) wanders within `bend`.
    """
    start, side = rng.uniform(low, high), rng.integers(4)
    start[side % 2] = (low, high)[side // 2][side % 2]
    middle = rng.uniform(low + (high - low) / 4, high - (high - low) / 4)
    knots = rng.uniform(-bend, bend, segments // BEND_EVERY + 2)
    curvature = np.interp(np.arange(segments) / BEND_EVERY, np.arange(len(knots)), knots)
    heading = np.arctan2(*(middle - start)[::-1]) + np.cumsum(curvature) * SEGMENT
    steps = SEGMENT * np.column_stack([np.cos(heading), np.sin(heading)])
    return start + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


def edge_up(heading: np.ndarray) -> np.ndarray:
    """Orientations (N, 4), wxyz, of bars along `heading` (N,) in rad, on an edge to look round."""
    (c, s), (a, b) = (np.cos(heading / 2), np.sin(heading / 2)), (np.cos(np.pi / 8), np.sin(np.pi / 8))
    return np.column_stack([c * a, c * b, s * b, s * a])
