"""How takes of one script differ from each other: ranges for each thing that people do in another way.

There is a part for each, and a style has all of them. Every number is drawn uniformly from its range. A
part's default is what the script does: `only` leaves all other parts there. The styles themselves are in
styles.py. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from tasks.ranges import NONE, SAME, Range


@dataclass(frozen=True)
class ApproachRanges:
    """Of the ways through the air. In a take, they all swing out to the same side."""

    height: Range = SAME  # times the distance from where a grasp is aimed at to the grasp
    arc: Range = NONE  # share of its length by which a way with an empty hand swings out to one side
    lift: Range = NONE  # share of its length by which any way is higher in its middle
    beside: Range = NONE  # m to that side of the script's waypoints, where a prop is carried past them


@dataclass(frozen=True)
class GripRanges:
    """Of where a prop is gripped. In a take, each hand does all of it to the same side."""

    offset: Range = NONE  # m along the prop, across the fingers' way
    turn: Range = NONE  # degrees about the vertical
    slant: Range = NONE  # m further along the prop, from where the hand comes down


@dataclass(frozen=True)
class OrderRanges:
    """Of the arms' order, until they come near each other."""

    lead: Range = NONE  # s by which one arm, whichever it is, is ahead


@dataclass(frozen=True)
class MissRanges:
    """Of grasps that close above the prop, and are tried again."""

    share: float = 0.0  # of grasps at a prop
    height: Range = NONE  # m above the grasp
    seconds: Range = NONE  # until it is seen


@dataclass(frozen=True)
class OvershootRanges:
    """Of ways through the air that go too far, and are corrected."""

    share: float = 0.0  # of them
    distance: Range = NONE  # m
    seconds: Range = NONE  # that the correction takes


@dataclass(frozen=True)
class PauseRanges:
    """Of pauses at waypoints."""

    share: float = 0.0  # of waypoints
    seconds: Range = NONE


@dataclass(frozen=True)
class ReleaseRanges:
    """Of when a hand opens: with even chances early or late, where another arm holds on only late."""

    early: Range = NONE  # s before it has come to rest
    late: Range = NONE  # s after that


@dataclass(frozen=True)
class TempoRanges:
    """Of speed."""

    pace: Range = SAME  # times the script's time
    change: Range = SAME  # times that, anew between any two waypoints
    ease: Range = NONE  # 0: even speed between two waypoints; 1: from rest to rest, with the least jerk
    rounding: Range = NONE  # s before and after a corner of the way in which it is cut


@dataclass(frozen=True)
class TremorRanges:
    """Of the hand's tremor: sines of many frequencies, with amplitudes that fall with frequency."""

    shift: Range = NONE  # m along each axis, at most
    tilt: Range = NONE  # degrees about each axis, at most
    hertz: Range = (0.4, 4.0)  # frequencies


@dataclass(frozen=True)
class Style:
    """How far takes of a script go from it; the default does not."""

    approach: ApproachRanges = ApproachRanges()
    grip: GripRanges = GripRanges()
    order: OrderRanges = OrderRanges()
    miss: MissRanges = MissRanges()
    overshoot: OvershootRanges = OvershootRanges()
    pause: PauseRanges = PauseRanges()
    release: ReleaseRanges = ReleaseRanges()
    tempo: TempoRanges = TempoRanges()
    tremor: TremorRanges = TremorRanges()

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that change anything."""
        return tuple(part.name for part in fields(self) if getattr(self, part.name) != part.default)

    def only(self, *parts: str) -> Style:
        """This style's ranges of some parts; all else is the script's."""
        return replace(Style(), **{part: getattr(self, part) for part in parts})


@dataclass(frozen=True)
class StylePlan:
    """Which take of a style it is."""

    style: Style
    seeds: tuple[int, ...]  # of its random stream
