"""What an actor is connected to: the robot's numbers, its cameras, and how much of their pictures it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from episodes import View, resize_image

Observation = Mapping[str, Any]  # qpos (D,) and images {camera: (H, W, 3) uint8 RGB}


@dataclass(frozen=True)
class Interface:
    """What a policy is connected to: stored with it, so that one file is enough to run it."""

    state_dim: int
    action_dim: int
    cameras: tuple[str, ...]
    image_size: tuple[int, int]  # height, width (pixels) that it sees; larger frames are scaled down
    task: str = ""
    render_quality: str = ""  # of the simulated images it was trained on
    # of the cameras that it does not see whole
    views: dict[str, View] = field(default_factory=dict)
    augmentations: tuple[str, ...] = ()  # of the images in training
    fps: float = 0.0  # steps a second of the demonstrations; 0: not known
    episode_len: int = 0  # steps of the longest of them; 0: not known
    recovers: bool = False  # some of them begin in the middle of an attempt
    # top speed of each action in them, a second, and its top change, a second each second; (): not known
    velocity: tuple[float, ...] = ()
    acceleration: tuple[float, ...] = ()
    # height, width (pixels) of the demonstrations' pictures, by camera; {}: not known
    frame_sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Interface:
        """From the dict that `dataclasses.asdict` made of one."""
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        views = {camera: View.from_plain(view) for camera, view in values.get("views", {}).items()}
        sizes = {camera: tuple(size) for camera, size in values.get("frame_sizes", {}).items()}
        return cls(**{**values, "views": views, "frame_sizes": sizes})

    def viewed(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """(cameras, H, W, 3) uint8: its cameras' pictures, of any size, as it sees them."""
        size = self.image_size
        return np.array([self.views.get(c, resize_image)(images[c], size) for c in self.cameras])

    def black_observation(self, qpos: np.ndarray) -> Observation:
        """What an environment might give: black pictures, and a state (D,)."""
        whole = View(frame_size=self.image_size)
        sizes = {name: self.views.get(name, whole).frame_size or self.image_size for name in self.cameras}
        black = {name: np.zeros((*size, 3), np.uint8) for name, size in sizes.items()}
        return {"qpos": qpos, "images": black}
