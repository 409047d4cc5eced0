"""Disturbances between a policy and its arm: what becomes of an action on its way, and of the state on its
way back.

They need no simulator. z1050297972-spec/act-vision-dynamic has none of them.
"""

from __future__ import annotations

from collections import deque
from functools import partial

import numpy as np

from disturbances.registry import LINK, register, steps

dynamics = partial(register, "dynamics", LINK)
arm = partial(register, "arm", LINK)


class Link:
    """What stands between a policy and its arm in one rollout; this one changes nothing."""

    def begin(self, qpos: np.ndarray) -> None:
        """The arm rests in a state (D,)."""

    def act(self, action: np.ndarray) -> np.ndarray:
        """What arrives at the arm, for an action (D,)."""
        return action

    def sense(self, qpos: np.ndarray) -> np.ndarray:
        """What the arm reports, for its state (D,)."""
        return qpos


class Delay(Link):
    """Actions arrive so many steps late."""

    def __init__(self, late: int) -> None:
        self._late = late

    def begin(self, qpos: np.ndarray) -> None:
        self._under_way = deque([np.array(qpos)] * self._late)

    def act(self, action: np.ndarray) -> np.ndarray:
        self._under_way.append(np.array(action))
        return self._under_way.popleft()


class Play(Link):
    """Joints follow only where their gears touch: within `width` (D,), either way, they stay."""

    def __init__(self, width: np.ndarray) -> None:
        self._half = width / 2

    def begin(self, qpos: np.ndarray) -> None:
        self._at = np.array(qpos, float)

    def act(self, action: np.ndarray) -> np.ndarray:
        self._at = np.clip(self._at, action - self._half, action + self._half)
        return self._at.copy()


class Offset(Link):
    """The arm's zero is wrong by `offset` (D,): it stands there beside what it is told, and reports."""

    def __init__(self, offset: np.ndarray) -> None:
        self._offset = offset

    def act(self, action: np.ndarray) -> np.ndarray:
        return action - self._offset

    def sense(self, qpos: np.ndarray) -> np.ndarray:
        return qpos + self._offset


class Wear(Link):
    """Grippers no longer close: where they are told to close, a share of their opening is left."""

    def __init__(self, grippers: np.ndarray, left: float) -> None:
        self._grippers, self._left = grippers, left

    def act(self, action: np.ndarray) -> np.ndarray:
        return np.where(self._grippers, np.maximum(action, self._left), action)


@dynamics("actions arrive late", "s", (0.1, 0.2, 0.4))
def delay(strength: float, rng: np.random.Generator, joints: np.ndarray, fps: float) -> Link:
    """Until the first has come, the arm stays where it starts."""
    return Delay(steps(strength, fps))


@dynamics("play in the gears: a joint that turns back first does nothing", "degrees", (0.5, 1, 2))
def backlash(strength: float, rng: np.random.Generator, joints: np.ndarray, fps: float) -> Link:
    """This much play in each joint."""
    return Play(np.radians(strength) * joints)


@arm("a badly calibrated zero of each joint, either way", "degrees", (0.5, 1, 2))
def joint_offset(strength: float, rng: np.random.Generator, joints: np.ndarray, fps: float) -> Link:
    """Each joint is off by this much, to one side or the other; what it reports is off as well."""
    return Offset(np.radians(strength) * joints * rng.choice([-1.0, 1.0], len(joints)))


@arm("worn grippers, which no longer close", "of their opening", (0.05, 0.1, 0.2))
def gripper_wear(strength: float, rng: np.random.Generator, joints: np.ndarray, fps: float) -> Link:
    """This share of their opening is left where they should be closed."""
    return Wear(~joints, strength)
