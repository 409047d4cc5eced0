"""Drives the arm by hand: what is held down becomes targets, in tool or in joint space; so does a leader."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mycobot_scripts.kinematics import JOINTS, TOOL_LENGTH, forward, rotation, solve
from mycobot_scripts.robot.operator.keys import Keys
from mycobot_scripts.safety import HARD_LIMITS
from teleop import SLOW, SLOW_KEY, Hand, Input, Keyboard, Retarget, Tool

TOOL_SPEEDS = np.array([0.06, 0.06, 0.06, 0.5, 0.5, 0.5])  # m/s along, rad/s about the base's axes
JOINT_SPEED = np.radians(15)  # rad/s
GRIPPER_SPEED = 0.5  # of its travel a second
SIDED = (2, 4)  # joints that stay on their side of zero while a hand leads: elbow and wrist must not flip
HAND_SPEED = np.radians(120)  # rad/s of a joint, at most, on the way to where a hand leads
MAX_LEAD = np.radians(10)  # rad; a target further ahead than this waits for the arm, which may be blocked
HELD = 0.15  # s that a key from a terminal counts as held; held keys come about 30 times a second
COMMANDS = {
    "q": "stop", "m": "take over", "p": "give back", "g": "guide", "space": "capture", "n": "next",
    "h": "start pose", "b": "knock loose", "e": "clutch",
}  # fmt: skip
MODES = ("tool", "joint")
NEAR = 0.005  # m from a hand's goal within which the tool counts as there
_NO_WAY = "a way: out of reach"
# Where a person may stand, and the direction (x, y of the base) away from there. With joint 1 at zero the arm
# reaches towards minus x.
SIDES = {"behind": (-1, 0), "left": (0, 1), "front": (1, 0), "right": (0, -1)}
COMMON = {"other arm": "tool or joint space", "slow": "slow, fast"}  # explained wherever a person jogs


def axes_from(side: str) -> np.ndarray:
    """(3, 3) whose columns are right, away and up, in the base's frame, for a person at a side of the arm."""
    away, up = np.array([*SIDES[side], 0.0]), np.array([0.0, 0.0, 1.0])
    return np.column_stack([np.cross(away, up), away, up])


class TerminalPad(Keyboard):
    """The keys of a terminal, which reports presses and no releases: a key that repeats is held.

    It also reports one key at a time: the key for slow switches it on and off. A page (`desk/`) tells beside
    the keys what is held.
    """

    layouts = ({**Keyboard.layouts[0], **COMMANDS},)

    def __init__(self, keys: Keys) -> None:
        super().__init__(self._events)
        self._keys, self._down = keys, {}
        self._names: list[str] = []
        self._now, self._is_slow = 0.0, False

    def read(self, now: float) -> Input:
        """As `Keyboard.read`; the commands of COMMANDS too."""
        names = self._keys.poll()
        self._is_slow ^= names.count(SLOW_KEY) % 2 == 1
        self._now, self._names = now, [name for name in names if name != SLOW_KEY]
        pressed = super().read(now) | Input(self._keys.rates)
        pressed = Input(pressed.rates * (SLOW if self._is_slow else 1.0), pressed.commands)
        return pressed | Input(commands=frozenset(COMMANDS[n] for n in self._names if n in COMMANDS))

    def _events(self) -> list[tuple[str, bool]]:
        events = [(name, False) for name, until in self._down.items() if until <= self._now]
        self._down = {name: until for name, until in self._down.items() if until > self._now}
        events += [(name, True) for name in dict.fromkeys(self._names) if name not in self._down]
        self._down |= dict.fromkeys(self._names, self._now + HELD)
        return events


class Jog:
    """Targets (7,) from rates (7,) of `teleop.RATES`.

    In tool space the point between the finger tips moves along `axes` and turns about itself; in joint space
    x y z and the three turns drive joints 1 to 6.

    Args:
        mode: one of MODES.
        tool_length: from the flange to that point, m.
        axes: (3, 3) whose columns are the rates' x, y and z in the base's frame; the base's if not given.
        retarget: turns a leader's hand into goals for the tool; of the same axes if not given.
    """

    def __init__(
        self,
        mode: str = "tool",
        tool_length: float = TOOL_LENGTH,
        axes: np.ndarray | None = None,
        retarget: Retarget | None = None,
    ) -> None:
        self.mode, self._length = mode, tool_length
        self._axes = np.eye(3) if axes is None else axes
        self._retarget = retarget or Retarget(axes=axes)
        self._reach = np.radians(HARD_LIMITS)
        self._target: np.ndarray | None = None
        self.waits_for = ""  # what it waits for, if it does not move as asked

    def begin(self, target: np.ndarray) -> None:
        """Start from a target (7,): the last one sent, so that the arm does not move by itself."""
        self._target = np.array(target, dtype=float)
        self._retarget.begin()
        self._low, self._high = -self._reach, self._reach.copy()
        for joint in SIDED:
            if self._target[joint] > 0:
                self._low[joint] = 0.0
            else:
                self._high[joint] = 0.0

    def switch(self) -> None:
        """From tool space to joint space, and back."""
        self.mode = MODES[1 - MODES.index(self.mode)]

    def step(self, rates: np.ndarray, dt: float, present: np.ndarray, hand: Hand | None = None) -> np.ndarray:
        """The target (7,) after `dt` (s), by rates or where a `hand` leads.

        `present` (7,) is where the arm is.
        """
        joints, self.waits_for = self._target[:JOINTS], ""
        if hand is not None:
            self._target = self._led(hand, dt)
            joints = self._target[:JOINTS]
        elif rates[:JOINTS].any():
            moved = self._in_tool_space if self.mode == "tool" else self._in_joint_space
            wanted = np.clip(moved(rates[:JOINTS] * dt), -self._reach, self._reach)
            leads = np.abs(wanted - present[:JOINTS])
            if (leads <= np.maximum(MAX_LEAD, np.abs(joints - present[:JOINTS]))).all():
                joints = wanted
            else:  # where the arm is nearly stretched, a small move of the tool asks for a jump
                is_jump = (np.abs(wanted - joints) > MAX_LEAD / 2).any()
                self.waits_for = _NO_WAY if is_jump else "the arm"
        gripper = np.clip(self._target[JOINTS] + rates[JOINTS] * GRIPPER_SPEED * dt, 0, 1)
        self._target = np.append(joints, gripper)
        return self._target.copy()

    def _led(self, hand: Hand, dt: float) -> np.ndarray:
        """The target (7,) after `dt` (s) on the way to where a hand leads, or as near as it gets."""
        joints = self._target[:JOINTS]
        tip, orientation = self._tip(joints)
        goal = self._retarget.goal(hand, Tool(tip, orientation, float(self._target[JOINTS])))
        wanted = self._solve(goal.position, goal.orientation, joints, nearest=True)
        reached, _ = self._tip(wanted)
        self.waits_for = _NO_WAY if np.linalg.norm(reached - goal.position) > NEAR else ""
        change = wanted - joints
        share = min(1.0, HAND_SPEED * dt / max(np.abs(change).max(), 1e-9))
        return np.append(joints + share * change, goal.gripper)

    def _tip(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Point between the finger tips (3,) in m, and orientation (3, 3), at joints (6,)."""
        flange, orientation = forward(joints)
        return flange + self._length * orientation[:, 2], orientation

    def _solve(
        self, tip: np.ndarray, orientation: np.ndarray, near: np.ndarray, nearest: bool = False
    ) -> np.ndarray | None:
        """Joints (6,) that bring the tip there."""
        flange = tip - self._length * orientation[:, 2]
        bounds = (self._low, self._high) if nearest else (-self._reach, self._reach)
        return solve(flange, orientation, near, bounds, iterations=20, nearest=nearest)

    def _in_joint_space(self, change: np.ndarray) -> np.ndarray:
        return self._target[:JOINTS] + JOINT_SPEED * change

    def _in_tool_space(self, change: np.ndarray) -> np.ndarray:
        joints = self._target[:JOINTS]
        tip, orientation = self._tip(joints)
        along, about = (
            self._axes @ (TOOL_SPEEDS[:3] * change[:3]),
            self._axes @ (TOOL_SPEEDS[3:] * change[3:]),
        )
        turned = rotation(np.degrees(about)) @ orientation
        solution = self._solve(tip + along, turned, joints)
        if solution is None:
            self.waits_for = _NO_WAY
            return joints
        return solution


def keys_for(commands: Mapping[str, str]) -> list[tuple[str, str]]:
    """The key of each command that counts now, and the word for it (`Keys.show`)."""
    keys = {target: key for key, target in reversed(TerminalPad.layouts[0].items()) if target in commands}
    return [(keys[command], word) for command, word in commands.items() if command in keys]
