"""Where the arm may go between now and its next command, if it gets one more and none after.

Its joints follow late, each at its own rate, and are slower than commands may be: between two commands the
arm takes a way of its own. Eight arms are reckoned with, whose delays and joints are quicker or slower in all
pairs of ways; what the real one does lies among them.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from constants import MYCOBOT
from mycobot_scripts.kinematics import JOINTS

SPEED_AT_20 = MYCOBOT.max_speed  # rad/s, of a joint at speed 20; others in proportion
TOP_SPEED = np.radians(150.0)  # rad/s; the maker's figure for the 280, none is known for the 320
LEAD = 0.5  # s at full speed that a command may be ahead of where the arm was seen
BURST = 0.3  # s at full speed that commands may be ahead of what the arm can do since

# Real 320s: effective delay 0.15 to 0.28 s, time constants 0.083 to 0.114 s (zoskek8); the twin is like them.
_DELAYS, _TIME_CONSTANTS, _SPEEDS = (0.14, 0.28), (0.068, 0.104), (1.0, 0.7)
# (8, 7): quick or slow; every two of seven in all four ways (an orthogonal array: parity of the common bits)
_PAIRS = np.array([[(n & bits).bit_count() % 2 for bits in range(1, 8)] for n in range(8)])
DELAY = np.take(_DELAYS, _PAIRS[:, JOINTS])  # (8,) s, of each arm
TIME_CONSTANT = np.take(_TIME_CONSTANTS, _PAIRS[:, :JOINTS])  # (8, 6) s
SPEED = np.take(_SPEEDS, _PAIRS[:, :JOINTS])  # (8, 6), share of the fastest
_UNDERWAY = 6  # steps that are reckoned until the next command takes effect
_STEPS = (0.06, 0.08, 0.1, 0.14, 0.2)  # s; after that


def top_speed(speed: int) -> float:
    """Of the fastest joint (rad/s) at a speed of 1 to 100."""
    return min(SPEED_AT_20 * speed / 20, TOP_SPEED)


class Course:
    """What the arm was told, and where it was seen.

    Args:
        speed: of its fastest joint, rad/s.
        time: now, s.
        pose: where it is and stays (7,).
    """

    def __init__(self, speed: float, time: float, pose: np.ndarray) -> None:
        self.speed = speed
        self.begin(time, pose)

    def begin(self, time: float, pose: np.ndarray) -> None:
        """The arm stands at a pose (7,), and is on no way."""
        self._told = deque([(-np.inf, np.array(pose, dtype=float))])
        self._used = 0.0  # rad that commands are ahead of what the arm can do
        self.saw(time, pose)

    def saw(self, time: float, pose: np.ndarray) -> None:
        """The arm was at a pose (7,) at a time (s)."""
        self._seen, self.pose = time, np.array(pose, dtype=float)

    def note(self, time: float, target: np.ndarray) -> None:
        """It was told a target (7,) at a time (s)."""
        before, last = self._told[-1]
        self._used = max(0.0, self._used - self.speed * (time - before))
        self._used += float(np.abs(target - last)[:JOINTS].max())
        self._told.append((time, np.array(target, dtype=float)))
        while len(self._told) > 1 and self._told[1][0] < min(time, self._seen) - 1.0:
            self._told.popleft()

    def room(self, time: float) -> float:
        """How far (rad) the next command may be from the last one, for the arm to keep up."""
        left = max(0.0, self._used - self.speed * (time - self._told[-1][0]))
        return max(0.0, self.speed * BURST - left)

    @property
    def opening(self) -> float:
        """How far the gripper may be open: as it was told lately."""
        return max(target[JOINTS] for _, target in self._told)

    def starts(self, time: float) -> np.ndarray:
        """Where each of the arms (arms, 6) is when a command that is sent at a time (s) takes effect."""
        moments = np.array([moment for moment, _ in self._told])
        targets = np.array([target[:JOINTS] for _, target in self._told])
        span = max(0.0, time - self._seen) + DELAY
        halfway = self._seen - DELAY + span / _UNDERWAY * (np.arange(_UNDERWAY)[:, None] + 0.5)
        due = targets[np.searchsorted(moments, halfway, side="right") - 1]  # (steps, arms, 6)
        joints = np.broadcast_to(self.pose[:JOINTS], (len(DELAY), JOINTS))
        for target in due:
            joints = advance(joints, target, span[:, None] / _UNDERWAY, self.speed)
        return joints


def advance(joints: np.ndarray, target: np.ndarray, seconds: float | np.ndarray, speed: float) -> np.ndarray:
    """Where the arms (..., arms, 6) are, `seconds` on their way to a target of the same shape."""
    way = (target - joints) * -np.expm1(-seconds / TIME_CONSTANT)
    most = speed * SPEED * seconds
    return joints + np.clip(way, -most, most)


def ways(starts: np.ndarray, targets: np.ndarray, speed: float) -> np.ndarray:
    """Poses (n, poses, 6) on the ways of all arms (arms, 6) to each of the targets (n, 6)."""
    joints = np.broadcast_to(starts, (len(targets), *starts.shape))
    poses = []
    for seconds in _STEPS:
        joints = advance(joints, targets[:, None], seconds, speed)
        poses.append(joints)
    return np.concatenate(poses, axis=1)
