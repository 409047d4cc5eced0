"""How the emulated firmware moves the arm: one target after the other or the latest one, pauses, jogs.

Angles here are degrees as commands have them, joints are numbered from 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from constants import MYCOBOT
from mycobot_scripts.kinematics import ANGLE_MAX, ANGLE_MIN, rotation, solve
from mycobot_scripts.kinematics import geometry as kinematics
from mycobot_scripts.stand_in.body import Body

QUEUE = 0  # fresh mode in which targets queue; in mode 1 the latest wins
SPEED_AT_20 = float(np.degrees(MYCOBOT.max_speed))  # degrees/s: the peak in act-plus-plus_one's logs
TOP_SPEED = 150.0  # degrees/s; the maker's figure for the 280, none is known for the 320
JOG_LENGTH, JOG_TURN = 250.0, 150.0  # mm/s and degrees/s, of jogs along coordinates at speed 100
JOG_PERIOD = 0.02  # s
REACHED = 1.0  # degrees; the arm's static error is 0.8
AT_REST = 1.0  # degrees/s
PATIENCE = 10.0  # s that a queued target waits at most: a stuck joint never gets there
START_UP = 0.3  # s from a command until the arm is seen to move
NO_SOLUTION = 32  # error: no joints for these coordinates


class Mover:
    """Follows motion commands with a body.

    Args:
        body: what moves.
        speed_at_20: degrees/s of the fastest joint at speed 20; others in proportion, up to `TOP_SPEED`.
        play: degrees by which joints stop short of their targets.
    """

    def __init__(self, body: Body, speed_at_20: float = SPEED_AT_20, play: float = 0.0) -> None:
        self._body, self._speed_at_20, self._play = body, speed_at_20, play
        self.zero = np.zeros(6)  # degrees by which calibration has shifted the joints' zero
        self.low, self.high = np.array(ANGLE_MIN), np.array(ANGLE_MAX)
        self.fresh_mode = QUEUE
        self.error = 0  # a joint beyond its limit (1 to 6), or `NO_SOLUTION`
        self.is_paused = False
        self.reset(body.now())

    def reset(self, at: float) -> None:
        """Forget all motion; the arm stays where it is."""
        self._queue: deque[tuple[np.ndarray, int]] = deque()
        self._jog: tuple[np.ndarray, int, float] | None = None  # change a second, speed, when last advanced
        self._target, self._speed, self._since = self.degrees(at), 20, -np.inf
        self.is_paused = False

    def degrees(self, at: float) -> np.ndarray:
        """Joint angles (6,) as they are."""
        return np.degrees(self._body.state(at).joints) - self.zero

    @property
    def target(self) -> np.ndarray:
        """Joint angles (6,) that the arm is on its way to, or at."""
        return self._target

    def go(self, degrees: Sequence[float], speed: int, at: float) -> bool:
        """Move all joints to angles (6,); False if one is beyond its limit: then nothing moves."""
        degrees = np.asarray(degrees, float)
        beyond = np.flatnonzero((degrees < self.low) | (degrees > self.high))
        if len(beyond):
            self.error = int(beyond[0]) + 1
            return False
        self._jog = None
        if self.fresh_mode == QUEUE and not self.is_paused and not self._is_idle(at):
            last, _ = self._queue[-1] if self._queue else (self._target, 0)
            if not np.array_equal(last, degrees):  # a repeated command asks for nothing new
                self._queue.append((degrees, speed))
        else:
            self._queue.clear()
            self._start(degrees, speed, at)
        return True

    def go_to_pose(self, coords: np.ndarray, speed: int, at: float) -> bool:
        """Move the flange to x y z (mm), rx ry rz (degrees); False if it cannot get there."""
        degrees = self.inverse(coords, self.degrees(at))
        if degrees is None:
            self.error = NO_SOLUTION
            return False
        return self.go(degrees, speed, at)

    def inverse(self, coords: np.ndarray, near: np.ndarray) -> np.ndarray | None:
        """Joint angles (6,) near others for a pose, as the firmware computes them; None if there are none."""
        position, orientation = np.asarray(coords[:3]) / 1000, rotation(np.asarray(coords[3:]))
        joints = self._solve(position, orientation, near)
        return None if joints is None else np.degrees(joints)

    def _solve(self, position: np.ndarray, orientation: np.ndarray, near: np.ndarray) -> np.ndarray | None:
        """Joint angles (6,) in rad, near others (6,) in degrees, for a place (3,) in m and turn (3, 3)."""
        bounds = np.radians(self.low), np.radians(self.high)
        return solve(position, orientation, np.radians(near), bounds, kinematics.FIRMWARE_OFFSET)

    def jog(self, joint: int, direction: int, speed: int, at: float) -> None:
        """Turn one joint until it is stopped or at its limit."""
        degrees = self._target.copy() if not self._is_idle(at) else self.degrees(at)
        degrees[joint - 1] = (self.high if direction else self.low)[joint - 1]
        self._queue.clear()
        self._jog = None
        self._start(degrees, speed, at)

    def jog_pose(self, axis: int, direction: int, speed: int, at: float, rpy: bool = False) -> None:
        """Move along one coordinate (1 to 6), or turn about one of the base's axes, until stopped."""
        change = np.zeros(6)
        size = JOG_LENGTH if axis <= 3 and not rpy else JOG_TURN
        change[axis - 1 + (3 if rpy else 0)] = (size if direction else -size) * speed / 100
        self._queue.clear()
        self._target = self.degrees(at)
        self._jog = (change, speed, at)

    def stop(self, at: float) -> None:
        """Stop, and forget what was queued."""
        self._body.hold(at)
        self.reset(at)

    def brake(self, joint: int, at: float) -> None:
        """Stop one joint."""
        self._body.hold(at, [joint - 1])
        self._target[joint - 1] = self.degrees(at)[joint - 1]

    def pause(self, at: float) -> None:
        """Stop; `resume` goes on."""
        self._body.hold(at)
        self._jog = None
        self.is_paused = True

    def resume(self, at: float) -> None:
        """Go on to the target of before the pause."""
        if self.is_paused:
            self._start(self._target, self._speed, at)

    def is_moving(self, at: float) -> bool:
        """Whether the arm moves, or was told to a moment ago."""
        if np.degrees(np.abs(self._body.state(at).velocities).max()) > AT_REST:
            return True
        is_starting = at - self._since < START_UP and not self.is_at(self._target, at)
        return not self.is_paused and (is_starting or bool(self._queue) or self._jog is not None)

    def is_at(self, degrees: np.ndarray, at: float) -> bool:
        """Whether the arm is at joint angles (6,)."""
        return bool(np.abs(self.degrees(at) - degrees).max() <= REACHED)

    def tick(self, at: float) -> None:
        """Do what is due: the next target of the queue, the next bit of a jog."""
        if self._queue and not self.is_paused and self._is_idle(at):
            self._start(*self._queue.popleft(), at)
        if self._jog is not None and at - self._jog[2] >= JOG_PERIOD:
            self._advance_jog(at)

    def _advance_jog(self, at: float) -> None:
        change, speed, before = self._jog
        pose = kinematics.coords(np.radians(self._target))
        step = change * (at - before)
        turned = rotation(step[3:]) @ rotation(pose[3:]) if step[3:].any() else rotation(pose[3:])
        joints = self._solve((pose[:3] + step[:3]) / 1000, turned, self._target)
        if joints is None:
            self._jog, self.error = None, NO_SOLUTION
            return
        self._jog = (change, speed, at)
        self._target, self._since = np.degrees(joints), at
        self._body.move(np.radians(self._target + self.zero), np.radians(TOP_SPEED), at)

    def _is_idle(self, at: float) -> bool:
        """Whether the present target is reached, or given up."""
        if at - self._since > PATIENCE:
            return True
        speed = np.degrees(np.abs(self._body.state(at).velocities).max())
        return self._jog is None and speed <= AT_REST and self.is_at(self._target, at)

    def _start(self, degrees: np.ndarray, speed: int, at: float) -> None:
        self._target, self._speed, self._since = np.array(degrees, float), speed, at
        self.is_paused = False
        limit = min(self._speed_at_20 * max(speed, 1) / 20, TOP_SPEED)
        way = self._target - self.degrees(at)
        goal = self._target - np.clip(way, -self._play, self._play)
        self._body.move(np.radians(goal + self.zero), np.radians(limit), at)
