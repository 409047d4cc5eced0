"""Forward kinematics of the myCobot 320, in its base frame: z up, origin at its foot. numpy only."""

from __future__ import annotations

import functools

import numpy as np

OFFSET = 0.08878  # m from the plane of the upper arm to that of the forearm (mycobot_ros, 2022)
FIRMWARE_OFFSET = 0.08778  # m; matches a real arm's `get_coords` to 0.17 mm
TOOL_LENGTH = 0.150  # m from the flange to the point between the finger tips

# Modified Denavit-Hartenberg parameters (Craig), equal to the joints of mycobot_320_{m5,pi}_2022:
# alpha (rad), a (m), d (m; None: the offset), joint angle at zero (rad)
_HALF = np.pi / 2
_LINKS = (
    (0.0, 0.0, 0.1739, 0.0),
    (_HALF, 0.0, 0.0, _HALF),
    (0.0, 0.135, 0.0, 0.0),
    (0.0, 0.120, None, _HALF),
    (_HALF, 0.0, 0.095, 0.0),
    (-_HALF, 0.0, 0.0655, 0.0),
)


def frames(joints: np.ndarray, offset: float = OFFSET) -> tuple[np.ndarray, np.ndarray]:
    """Frames of foot and links at joints (n, 6) in rad: positions (n, 7, 3) in m, rotations (n, 7, 3, 3).

    Frame i turns with joint i about its z; the last one is the flange's.
    """
    turns, shifts = _turns(np.asarray(joints, dtype=float), offset)
    positions, rotations = np.zeros((len(turns), 7, 3)), np.zeros((len(turns), 7, 3, 3))
    rotations[:, 0] = np.eye(3)
    for i in range(6):
        rotations[:, i + 1] = rotations[:, i] @ turns[:, i]
        positions[:, i + 1] = positions[:, i] + rotations[:, i] @ shifts[i]
    return positions, rotations


@functools.cache
def _links(offset: float) -> tuple[np.ndarray, ...]:
    """For each joint: angle at zero (6,), cosine and sine of alpha (6,), shift from the one before (6, 3)."""
    columns = zip(*_LINKS, strict=True)
    alpha, a, d, zero = (np.array([offset if x is None else x for x in column]) for column in columns)
    ca, sa = np.cos(alpha), np.sin(alpha)
    return zero, ca, sa, np.column_stack([a, -d * sa, d * ca])


def _turns(joints: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """From each frame to the next: rotations (n, 6, 3, 3), and shifts (6, 3) in m."""
    zero, ca, sa, shifts = _links(offset)
    c, s = np.cos(joints + zero), np.sin(joints + zero)
    turns = np.zeros((len(joints), 6, 3, 3))
    turns[..., 0, 0], turns[..., 0, 1] = c, -s
    turns[..., 1, 0], turns[..., 1, 1], turns[..., 1, 2] = s * ca, c * ca, -sa
    turns[..., 2, 0], turns[..., 2, 1], turns[..., 2, 2] = s * sa, c * sa, ca
    return turns, shifts


def forward(joints: np.ndarray, offset: float = OFFSET) -> tuple[np.ndarray, np.ndarray]:
    """Flange at joint angles (6,) in rad: position (3,) in m, and rotation (3, 3), base from flange."""
    positions, rotations = frames(np.asarray(joints)[None], offset)
    return positions[0, -1], rotations[0, -1]


def tool_point(joints: np.ndarray, length: float = TOOL_LENGTH) -> np.ndarray:
    """Point (3,) in m between the finger tips, `length` (m) ahead of the flange, at joints (6,) in rad."""
    position, rotation = forward(joints)
    return position + length * rotation[:, 2]


def coords(joints: np.ndarray, offset: float = FIRMWARE_OFFSET) -> np.ndarray:
    """What the arm's `get_coords` returns (6,): flange x, y, z (mm), then rx, ry, rz (degrees).

    The rotation is Rz(rz) Ry(ry) Rx(rx).
    """
    position, r = forward(joints, offset)
    rx, rz = np.arctan2(r[2, 1], r[2, 2]), np.arctan2(r[1, 0], r[0, 0])
    ry = np.arctan2(-r[2, 0], np.hypot(r[0, 0], r[1, 0]))
    return np.concatenate([1000 * position, np.degrees([rx, ry, rz])])
