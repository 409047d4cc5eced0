"""Where the props of an episode start."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tasks.parts import Prop
from tasks.schema import Task

ROUNDING = 1e-5  # m
NEAR = 0.1  # m; a start this near to a case's regions is still of the case
BELOW = -0.1  # m; a prop that starts below this is out of sight
RADIAN = 0.1  # m; what a turn of 1 rad counts, where places or ways are compared


def in_sight(prop: Prop) -> bool:
    """Whether a prop does not start below the table."""
    return prop.high[2] > BELOW


def pose_of(xyz: Sequence[float], yaw: float = 0.0) -> np.ndarray:
    """Pose (7,) of a prop at a place (m), turned by `yaw` (degrees) about the vertical."""
    half = math.radians(yaw) / 2
    return np.array([*xyz, math.cos(half), 0.0, 0.0, math.sin(half)])


def sample_prop(prop: Prop, rng: np.random.Generator, margin: float = 0.0, askew: float = 0.0) -> np.ndarray:
    """Start pose (7,) of a prop, drawn from its box, and from its range of yaw if it has one.

    `margin` (m) widens the box on every side, but not where it has no extent. Then a prop whose box has any
    is turned by up to `askew` (degrees) either way.
    """
    low, high = np.array(prop.low), np.array(prop.high)
    beyond = np.where(low < high, margin, 0.0)
    xyz = rng.uniform(low - beyond, high + beyond)
    yaw = rng.uniform(*prop.yaw) if any(prop.yaw) else 0.0
    return pose_of(xyz, yaw + rng.uniform(-askew, askew) if askew and (low < high).any() else yaw)


def sample_start(
    task: Task,
    rng: np.random.Generator,
    case: int | None = None,
    margin: float = 0.0,
    askew: float = 0.0,
) -> np.ndarray:
    """Start pose of the props (P * 7,): xyz (m) and quaternion wxyz each.

    In the case of number `case`, or in one drawn at random; up to `margin` (m) beyond where the task starts,
    and turned by up to `askew` (degrees) more.
    """
    variants = task.variants
    if case is None:
        case = rng.integers(len(variants)) if task.cases else 0
    poses = [sample_prop(prop, rng, margin, askew) for prop in variants[case].props]
    return np.concatenate(poses) if poses else np.zeros(0)


def checked_start(task: Task, start: np.ndarray) -> np.ndarray:
    """A start pose of the props (P * 7,) that somebody gives; ValueError if it is none."""
    needed = f"{task.name} needs a pose (xyz, wxyz) for each of {[prop.name for prop in task.props]}"
    if np.shape(start) != (7 * len(task.props),):
        raise ValueError(f"env_state has shape {np.shape(start)}; {needed}")
    start = np.asarray(start, dtype=float)
    if not np.isfinite(start).all():
        raise ValueError(f"env_state is {start.tolist()!r:.200}; {needed}, in finite numbers")
    turns = np.linalg.norm(start.reshape(-1, 7)[:, 3:], axis=1)
    if (turns < ROUNDING).any():
        name = task.props[int(turns.argmin())].name
        raise ValueError(
            f"env_state has quaternion 0 for {name}; {needed}, and 1, 0, 0, 0 for what is not turned"
        )
    return start


def case_of(task: Task | None, env_state: np.ndarray | None) -> str | None:
    """Label of the case near whose regions the props start (P * 7,); None if there is none."""
    if task is None or not task.cases or env_state is None or env_state.size != 7 * len(task.props):
        return None
    case, distance = nearest_case(task, env_state)
    return task.cases[case].label if distance < NEAR else None


def nearest_case(task: Task, env_state: np.ndarray) -> tuple[int, float]:
    """Number of the case whose regions are nearest to the props' start (P * 7,), and the distance (m).

    The number is 0 for a task without cases.
    """
    poses = env_state.reshape(-1, 7)
    distances = [distance_from(poses, variant.props) for variant in task.variants]
    case = int(np.argmin(distances))
    return case, distances[case]


def distance_from(poses: np.ndarray, props: Sequence[Prop]) -> float:
    """Total distance (m) of props at `poses` (P, 7) from where they may start."""
    low, high = (np.array([getattr(prop, end) for prop in props]).reshape(-1, 3) for end in ("low", "high"))
    moved = np.linalg.norm(poses[:, :3] - np.clip(poses[:, :3], low, high), axis=1)
    yaw = 2 * np.arctan2(poses[:, 6], poses[:, 3])
    least, most = np.radians([prop.yaw for prop in props]).reshape(-1, 2).T
    from_middle = (yaw - (least + most) / 2 + np.pi) % (2 * np.pi) - np.pi
    turned = np.abs(from_middle) - (most - least) / 2
    return float((moved + RADIAN * np.maximum(turned, 0.0)).sum())
