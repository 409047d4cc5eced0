"""Where the arm may go between now and its next command, if it gets one more and none after.

Its joints lag, each at its own rate, and may be slower than the commands: between two commands the arm takes
a path of its own. So eight arms are predicted, with quick and slow delays and joints in all pairwise
combinations; the real arm lies among them.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from constants import MYCOBOT
from mycobot_scripts.kinematics import JOINTS

SPEED_AT_20 = MYCOBOT.max_speed  # rad/s, of a joint at speed 20; others in proportion
TOP_SPEED = np.radians(150.0)  # rad/s; the maker's figure for the 280, none is known for the 320
LEAD = 0.5  # s at full speed that a command may be ahead of where the arm was seen
BURST = 0.3  # s at full speed that commands may be ahead of what the arm can do

# Real 320s: effective delay 0.15 to 0.28 s, time constants 0.083 to 0.114 s (zoskek8); the twin is like them.
_DELAYS, _TIME_CONSTANTS, _SPEEDS = (0.14, 0.28), (0.068, 0.104), (1.0, 0.7)
# (8, 7): quick or slow; any two of the seven in all four combinations (an orthogonal array, by parity)
_PAIRS = np.array([[(n & bits).bit_count() % 2 for bits in range(1, 8)] for n in range(8)])
DELAY = np.take(_DELAYS, _PAIRS[:, JOINTS])  # (8,) s, of each arm
TIME_CONSTANT = np.take(_TIME_CONSTANTS, _PAIRS[:, :JOINTS])  # (8, 6) s
SPEED = np.take(_SPEEDS, _PAIRS[:, :JOINTS])  # (8, 6), share of the fastest
_UNDERWAY = 6  # predicted steps until the next command takes effect
_STEPS = (0.06, 0.08, 0.1, 0.14, 0.2)  # s; after that


def top_speed(speed: int) -> float:
    """The fastest joint's speed (rad/s) at the setting `speed`, 1 to 100."""
    return min(SPEED_AT_20 * speed / 20, TOP_SPEED)


class Course:
    """The recent commands, and where the arm was seen.

    Args:
        speed: of its fastest joint, rad/s.
        time: now, s.
        pose: where it is and stays (7,).
    """

    def __init__(self, speed: float, time: float, pose: np.ndarray) -> None:
        self.speed = speed
        self.begin(time, pose)

    def begin(self, time: float, pose: np.ndarray) -> None:
        """The arm stands still at a pose (7,)."""
        self._commands = deque([(-np.inf, np.array(pose, dtype=float))])
        self._ahead = 0.0  # rad that commands are ahead of what the arm can do
        self.see(time, pose)

    def see(self, time: float, pose: np.ndarray) -> None:
        """The arm was at a pose (7,) at a time (s)."""
        self._seen_at, self.pose = time, np.array(pose, dtype=float)

    def note(self, time: float, target: np.ndarray) -> None:
        """A target (7,) was sent at a time (s)."""
        before, last = self._commands[-1]
        self._ahead = max(0.0, self._ahead - self.speed * (time - before))
        self._ahead += float(np.abs(target - last)[:JOINTS].max())
        self._commands.append((time, np.array(target, dtype=float)))
        while len(self._commands) > 1 and self._commands[1][0] < min(time, self._seen_at) - 1.0:
            self._commands.popleft()

    def room(self, time: float) -> float:
        """How far (rad) the next command may be from the last one, for the arm to keep up."""
        left = max(0.0, self._ahead - self.speed * (time - self._commands[-1][0]))
        return max(0.0, self.speed * BURST - left)

    @property
    def opening(self) -> float:
        """The most that the gripper may be open: its widest recent command."""
        return max(target[JOINTS] for _, target in self._commands)

    def starts(self, time: float) -> np.ndarray:
        """Where each of the arms (arms, 6) is when a command that is sent at a time (s) takes effect."""
        moments = np.array([moment for moment, _ in self._commands])
        targets = np.array([target[:JOINTS] for _, target in self._commands])
        span = max(0.0, time - self._seen_at) + DELAY
        halfway = self._seen_at - DELAY + span / _UNDERWAY * (np.arange(_UNDERWAY)[:, None] + 0.5)
        due = targets[np.searchsorted(moments, halfway, side="right") - 1]  # (steps, arms, 6)
        joints = np.broadcast_to(self.pose[:JOINTS], (len(DELAY), JOINTS))
        for target in due:
            joints = advance(joints, target, span[:, None] / _UNDERWAY, self.speed)
        return joints


def advance(joints: np.ndarray, target: np.ndarray, seconds: float | np.ndarray, speed: float) -> np.ndarray:
    """Where the arms (..., arms, 6) are, `seconds` into their path to a target of the same shape."""
    way = (target - joints) * -np.expm1(-seconds / TIME_CONSTANT)
    most = speed * SPEED * seconds
    return joints + np.clip(way, -most, most)


def paths(starts: np.ndarray, targets: np.ndarray, speed: float) -> np.ndarray:
    """Poses (n, poses, 6) on the paths of all arms (arms, 6) to each of the targets (n, 6)."""
    joints = np.broadcast_to(starts, (len(targets), *starts.shape))
    poses = []
    for seconds in _STEPS:
        joints = advance(joints, targets[:, None], seconds, speed)
        poses.append(joints)
    return np.concatenate(poses, axis=1)
