"""How far looks go from a scene's own, and how long each lasts.

There is a part for each thing that varies, and named levels of all of them. Every number is drawn uniformly
from its range. Each part's default is no change at all: `only` leaves all parts but one there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from tasks.ranges import SAME, Range


@dataclass(frozen=True)
class LightRanges:
    """Of the lights."""

    strength: Range = SAME  # times that of each light
    ambient: Range = SAME  # times the ambient light
    warmth: Range = (0.0, 0.0)  # share that red gains and blue loses, in all lights
    tilt: float = 0.0  # rad, about each axis, either way
    shift: float = 0.0  # m, along each axis, either way


@dataclass(frozen=True)
class ColourRanges:
    """Of the colours of props and arms."""

    hue: float = 0.0  # of props, in turns of the colour wheel, either way
    saturation: Range = SAME  # times that of props
    value: Range = SAME  # times that of props
    arm_shade: Range = SAME  # times the colours of all arms


@dataclass(frozen=True)
class TableRanges:
    """Of the table's top."""

    covers: tuple[str, ...] = ()  # names of `look_covers.COVERS`, equally likely; none: the scene's own
    value: Range = SAME  # brightness; hue and saturation are the cover's


@dataclass(frozen=True)
class CameraRanges:
    """Of the poses of cameras, each by itself."""

    shift: float = 0.0  # m, along each axis, either way
    tilt: float = 0.0  # rad, about each axis, either way
    on_arm: float = 1.0  # times both, of cameras that an arm carries: they are screwed on


@dataclass(frozen=True)
class CableRanges:
    """Of a cable on the table."""

    share: float = 0.0  # of looks that have one
    radius: Range = (0.002, 0.004)  # m
    length: Range = (0.3, 0.75)  # m
    bend: float = 7.0  # 1/m, curvature either way


@dataclass(frozen=True)
class RoomRanges:
    """Of a floor and walls round the table."""

    share: float = 0.0  # of looks that have them
    floor: Range = SAME  # its brightness
    wall: Range = SAME  # theirs


@dataclass(frozen=True)
class DistractorRanges:
    """Of things that lie on the table beside the work, in other colours than it."""

    most: int = 0  # of them; their number is drawn from 0 on
    height: float = 0.0  # m, of the tallest
    margin: float = 0.0  # m, that they keep from where arms and props work


@dataclass(frozen=True)
class ShadeRanges:
    """Of soft patches of shade (a person, a window's frame) and of light (a lamp, the sun) on the table."""

    most: int = 0  # of them; their number is drawn from 0 on
    depth: Range = (0.0, 0.0)  # share of the light that a patch of shade takes, or that one of light adds
    size: Range = (0.1, 0.6)  # m, half of a patch's width and length
    softness: Range = (0.03, 0.3)  # m, of its edge


@dataclass(frozen=True)
class PictureRanges:
    """Of each camera's picture as a whole."""

    exposure: Range = SAME  # times its brightness
    gamma: Range = SAME  # exponent of its brightness
    balance: float = 0.0  # share that red and blue gain or lose, each by itself


@dataclass(frozen=True)
class DriftRanges:
    """Of light that changes slowly while a look lasts, where `LookPlan` says that it does."""

    light: float = 0.0  # share of its strength, either way
    warmth: float = 0.0  # share that red gains and blue loses, either way
    exposure: float = 0.0  # share of the picture's brightness, either way


@dataclass(frozen=True)
class Ranges:
    """How far each part of a look goes from the scene's own."""

    light: LightRanges = LightRanges()
    colours: ColourRanges = ColourRanges()
    table: TableRanges = TableRanges()
    camera: CameraRanges = CameraRanges()
    cable: CableRanges = CableRanges()
    room: RoomRanges = RoomRanges()
    distractors: DistractorRanges = DistractorRanges()
    shade: ShadeRanges = ShadeRanges()
    picture: PictureRanges = PictureRanges()
    drift: DriftRanges = DriftRanges()


SEEN_PIXELS = 512  # along either side of the picture of a table's top that was seen (`covers.set_seen`)
TABLE_TOPS = ("plain", "wood", "checker", "noise", "speckle")
CLOTHS = ("linen", "stripes", "gingham", "dots", "blue_check", "green_stripes")
MILD = Ranges(
    LightRanges(strength=(0.75, 1.25), ambient=(0.75, 1.25), warmth=(-0.08, 0.08), tilt=0.35, shift=0.3),
    ColourRanges(hue=0.015, saturation=(0.92, 1.0), value=(0.85, 1.1), arm_shade=(0.75, 1.1)),
    TableRanges(covers=TABLE_TOPS, value=(0.25, 0.7)),
    CameraRanges(shift=0.005, tilt=0.03),
    CableRanges(share=0.7),
    drift=DriftRanges(light=0.25, warmth=0.05, exposure=0.05),
)
REAL = Ranges(
    LightRanges(strength=(0.6, 1.4), ambient=(0.65, 1.4), warmth=(-0.14, 0.16), tilt=0.7, shift=0.5),
    ColourRanges(hue=0.02, saturation=(0.82, 1.0), value=(0.75, 1.15), arm_shade=(0.65, 1.15)),
    TableRanges(covers=(*TABLE_TOPS, "planks", *CLOTHS), value=(0.22, 0.85)),
    CameraRanges(shift=0.02, tilt=0.07, on_arm=0.5),
    CableRanges(share=0.7, radius=(0.002, 0.005)),
    RoomRanges(share=0.8, floor=(0.2, 0.7), wall=(0.35, 0.9)),
    DistractorRanges(most=5, height=0.1, margin=0.05),
    ShadeRanges(most=2, depth=(0.15, 0.5)),
    PictureRanges(exposure=(0.8, 1.25), gamma=(0.85, 1.15), balance=0.1),
    DriftRanges(light=0.45, warmth=0.1, exposure=0.1),
)
WILD = Ranges(
    LightRanges(strength=(0.4, 1.7), ambient=(0.45, 1.7), warmth=(-0.25, 0.25), tilt=1.0, shift=0.8),
    ColourRanges(hue=0.03, saturation=(0.65, 1.0), value=(0.6, 1.25), arm_shade=(0.45, 1.25)),
    TableRanges(covers=(*TABLE_TOPS, "planks", *CLOTHS), value=(0.08, 1.0)),
    CameraRanges(shift=0.035, tilt=0.11, on_arm=0.4),
    CableRanges(share=0.85, radius=(0.002, 0.007), length=(0.2, 0.75), bend=12.0),
    RoomRanges(share=0.9, floor=(0.05, 0.95), wall=(0.1, 1.0)),
    DistractorRanges(most=8, height=0.14, margin=0.02),
    ShadeRanges(most=3, depth=(0.15, 0.7), size=(0.06, 0.8), softness=(0.01, 0.4)),
    PictureRanges(exposure=(0.65, 1.5), gamma=(0.7, 1.4), balance=0.2),
    DriftRanges(light=0.65, warmth=0.18, exposure=0.2),
)
LEVELS = {"mild": MILD, "real": REAL, "wild": WILD}
PARTS = tuple(field.name for field in fields(Ranges))


def only(part: str, level: str) -> Ranges:
    """A level's ranges of one part (see PARTS); all else keeps the scene's own look."""
    return replace(Ranges(), **{part: getattr(LEVELS[level], part)})


@dataclass(frozen=True)
class LookPlan:
    """Which looks an episode has."""

    seeds: tuple[int, ...]  # of their random stream
    ranges: Ranges = MILD
    hold: int = 0  # steps that a look lasts; 0: the whole episode
    drift_fps: float = 0.0  # control steps a second, if light drifts while a look lasts; 0: it does not
    room: LookPlan | None = None  # what it changes further, all episodes alike; None: the scene's own look

    def number(self, step: int) -> int:
        """Of the look that a step of the episode has."""
        return step // self.hold if self.hold else 0

    def rng(self, number: int) -> np.random.Generator:
        """What look `number` is drawn from."""
        return np.random.default_rng([*self.seeds, number] if self.hold else self.seeds)
