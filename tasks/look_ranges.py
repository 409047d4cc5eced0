"""How far looks go from a scene's own, and how long each lasts.

There is a part for each thing that varies, and named levels of all of them. Every number is drawn uniformly
from its range. Each part's default is no change at all: `only` leaves all parts but one there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

Range = tuple[float, float]
SAME: Range = (1.0, 1.0)


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


@dataclass(frozen=True)
class CableRanges:
    """Of a cable on the table."""

    share: float = 0.0  # of looks that have one
    radius: Range = (0.002, 0.004)  # m
    length: Range = (0.3, 0.75)  # m
    bend: float = 7.0  # 1/m, curvature either way


@dataclass(frozen=True)
class Ranges:
    """How far each part of a look goes from the scene's own."""

    light: LightRanges = LightRanges()
    colours: ColourRanges = ColourRanges()
    table: TableRanges = TableRanges()
    camera: CameraRanges = CameraRanges()
    cable: CableRanges = CableRanges()


MILD = Ranges(
    LightRanges(strength=(0.75, 1.25), ambient=(0.75, 1.25), warmth=(-0.08, 0.08), tilt=0.35, shift=0.3),
    ColourRanges(hue=0.015, saturation=(0.92, 1.0), value=(0.85, 1.1), arm_shade=(0.75, 1.1)),
    TableRanges(covers=("plain", "wood", "checker", "noise", "speckle"), value=(0.25, 0.7)),
    CameraRanges(shift=0.005, tilt=0.03),
    CableRanges(share=0.7),
)
LEVELS = {"mild": MILD}
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

    def number(self, step: int) -> int:
        """Of the look that a step of the episode has."""
        return step // self.hold if self.hold else 0

    def rng(self, number: int) -> np.random.Generator:
        """What look `number` is drawn from."""
        return np.random.default_rng([*self.seeds, number] if self.hold else self.seeds)
