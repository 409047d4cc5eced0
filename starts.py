"""Where the props of an episode start."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from schema import Prop, Task


def pose_of(xyz: Sequence[float], yaw: float = 0.0) -> np.ndarray:
    """Pose (7,) of a prop at a place (m) that is turned by `yaw` (degrees) about the vertical."""
    half = math.radians(yaw) / 2
    return np.array([*xyz, math.cos(half), 0.0, 0.0, math.sin(half)])


def sample_prop(prop: Prop, rng: np.random.Generator) -> np.ndarray:
    """Start pose (7,) of a prop, drawn from its box, and from its range of yaw if it has one."""
    xyz = rng.uniform(prop.low, prop.high)
    return pose_of(xyz, rng.uniform(*prop.yaw) if any(prop.yaw) else 0.0)


def sample_start(task: Task, rng: np.random.Generator, case: int | None = None) -> np.ndarray:
    """Start pose of the props (P * 7,): xyz (m) and quaternion wxyz each.

    Of the case of that number, or of one that is drawn first.
    """
    variants = task.variants
    if case is None:
        case = rng.integers(len(variants)) if task.cases else 0
    poses = [sample_prop(prop, rng) for prop in variants[case].props]
    return np.concatenate(poses) if poses else np.zeros(0)
