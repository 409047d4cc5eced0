"""The cameras of a run beside their references: whether it may start, and undoing what can be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cameras import Displacement, Placement, PlacementLimits, Reference, judge_placement
from common import cli

LEAST_UNDONE = 0.1  # of the limits: less is not worth the blur of warping


@dataclass(frozen=True)
class PlacementConfig(PlacementLimits):
    """Flags: what is done about cameras that were moved."""

    rectify: bool = cli.flag(False, "undo small displacements of the cameras, by warping their pictures")
    ignore_moved: bool = cli.flag(False, "run, and go on, even if a camera was moved")


@dataclass
class PlacedCameras:
    """Cameras beside their references.

    Args:
        references: by camera; others are not looked at.
        config: the flags.
        say: tells the person.
    """

    references: Mapping[str, Reference]
    config: PlacementConfig
    say: Callable[[str], None] = print
    _undo: dict[str, Displacement] = field(default_factory=dict)

    def check(self, images: Mapping[str, np.ndarray]) -> str | None:
        """Look at the pictures of a run's start; why it must not start, None if it may."""
        self._undo = {}
        reasons = [reason for name in self.references if (reason := self._check(name, images[name]))]
        return "; ".join(reasons) or None

    def _check(self, name: str, image: np.ndarray) -> str | None:
        try:
            placement = judge_placement(name, self.references[name], image, self.config)
        except ValueError as error:
            self.say(f"note: whether it was moved is not known: {error}")
            return None
        if not placement.displacement.is_believed and not placement.is_moved:
            self.say(f"note: {placement.line}")
        if self.config.rectify and placement.can_be_undone:
            self._rectify(placement)
        elif placement.is_moved:
            if not self.config.ignore_moved:
                return placement.line
            self.say(f"note: {placement.line} (--ignore_moved)")
        return None

    def _rectify(self, placement: Placement) -> None:
        x, y, *others = placement.excess
        if max(np.hypot(x, y), np.abs(others).max()) > LEAST_UNDONE:
            self._undo[placement.camera] = placement.displacement
            self.say(f"rectified: camera {placement.camera}: {placement.text}")

    def rectified(self, observation: Mapping[str, Any]) -> Mapping[str, Any]:
        """The observation as it would be from the old places; itself if nothing is to be undone."""
        if not self._undo:
            return observation
        images = dict(observation["images"])
        images |= {name: there.undone(images[name]) for name, there in self._undo.items()}
        return {**observation, "images": images}
