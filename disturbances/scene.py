"""Disturbances of how a simulated scene looks: each says how far one part of its look may go in a rollout.

They are the parts of `--randomize` (tasks/looks/ranges.py), each by itself, and drawn uniformly within its
range. z1050297972-spec/act-vision-dynamic has none of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from constants import Stream
from disturbances.registry import LOOK, Applied, register
from tasks import (
    CLOTHS,
    LEVELS,
    TABLE_TOPS,
    CableRanges,
    CameraRanges,
    DistractorRanges,
    LightRanges,
    LookPlan,
    Ranges,
    RoomRanges,
    TableRanges,
)

COVERS = (*TABLE_TOPS, "planks", *CLOTHS)
scene = partial(register, "scene", LOOK)


@scene("cameras stand elsewhere", "mm, and a fifth as many degrees, at most", (5, 10, 20))
def camera(strength: float) -> CameraRanges:
    """Each camera by itself is shifted along each axis, and turned about each. Theirs has none."""
    return CameraRanges(shift=strength / 1000, tilt=math.radians(strength / 5))


@scene("lamps are brighter or darker, warmer or colder, and elsewhere", "%, at most", (25, 40, 60))
def light(strength: float) -> LightRanges:
    """Brightness of each light and of all together by this share; warmth by a third of it; lamps shifted by
    up to 1.2 cm, and turned by 0.8 degrees, for each per cent. Theirs has none.
    """
    share = strength / 100
    around = (1 - share, 1 + share)
    return LightRanges(around, around, warmth=(-share / 3, share / 3), tilt=1.4 * share, shift=1.2 * share)


@scene("another table top", "kinds of it", (1, 5, len(COVERS)))
def table(strength: float) -> TableRanges:
    """Of one plain colour; or of wood, stone or checkers too; or under a cloth too, and from nearly black to
    white. Theirs has none.
    """
    wide = (strength - 1) / (len(COVERS) - 1)
    return TableRanges(COVERS[: int(strength)], value=(0.3 - 0.22 * wide, 0.55 + 0.45 * wide))


@scene("things lie beside the work", "things at most", (2, 5, 8))
def distractors(strength: float) -> DistractorRanges:
    """None to so many, in other colours than the work's, where nothing is worked on. Theirs has none."""
    return DistractorRanges(most=int(strength), height=0.14, margin=0.02)


@scene("a cable lies on the table", "mm thick, at most", (4, 8, 14))
def cable(strength: float) -> CableRanges:
    """From an edge across the table, 0.3 to 0.75 m of it. Theirs has none."""
    return CableRanges(share=1.0, radius=(0.002, strength / 2000))


@scene("floor and walls around the table", "of white, at most", (0.2, 0.5, 1))
def room(strength: float) -> RoomRanges:
    """Each is this bright at most. Theirs has none."""
    return RoomRanges(share=1.0, floor=(0.0, strength), wall=(0.0, strength))


def changes_look(applied: Sequence[Applied]) -> bool:
    """Whether any of these disturbances changes how a scene looks, which must be made for that."""
    return any(each.kind == LOOK for each in applied)


def room_look(number: int) -> LookPlan:
    """How a room looks, in every episode: one of the `real` looks, by its number."""
    return LookPlan((number, Stream.DISTURB), LEVELS["real"])


def look_of(
    applied: Sequence[Applied],
    seed: int,
    rollout: int,
    room: LookPlan | None = None,
    drift_fps: float = 0.0,
) -> LookPlan | None:
    """The look that a rollout has under the disturbances among `applied` that concern it, in a room that has
    a look of its own or none; None: the usual one. Light drifts if `drift_fps`, the steps a second, is given.
    """
    looks = [each for each in applied if each.kind == LOOK]
    parts = {each.disturbance.name: each.disturbance.apply(each.strength) for each in looks}
    if not parts and not drift_fps:
        return room
    if drift_fps:
        parts["drift"] = LEVELS["real"].drift
    ranges = replace(Ranges(), **parts)
    return LookPlan((seed, Stream.DISTURB, rollout), ranges, drift_fps=drift_fps, room=room)
