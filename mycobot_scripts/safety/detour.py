"""Finds the nearest command that keeps the arm inside its limits, whichever path it takes there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mycobot_scripts.kinematics import JOINTS, on_the_wire
from mycobot_scripts.safety.bounds import Bounds
from mycobot_scripts.safety.prediction import paths

ON_THE_WAY = 0.002  # m that a predicted path may lead outside
_TINY = 1e-9  # m; rounding of floats
_ALONG = np.array([0.25, 0.5, 0.75])[:, None]  # shares of the straight path to a command that are checked
_NEARLY = 0.3  # share of a path: if no more is missing, there is no need to slide
_SHARES = np.array([0.95, 0.4])  # of the path that seems to be allowed: what is tried


@dataclass(frozen=True)
class Situation:
    """Where the arm is when a command is given."""

    previous: np.ndarray  # (7,) the last command
    pose: np.ndarray  # (7,) where the arm was seen
    starts: np.ndarray  # (arms, 6) where it is when the command takes effect (`prediction.Course.starts`)
    speed: float  # rad/s, of its fastest joint
    opening: float  # how far its gripper may be open
    allowed: np.ndarray  # (limits,) m that it may be outside each


class Detour:
    """Searches for commands.

    Args:
        bounds: the limits.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._was_clamped = False  # the last command

    def over(self, targets: np.ndarray, situation: Situation, opening: float) -> np.ndarray:
        """How far (m) commands (n, 6) may take the arm past what is allowed.

        Returns (n, 2, limits): at the command itself, and on any path there.
        """
        straight = situation.previous[:JOINTS] + _ALONG * (targets - situation.previous[:JOINTS])[:, None]
        late = paths(situation.starts, targets, situation.speed)
        poses = np.concatenate([targets[:, None], straight, late], axis=1)
        excess = self._bounds.excess(poses.reshape(-1, JOINTS), opening).reshape(*poses.shape[:2], -1)
        return np.stack([excess[:, 0], excess[:, 1:].max(axis=1) - ON_THE_WAY], axis=1) - situation.allowed

    def nearest(
        self, wanted: np.ndarray, situation: Situation, slide: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, str]:
        """The allowed command (7,) for the one wanted (7,), and the side that forced a change ("" if none).

        `slide(joints)` gives joints (6,) nearby whose tool point is inside, within all other limits.
        """
        both = np.array([wanted, situation.previous])[:, :JOINTS]
        opening = max(situation.opening, wanted[JOINTS])
        at_once = both if self._was_clamped else both[:1]  # one call with both is cheaper than two calls
        past = self.over(at_once, situation, opening)
        self._was_clamped = past[0].max() > _TINY
        if not self._was_clamped:
            return wanted, ""
        side = self._bounds.worst(past[0].max(axis=0))[1]
        stay = past[1] if len(past) > 1 else self.over(both[1:], situation, opening)[0]
        if opening > situation.opening and stay.max() > _TINY:  # the gripper would open into something
            wanted, opening = np.append(wanted[:JOINTS], situation.previous[JOINTS]), situation.opening
            past[0], stay = self.over(both, situation, opening)
        joints = self._search(wanted[:JOINTS], past[0], stay, situation, opening, slide)
        return np.append(joints, wanted[JOINTS]), side

    def _search(self, wanted, past, stay, situation: Situation, opening: float, slide) -> np.ndarray:
        """Joints (6,): those wanted, or slid along a side, or a part of the path, or the last ones."""
        bearable = np.stack(
            [np.full_like(stay[1], _TINY), np.maximum(stay[1], _TINY)]
        )  # no worse than to stay
        previous = situation.previous[:JOINTS]
        if (past <= bearable).all():
            return wanted
        tried = _parts(previous, wanted, stay, past, bearable)
        does_slide = self._bounds.is_of_tool(past.max(axis=0))
        if does_slide:
            tried = np.vstack([slide(wanted), tried])
        over = self.over(tried, situation, opening)
        passes = (over <= bearable).all(axis=(1, 2))
        missing = np.where(passes, np.abs(tried - wanted).sum(axis=1), np.inf)
        if does_slide and passes[0] and missing[1:].min() > _NEARLY * np.abs(wanted - previous).sum():
            return tried[0]
        if does_slide and not passes.any():
            tried = _parts(previous, tried[0], stay, over[0], bearable)
            passes = (self.over(tried, situation, opening) <= bearable).all(axis=(1, 2))
            missing = np.where(passes, np.abs(tried - wanted).sum(axis=1), np.inf)
        return tried[int(missing.argmin())] if passes.any() else previous


def _parts(
    start: np.ndarray, end: np.ndarray, over_start: np.ndarray, over_end: np.ndarray, bearable: np.ndarray
) -> np.ndarray:
    """Joints (n, 6) between start and end (6,): most of the part that seems bearable, and less."""
    rise = np.maximum(over_end - over_start, _TINY)
    room = np.where(over_end > bearable, (bearable - over_start) / rise, 1.0).clip(0, 1).min()
    parts = start + room * _SHARES[:, None] * (end - start)
    return np.array([on_the_wire(np.append(part, 0.0))[:JOINTS] for part in parts])
