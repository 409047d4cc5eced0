"""Whether a camera stands where it stood, within limits, and which way to push it if not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cameras.displacement import NO_MATCH, Displacement, find_displacement
from cameras.reference import Reference
from common import cli

WORTH_TELLING = 0.5  # of a limit: less is not worth pushing the camera for
MOST_UNDONE = 0.15  # of the picture's width: a shift beyond it cannot be undone by warping
LEAST_SEEN = 0.75  # of the reference; what is not seen is filled by repeated edges


@dataclass(frozen=True)
class PlacementLimits:
    """How far a camera may be off its reference picture."""

    most_shift: float = cli.flag(
        5.0, "pixels (of 640) by which a camera's picture may be off its reference", above=0
    )
    most_rotation: float = cli.flag(1.0, "degrees by which it may be turned", above=0, most=180)
    most_zoom: float = cli.flag(0.02, "share by which it may be larger or smaller", above=0, below=1)


@dataclass(frozen=True)
class Placement:
    """A camera beside its reference."""

    camera: str
    displacement: Displacement
    limits: PlacementLimits

    @property
    def excess(self) -> np.ndarray:
        """Shift to the right and down, rotation and zoom (4,), in units of their limits."""
        there, limits = self.displacement, self.limits
        most_shift = limits.most_shift * there.size[1] / 640
        x, y = (value / most_shift for value in there.shift)
        return np.array([x, y, there.rotation / limits.most_rotation, (there.zoom - 1) / limits.most_zoom])

    @property
    def is_moved(self) -> bool:
        """Whether the camera is beyond a limit, or shows something else altogether."""
        if not self.displacement.is_believed:
            return self.displacement.doubt == NO_MATCH
        x, y, *others = self.excess
        return bool(np.hypot(x, y) > 1 or np.abs(others).max() > 1)

    @property
    def can_be_undone(self) -> bool:
        """Whether warping the picture shows the same again."""
        there = self.displacement
        if not there.is_believed or there.distance > MOST_UNDONE * there.size[1]:
            return False
        return there.seen >= LEAST_SEEN

    @property
    def text(self) -> str:
        """How far the camera is off, in words."""
        there = self.displacement
        if not there.is_believed:
            return f"cannot be compared with its reference: {there.doubt}"
        x, y = there.shift
        right, down = "left" if x < 0 else "right", "up" if y < 0 else "down"
        sense = "counterclockwise" if there.rotation < 0 else "clockwise"
        return (
            f"{abs(x):.1f} px {right}, {abs(y):.1f} px {down}, {abs(there.rotation):.1f} degrees {sense}, "
            f"{there.zoom:.3f} times as large as its reference (give or take {there.residual:.1f} px, "
            f"{there.share:.0%} of the corners)"
        )

    @property
    def advice(self) -> str:
        """Which way to push the camera, as seen from behind it; empty if it stands well or nobody knows."""
        there = self.displacement
        if not there.is_believed:
            is_other = there.doubt == NO_MATCH
            return "look at both pictures: it looks elsewhere, or is covered" if is_other else ""
        ways = (("left", "right"), ("up", "down"), ("counterclockwise", "clockwise"), ("forward", "back"))
        names = [
            back if value > 0 else ahead
            for value, (ahead, back) in zip(self.excess, ways, strict=True)
            if abs(value) > WORTH_TELLING
        ]
        turns = [name for name in names if name not in ("forward", "back")]
        moves = [name for name in names if name in ("forward", "back")]
        parts = [f"turn it {', '.join(turns)}"] if turns else []
        parts += [f"push it {moves[0]}"] if moves else []
        return f"{' and '.join(parts)} (as seen from behind it)" if parts else ""

    @property
    def line(self) -> str:
        """All about it, in one line."""
        return f"camera {self.camera}: {self.text}" + (f"; {self.advice}" if self.advice else "")


def judge_placement(
    camera: str, reference: Reference, picture: np.ndarray, limits: PlacementLimits
) -> Placement:
    """Compare a camera's picture (H, W, 3) uint8 RGB with its reference; ValueError if their sizes differ."""
    try:
        there = find_displacement(reference.picture, picture, reference.steady)
    except ValueError as error:
        raise ValueError(f"camera {camera}: {error}") from None
    return Placement(camera, there, limits)
