"""Pictures of one step of a simulation, drawn only if somebody looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from tasks.past import Past


class LazyImages(Mapping):
    """Images of one step by camera name, rendered when they are first asked for."""

    def __init__(self, sim: Any, physics: Any) -> None:
        self._sim, self._physics = sim, physics
        self._moment = sim.moment
        self._past = Past(physics.data.ptr, sim.steps) if sim.remembers else None
        self._frames: dict[str, np.ndarray] = {}

    def __getitem__(self, camera: str) -> np.ndarray:
        """Image (H, W, 3) uint8 RGB. RuntimeError once the simulation has moved on, unless it remembers."""
        if camera not in self._frames:
            is_past = self._moment != self._sim.moment
            if is_past and self._past is None:
                raise RuntimeError(f"camera {camera!r} was first asked for after the simulation had moved on")
            with self._sim.rewound(self._physics, self._past) if is_past else nullcontext():
                self._frames[camera] = self._sim.render(self._physics, camera)
        return self._frames[camera]

    def __contains__(self, camera: object) -> bool:
        return camera in self._sim.cameras  # the default would render it

    def __iter__(self) -> Iterator[str]:
        return iter(self._sim.cameras)

    def __len__(self) -> int:
        return len(self._sim.cameras)
