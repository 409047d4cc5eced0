"""What an environment returns for each step: the observation, the reward, and the action really sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TimeStep:
    """One step of an environment, in simulation or on an arm; used like dm_env's."""

    observation: Mapping[str, Any]  # qpos (D,), qvel (D,), images {camera: (H, W, 3) uint8 RGB}
    reward: float | None = None  # of the action; None before the first, and on a real arm
    is_last: bool = False
    sent: np.ndarray | None = None  # the action (D,) really sent; None before the first
    time: float | None = None  # s, on the arm's clock, of the observation; None in simulation

    def first(self) -> bool:
        """Whether nothing was sent yet."""
        return self.sent is None

    def last(self) -> bool:
        """Whether the episode is over."""
        return self.is_last
