"""Whether the arm follows its commands: not stuck, not pushed, not without power."""

from __future__ import annotations

from collections import deque

import numpy as np

from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.safety.limits import Limits, SafetyStop

MAX_SPEED, JITTER = 300.0, 5.0  # degrees a second, degrees: a reading that jumps further is wrong
LAG = 0.8  # s; longer than the arm lags behind its commands
WINDOW = 1.5  # s of commands that a measured joint may lie among
STILL, STILL_SHARE = 3.0, 0.2  # s, and share of its commanded motion: a joint that moves no more is stuck


def jumps(qpos: np.ndarray, before: np.ndarray, seconds: float) -> bool:
    """Whether two states (7,) are too far apart for `seconds`: one of them was misread."""
    return bool(np.degrees(np.abs(qpos - before)[:JOINTS].max()) > MAX_SPEED * seconds + JITTER)


class Following:
    """Compares the arm with its recent commands."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.deviation = 0.0  # degrees; largest distance of a joint from its recent commands
        self._commands: deque[tuple[float, np.ndarray]] = deque()  # time (s) and joints (6,)
        self._measured: deque[tuple[float, np.ndarray]] = deque()  # time (s) and joints (6,)
        self._apart_since: float | None = None

    def note(self, time: float, target: np.ndarray) -> None:
        """The command `target` (7,) was sent at `time` (s)."""
        commands = self._commands
        commands.append((time, target[:JOINTS].copy()))
        while len(commands) > 1 and commands[1][0] < time - STILL:
            commands.popleft()

    def pause(self) -> None:
        """A hand guides the arm, which follows no command."""
        self._measured.clear()
        self._apart_since = None

    def check(self, time: float, qpos: np.ndarray) -> None:
        """SafetyStop if the state (7,), read at `time` (s), does not follow the commands."""
        self._check_moves(time, qpos)
        joint, apart = self._apart(time, qpos)
        self.deviation = max(self.deviation, apart)
        if apart <= self._limits.max_deviation:
            self._apart_since = None
            return
        self._apart_since = time if self._apart_since is None else self._apart_since
        if time - self._apart_since >= self._limits.deviation_time:
            raise SafetyStop(
                f"joint {joint + 1} is {apart:.1f} degrees from its commands for "
                f"{time - self._apart_since:.1f} s (--max_deviation {self._limits.max_deviation}): "
                "stuck, pushed, or without power"
            )

    def _check_moves(self, time: float, qpos: np.ndarray) -> None:
        """SafetyStop if a joint hardly moves although its commands do."""
        measured = self._measured
        measured.append((time, qpos[:JOINTS].copy()))
        while measured[0][0] < time - STILL:
            measured.popleft()
        since = measured[0][0]
        targets = [target for moment, target in list(self._commands) if since <= moment <= time - LAG]
        if len(targets) < 2:
            return
        wanted = np.degrees(np.ptp(targets, axis=0))
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
        commands = list(self._commands)  # another thread appends
        if not commands:
            return 0, 0.0
        first = max((i for i, (moment, _) in enumerate(commands) if moment <= time - WINDOW), default=0)
        recent = np.array([target for _, target in commands[first:]])
        beyond = np.maximum(recent.min(0) - qpos[:JOINTS], qpos[:JOINTS] - recent.max(0))
        joint = int(beyond.argmax())
        return joint, max(0.0, float(np.degrees(beyond[joint])))
