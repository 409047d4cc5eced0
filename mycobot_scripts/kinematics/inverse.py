"""Inverse kinematics of the myCobot 320's flange: joints for a pose, near given ones. numpy only."""

from __future__ import annotations

import numpy as np

from mycobot_scripts.kinematics.geometry import OFFSET, forward

DAMPING = 0.02
MAX_STEP = 0.2  # rad, of a joint in one iteration
POSITION_TOLERANCE, ANGLE_TOLERANCE = 1e-5, 1e-4  # m, rad
_NUDGE = 1e-6  # rad


def rotation(degrees: np.ndarray) -> np.ndarray:
    """Rz(rz) Ry(ry) Rx(rx) as (3, 3), of rx, ry, rz (degrees): the arm's own convention."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def solve(
    position: np.ndarray,
    orientation: np.ndarray,
    near: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    offset: float = OFFSET,
    iterations: int = 100,
    nearest: bool = False,
) -> np.ndarray | None:
    """Joints (6,) in rad that bring the flange to `position` (3,) in m and `orientation` (3, 3).

    Damped least squares from the joints `near` (6,), within `bounds`, low and high (6,). If that fails, None,
    or with `nearest` as near as it came (0.2 m count as a rad).
    """
    joints = np.clip(near, *bounds)
    best, least = joints, np.inf
    for _ in range(iterations):
        error = _error(joints, position, orientation, offset)
        if np.linalg.norm(error[:3]) < POSITION_TOLERANCE and np.linalg.norm(error[3:]) < ANGLE_TOLERANCE:
            return joints
        jacobian = _jacobian(joints, offset)
        error[3:] *= 0.2  # m for a rad: lengths and angles weigh alike
        if np.linalg.norm(error) < least:
            best, least = joints, np.linalg.norm(error)
        jacobian[3:] *= 0.2
        size = min(1.0, np.linalg.norm(error) / 0.02)  # less damping where the goal is near
        square = jacobian @ jacobian.T + (DAMPING * size) ** 2 * np.eye(6)
        step = jacobian.T @ np.linalg.solve(square, error)
        step *= min(1.0, MAX_STEP / max(np.abs(step).max(), 1e-12))
        joints = np.clip(joints + step, *bounds)
    return best if nearest else None


def _error(joints: np.ndarray, position: np.ndarray, orientation: np.ndarray, offset: float) -> np.ndarray:
    """The error that is left (6,): metres, and the turn still to make (rad, base frame)."""
    reached, turned = forward(joints, offset)
    missing = orientation @ turned.T
    skew = missing - missing.T
    sine = np.array([skew[2, 1], skew[0, 2], skew[1, 0]])
    length = np.linalg.norm(sine) / 2
    angle = np.arctan2(length, (np.trace(missing) - 1) / 2)
    if length < 1e-9:  # no turn, or half a turn, whose axis the sine does not give
        axis = np.sqrt(np.clip((np.diag(missing) + 1) / 2, 0, 1)) if angle > 1 else np.zeros(3)
    else:
        axis = sine / (2 * length)
    return np.concatenate([position - reached, angle * axis])


def _jacobian(joints: np.ndarray, offset: float) -> np.ndarray:
    """How the flange moves per rad of each joint (6, 6): metres and turn (rad), by differences."""
    reached, turned = forward(joints, offset)
    columns = []
    for joint in range(6):
        nudged = joints.copy()
        nudged[joint] += _NUDGE
        position, orientation = forward(nudged, offset)
        turn = (orientation @ turned.T - np.eye(3)) / _NUDGE
        columns.append([*(position - reached) / _NUDGE, turn[2, 1], turn[0, 2], turn[1, 0]])
    return np.array(columns).T
