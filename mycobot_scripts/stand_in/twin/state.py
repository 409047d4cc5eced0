"""What the twin tells of its episode, and what an episode may change of its scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from disturbances import Applied


@dataclass(frozen=True)
class Changes:
    """How an episode's physics and look differ from the scene's own."""

    applied: tuple[Applied, ...] = ()
    seed: int = 0
    rollout: int = 0


UNCHANGED = Changes()


@dataclass(frozen=True)
class TwinState:
    """The state of the twin and its episode."""

    reward: int
    highest_reward: int
    max_reward: int
    success: bool
    strict_success: bool | None
    case: int
    case_label: str | None
    choice: str | None
    qpos: list[float]  # (7,) rad, and the gripper as last commanded
    gripper: float  # as it is
    released: bool  # whether a motor is off, so that a hand may lead the arm
    env_state: list[float]
    time: float  # s, simulated since the reset
    lag: float  # s, behind the wall clock
    slipped: float  # s, given up since the start
    unstable: int  # times that the simulation broke, and began anew


def as_json(state: TwinState) -> dict[str, Any]:
    """A state for `json.dumps`."""
    return asdict(state)
