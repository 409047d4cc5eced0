"""Whether the arm goes where it is told: neither stuck, nor pushed, nor without power."""

from __future__ import annotations

from collections import deque

import numpy as np

from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.safety.limits import Limits, SafetyStop

MAX_SPEED, JITTER = 300.0, 5.0  # degrees a second, degrees: a reading that jumps further is none
LAG = 0.8  # s; longer than the arm lags behind what it is told
WINDOW = 1.5  # s of commands that a measured joint may lie among
STILL, STILL_SHARE = 3.0, 0.2  # s, and share of what it was told to go, at and below which a joint is stuck


def jumps(qpos: np.ndarray, before: np.ndarray, seconds: float) -> bool:
    """Whether no arm gets from one state (7,) to another within `seconds`: one of the two was misread."""
    return bool(np.degrees(np.abs(qpos - before)[:JOINTS].max()) > MAX_SPEED * seconds + JITTER)


class Following:
    """Remembers what the arm was told, and compares."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.deviation = 0.0  # degrees; the furthest that a joint was from all that it was told lately
        self._asked: deque[tuple[float, np.ndarray]] = (
            deque()
        )  # time (s) and joints (6,) that the arm was told
        self._measured: deque[tuple[float, np.ndarray]] = deque()  # time (s) and joints (6,)
        self._apart_since: float | None = None

    def note(self, time: float, target: np.ndarray) -> None:
        """The arm was told `target` (7,) at `time` (s)."""
        asked = self._asked
        asked.append((time, target[:JOINTS].copy()))
        while len(asked) > 1 and asked[1][0] < time - STILL:
            asked.popleft()

    def pause(self) -> None:
        """A hand guides the arm: it follows nothing."""
        self._measured.clear()
        self._apart_since = None

    def check(self, time: float, qpos: np.ndarray) -> None:
        """SafetyStop if the state (7,), read at `time` (s), is not what commands should have made of it."""
        self._check_moves(time, qpos)
        joint, apart = self._apart(time, qpos)
        self.deviation = max(self.deviation, apart)
        if apart <= self._limits.max_deviation:
            self._apart_since = None
            return
        self._apart_since = time if self._apart_since is None else self._apart_since
        if time - self._apart_since >= self._limits.deviation_time:
            raise SafetyStop(
                f"joint {joint + 1} is {apart:.1f} degrees from what it was told for "
                f"{time - self._apart_since:.1f} s (--max_deviation {self._limits.max_deviation}): "
                "stuck, pushed, or without power"
            )

    def _check_moves(self, time: float, qpos: np.ndarray) -> None:
        """SafetyStop if a joint hardly moves that was told to."""
        measured = self._measured
        measured.append((time, qpos[:JOINTS].copy()))
        while measured[0][0] < time - STILL:
            measured.popleft()
        since = measured[0][0]
        told = [target for moment, target in list(self._asked) if since <= moment <= time - LAG]
        if len(told) < 2:
            return
        wanted = np.degrees(np.ptp(told, axis=0))
        moved = np.degrees(np.ptp([joints for _, joints in measured], axis=0))
        stuck = (wanted > self._limits.max_deviation) & (moved <= STILL_SHARE * wanted)
        if stuck.any():
            joint = int(stuck.argmax())
            raise SafetyStop(
                f"joint {joint + 1} went {moved[joint]:.1f} degrees in {time - since:.1f} s in which it was "
                f"told to go {wanted[joint]:.1f} (--max_deviation {self._limits.max_deviation}): stuck, or "
                "without power"
            )

    def _apart(self, time: float, qpos: np.ndarray) -> tuple[int, float]:
        """The joint furthest from the range of its recent targets, and how far (degrees)."""
        asked = list(self._asked)  # another thread appends
        if not asked:
            return 0, 0.0
        first = max((i for i, (told, _) in enumerate(asked) if told <= time - WINDOW), default=0)
        recent = np.array([target for _, target in asked[first:]])
        beyond = np.maximum(recent.min(0) - qpos[:JOINTS], qpos[:JOINTS] - recent.max(0))
        joint = int(beyond.argmax())
        return joint, max(0.0, float(np.degrees(beyond[joint])))
