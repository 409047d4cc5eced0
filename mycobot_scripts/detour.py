"""The nearest command on whose ways the arm stays inside its limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mycobot_scripts.bounds import Bounds
from mycobot_scripts.prediction import ways
from mycobot_scripts.units import JOINTS, on_the_wire

ON_THE_WAY = 0.002  # m; how far outside a way may lead that the arm may take, as far as can be reckoned
_TINY = 1e-9  # m; rounding of floats
_ALONG = np.array([0.25, 0.5, 0.75])[:, None]  # where the straight way to a command is looked at
_NEARLY = 0.3  # of a way: if no more than that is missing, there is no need to slide
_SHARES = np.array([0.98, 0.6, 0.25])  # of the way that seems to be allowed: what is tried


@dataclass(frozen=True)
class Moment:
    """What there is to know when a command is given."""

    previous: np.ndarray  # (7,) the last command
    pose: np.ndarray  # (7,) where the arm was seen
    starts: np.ndarray  # (arms, 6) where it is when the command takes effect (`prediction.Course.starts`)
    speed: float  # rad/s, of its fastest joint
    opening: float  # how far its gripper may be open
    allowed: np.ndarray  # (limits,) m outside each that it may be


class Detour:
    """Looks for commands.

    Args:
        bounds: the limits.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def over(self, targets: np.ndarray, moment: Moment, opening: float) -> np.ndarray:
        """How far (m) the arm may get past what is allowed (n, limits), for commands (n, 6)."""
        straight = moment.previous[:JOINTS] + _ALONG * (targets - moment.previous[:JOINTS])[:, None]
        late = ways(moment.starts, targets, moment.speed)
        poses = np.concatenate([targets[:, None], straight, late], axis=1)
        excess = self._bounds.excess(poses.reshape(-1, JOINTS), opening).reshape(*poses.shape[:2], -1)
        return np.maximum(excess[:, 0], excess[:, 1:].max(axis=1) - ON_THE_WAY) - moment.allowed

    def nearest(self, wanted: np.ndarray, moment: Moment, slide) -> tuple[np.ndarray, str]:
        """The command (7,) for one that is wanted (7,), and the side at which it had to change ("" if not).

        `slide(joints)` gives joints (6,) nearby whose tool point is inside, within all other limits.
        """
        opening = max(moment.opening, wanted[JOINTS])
        over = self.over(wanted[None, :JOINTS], moment, opening)[0]
        if over.max() <= _TINY:
            return wanted, ""
        side = self._bounds.worst(over)[1]
        stay = self.over(moment.previous[None, :JOINTS], moment, opening)[0]
        if opening > moment.opening and stay.max() > _TINY:  # the gripper would open into something
            wanted, opening = np.append(wanted[:JOINTS], moment.previous[JOINTS]), moment.opening
            over, stay = self.over(np.array([wanted, moment.previous])[:, :JOINTS], moment, opening)
        joints = self._search(wanted[:JOINTS], over, stay, moment, opening, slide)
        return np.append(joints, wanted[JOINTS]), side

    def _search(self, wanted, over, stay, moment: Moment, opening: float, slide) -> np.ndarray:
        """Joints (6,): those wanted, or slid along a side, or a part of the way, or the last ones."""
        bearable = np.maximum(stay, _TINY)  # what staying leads to cannot be helped
        if (over <= bearable).all():
            return wanted
        previous, slid = moment.previous[:JOINTS], slide(wanted)
        tried = np.vstack([slid, _parts(previous, wanted, stay, over, bearable)])
        past = self.over(tried, moment, opening)
        passes = (past <= bearable).all(axis=1)
        missing = np.abs(tried - wanted).sum(axis=1)
        if (
            passes[0]
            and missing[1:][passes[1:]].min(initial=np.inf) > _NEARLY * np.abs(wanted - previous).sum()
        ):
            return slid
        if not passes.any():
            tried = _parts(previous, slid, stay, past[0], bearable)
            passes = (self.over(tried, moment, opening) <= bearable).all(axis=1)
            missing = np.abs(tried - wanted).sum(axis=1)
        return tried[int(np.where(passes, missing, np.inf).argmin())] if passes.any() else previous


def _parts(
    start: np.ndarray, end: np.ndarray, over_start: np.ndarray, over_end: np.ndarray, bearable: np.ndarray
) -> np.ndarray:
    """Joints (n, 6) on the way from start to end (6,), as far as seems bearable, and less."""
    rise = np.maximum(over_end - over_start, _TINY)
    room = np.where(over_end > bearable, (bearable - over_start) / rise, 1.0).min()
    parts = start + room * _SHARES[:, None] * (end - start)
    return np.array([on_the_wire(np.append(part, 0.0))[:JOINTS] for part in parts])
