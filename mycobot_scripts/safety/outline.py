"""The arm's outline: capsules about its links, its gripper and its camera, for any number of poses at once.

They enclose the shapes of `assets/mycobot320.xml` (a test compares). numpy only; lengths in m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from constants import MYCOBOT
from mycobot_scripts.kinematics import frames


class Capsule(NamedTuple):
    """All that is within `radius` of the line from `start` to `end`, in the frame of a link."""

    part: str
    link: int  # 0: the foot; 6: the flange
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float


CAPSULES = (
    Capsule("base", 0, (0, 0, 0), (0, 0, 0.065), 0.075),
    Capsule("shoulder", 1, (0, 0, -0.05), (0, 0, 0), 0.055),
    Capsule("upper arm", 2, (0, 0, 0.076), (0, 0, 0.138), 0.041),
    Capsule("upper arm", 2, (0, 0, 0.119), (0.145, 0, 0.119), 0.037),
    Capsule("elbow", 2, (0.135, 0, 0.091), (0.135, 0, 0.140), 0.037),
    Capsule("elbow", 3, (0, 0, -0.035), (0, 0, 0.062), 0.037),
    Capsule("forearm", 3, (0, 0, -0.01), (0.12, 0, -0.01), 0.031),
    Capsule("wrist", 3, (0.12, 0, -0.034), (0.12, 0, 0.044), 0.031),
    Capsule("wrist", 4, (0, 0, -0.020), (0, 0, 0.022), 0.031),
    Capsule("wrist", 4, (0, 0, 0), (0, -0.050, 0), 0.030),
    Capsule("wrist", 5, (0, 0, -0.020), (0, 0, 0.022), 0.030),
    Capsule("wrist", 5, (0, 0, 0), (0, 0.040, 0), 0.029),
    Capsule("gripper", 6, (0, 0, 0), (0, 0, 0.045), 0.0375),
    Capsule("gripper", 6, (-0.042, 0, 0.036), (0.042, 0, 0.036), 0.0145),
    Capsule("camera", 6, (0, -0.056, 0.006), (0, -0.056, 0.006), 0.020),
    Capsule("grip", 6, (0, 0, 0.060), (0, 0, 0.147), 0.020),  # the fingers while they are closed
)
FINGERS = ("left finger", "left finger", "right finger", "right finger")  # a bar and a finger on each side
PARTS = (*(capsule.part for capsule in CAPSULES), *FINGERS)
# A finger: x to the side, z ahead of the flange. Its bars turn about their feet as the gripper opens; the
# finger hangs on the end of the inner bar, and keeps its direction. Closed, it reaches furthest ahead.
_BAR, _LONGEST = (0.0356, 0.051), 0.0622  # at the angle 0; straight ahead
_INNER_FOOT, _OUTER_FOOT = (0.018, 0.058), (0.050, 0.032)
_HEEL, _TIP = (-0.005, -0.008), (-0.007, 0.034)  # of the finger, from the inner bar's end
_BAR_RADIUS, _FINGER_RADIUS = 0.0075, 0.013

# Capsules by number: each group, and the ones closer to the foot that it can come near. Joint limits keep
# neighbours apart.
_NEAR = (
    ((5, 6, 7), (0, 1)),
    ((8, 9, 10, 11), (0, 1, 2, 3, 4)),
    ((12, 13, 14, 15, 16, 17, 18, 19), (0, 1, 2, 3, 4, 5, 6, 7)),
)
PAIRS = np.array([(far, near) for group, below in _NEAR for far in group for near in below])

*_ENDS, _HAND_ENDS = (  # of each link's capsules (2 k, 3)
    np.array([end for capsule in CAPSULES if capsule.link == link for end in (capsule.start, capsule.end)])
    for link in range(7)
)
RADII = np.array([*(capsule.radius for capsule in CAPSULES), *[_BAR_RADIUS, _FINGER_RADIUS] * 2])
_FAR = 0.02  # m; two capsules further apart than this count as this far apart


@dataclass(frozen=True)
class Outline:
    """Where the arm is in n poses."""

    joints: np.ndarray  # (n, 7, 3): foot, joints 1 to 5, flange
    ahead: np.ndarray  # (n, 3): unit vector out of the flange
    ends: np.ndarray  # (n, capsules, 2, 3): both ends of each capsule of PARTS


def outline(joints: np.ndarray, opening: float) -> Outline:
    """The arm at joint angles (n, 6) in rad, with its gripper open to `opening` (0 to 1)."""
    positions, rotations = frames(joints)
    local = [*_ENDS, np.concatenate([_HAND_ENDS, fingers(opening).reshape(-1, 3)])]
    across = rotations.swapaxes(-1, -2)
    ends = [points @ across[:, i] + positions[:, i, None] for i, points in enumerate(local)]
    return Outline(
        positions, rotations[:, -1, :, 2], np.concatenate(ends, axis=1).reshape(len(positions), -1, 2, 3)
    )


def fingers(opening: float) -> np.ndarray:
    """Capsules of the fingers (4, 2, 3) in the flange's frame: bar and finger, left and right.

    As wide as the gripper is open and as long as they ever are: they stand for any smaller opening too.
    """
    angle = MYCOBOT.travel_at(opening)
    c, s = np.cos(angle), np.sin(angle)
    bar = (_BAR[0] * c + _BAR[1] * s, _LONGEST)
    inner, outer = np.add(_INNER_FOOT, bar), np.add(_OUTER_FOOT, bar)
    right = np.array([(_OUTER_FOOT, outer), (inner + _HEEL, inner + _TIP)])  # (2, 2, 2)
    return np.array([[(sign * x, 0.0, z) for x, z in line] for sign in (-1, 1) for line in right])


def gaps(ends: np.ndarray) -> np.ndarray:
    """Distances (n, pairs) in m between the surfaces of the capsules of PAIRS; below 0: inside each other.

    Capsules that are further apart count as 20 mm apart.
    """
    middles = (ends[:, :, 0] + ends[:, :, 1]) / 2
    products = (middles @ middles.swapaxes(1, 2)).reshape(len(middles), -1)
    squares = products[:, :: len(PARTS) + 1]  # of the middles' distances from the foot
    apart = squares.take(PAIRS[:, 0], 1) + squares.take(PAIRS[:, 1], 1) - 2 * products.take(_BOTH, 1)
    poses, pairs = np.nonzero(apart < _WITHIN**2)
    distances = np.full(apart.shape, _FAR)
    if len(poses):
        exact = _distances(ends[poses, PAIRS[pairs, 0]], ends[poses, PAIRS[pairs, 1]])
        distances[poses, pairs] = np.minimum(exact - _BOTH_RADII[pairs], _FAR)
    return distances


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances (n,) between line segments (n, 2, 3): Ericson, Real-Time Collision Detection, 5.1.9."""
    one, other, between = a[:, 1] - a[:, 0], b[:, 1] - b[:, 0], a[:, 0] - b[:, 0]
    oo, tt = _dot(one, one) + 1e-12, _dot(other, other) + 1e-12
    ot, ob, tb = _dot(one, other), _dot(one, between), _dot(other, between)
    s = np.clip((ot * tb - ob * tt) / np.maximum(oo * tt - ot * ot, 1e-15), 0, 1)
    t = np.clip((ot * s + tb) / tt, 0, 1)
    s = np.clip((ot * t - ob) / oo, 0, 1)
    apart = between + s[:, None] * one - t[:, None] * other
    return np.sqrt(_dot(apart, apart))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ni,ni->n", a, b)


def _reach() -> np.ndarray:
    """How far (m) two capsules' middles are apart at most when their surfaces touch (pairs,)."""
    ends = np.concatenate([*_ENDS, _HAND_ENDS, fingers(1.0).reshape(-1, 3)]).reshape(-1, 2, 3)
    lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1)
    return lengths[PAIRS].sum(axis=1) / 2 + _BOTH_RADII


_BOTH = PAIRS @ [len(PARTS), 1]  # index of a pair in the flattened table of parts by parts
_BOTH_RADII = RADII[PAIRS].sum(axis=1)
_WITHIN = _reach() + _FAR
