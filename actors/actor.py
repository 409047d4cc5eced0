"""Actors: what an execution asks for chunks of actions. Nothing here needs torch."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from actors.interface import Interface, Observation

# an observation as an actor keeps it: qpos (D,) float32, images (cameras, H, W, 3) uint8; of one that looks
# back h > 1 steps, (h, D) and (h, cameras, H, W, 3), oldest first
Seen = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Traits:
    """How an actor is asked, and what it knows of its demonstrations: plain values, which a file or a message
    can hold.
    """

    chunk_size: int  # actions that it predicts at once
    execution_horizon: int  # of them executed before the next are asked for, unless a flag says otherwise
    observation_horizon: int  # observations that it looks at, up to the present one
    inpaints: bool  # can be given how a chunk begins
    qpos_mean: tuple[float, ...]  # (D,)
    action_std: tuple[float, ...]  # (A,)
    action_min: tuple[float, ...]  # (A,)
    action_max: tuple[float, ...]  # (A,)


@dataclass(frozen=True)
class Rest:
    """What is left of the present chunk when the next is asked for."""

    actions: np.ndarray  # (k, A)
    settled: int  # of them will have been executed before the next is there


class Actor(ABC):
    """Gives chunks of actions for observations of one robot.

    Attributes:
        interface: what it is connected to.
        traits: how it is asked.
    """

    interface: Interface
    traits: Traits

    @property
    def chunk_size(self) -> int:
        return self.traits.chunk_size

    @property
    def execution_horizon(self) -> int:
        return self.traits.execution_horizon

    @property
    def observation_horizon(self) -> int:
        return self.traits.observation_horizon

    @property
    def inpaints(self) -> bool:
        return self.traits.inpaints

    @abstractmethod
    def observe(self, observation: Observation) -> Seen:
        """An observation as it is kept until a chunk is asked for; this renders its images."""

    def finish(self, seen: Seen) -> Seen:
        """What `observe` gives, of the state (D,) float32 and the pictures as the interface views them
        (cameras, H, W, 3) uint8: for who cannot send whole observations.
        """
        return seen

    def served(self) -> Actor:
        """The same for a policy server: it can `finish` what arms send. ValueError if none can be."""
        return self

    def another(self) -> Actor:
        """One more that asks the same policy, and draws for itself: `reset` it first."""
        return copy.copy(self)

    @abstractmethod
    def act(self, seen: Seen, rest: Rest | None = None) -> np.ndarray:
        """A chunk (n, A) of actions, robot units; given what is left of the one before, if it `inpaints`."""

    def reset(self, key: Sequence[int]) -> None:  # noqa: B027
        """An episode begins; what is drawn in it depends on `key` alone."""

    def close(self) -> None:  # noqa: B027
        """Free what it holds."""
