"""What an environment returns for each step: what is seen, what it earned, and what was really sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TimeStep:
    """One step of an environment, in simulation or on an arm; used as dm_env's is."""

    observation: Mapping[str, Any]  # qpos (D,), qvel (D,), images {camera: (H, W, 3) uint8 RGB}
    reward: float | None = None  # what the action earned; None before the first, and where nobody tells
    is_last: bool = False
    sent: np.ndarray | None = None  # the action (D,) that was sent, whatever was asked for; None before one
    time: float | None = None  # s, on the arm's clock, when this was seen; None in simulation

    def first(self) -> bool:
        """Whether nothing was sent yet."""
        return self.sent is None

    def last(self) -> bool:
        """Whether the episode is over."""
        return self.is_last
