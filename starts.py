"""Where the props of an episode start."""

from __future__ import annotations

import numpy as np

from schema import Task


def sample_start(task: Task, rng: np.random.Generator, case: int | None = None) -> np.ndarray:
    """Start pose of the props (P * 7,): xyz (m) and quaternion wxyz each.

    Of the case of that number, or of one that is drawn first.
    """
    variants = task.variants
    if case is None:
        case = rng.integers(len(variants)) if task.cases else 0
    poses = [np.append(rng.uniform(p.low, p.high), [1.0, 0.0, 0.0, 0.0]) for p in variants[case].props]
    return np.concatenate(poses) if poses else np.zeros(0)
