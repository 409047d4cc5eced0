"""The registry of disturbances: each is one function, with a name, a unit and three strengths.

To add one, decorate a function in the file of its group with the decorator of its kind. Flags, `--help`,
tables and docs/disturbances.md follow. What a number of another project means here is said where it is
defined.

Random numbers come from `default_rng([seed, Stream.DISTURB, rollout, axis, ...])`. So they are the same for
any number of workers, and one disturbance draws the same whether others are there or not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from constants import Stream

STRENGTHS = ("mild", "middle", "strong")
GROUPS = {  # what a disturbance changes, in words
    "pictures": "what the cameras deliver",
    "scene": "what is around the work",
    "dynamics": "how arms and objects move",
    "arm": "an arm that is not as it was",
}
PICTURE, MOMENT, LOOK, MODEL, LINK = "picture", "moment", "look", "model", "link"  # kinds of functions


@dataclass(frozen=True)
class Disturbance:
    """One axis along which an evaluation can be disturbed.

    `apply` depends on the kind:

    - picture: `(image (H, W, 3) uint8 RGB, strength, rng) -> image`; `rng` begins anew with each picture, and
      draws the same for all pictures of a rollout if `holds`.
    - moment: `(moment, strength, rng, fps) -> moment`, the step whose pictures are seen at a step; never
      later, and never earlier than that of an earlier step. `rng` draws the same at each step of a rollout.
    - look: `(strength) -> ranges`, how far the part of a look that has its name may go (`tasks.Ranges`).
    - model: `(scene, strength, rng) -> None`, which changes a simulated scene before a rollout (`Scene`).
    - link: `(strength, rng, joints, fps) -> Link`, what stands between a policy and its arm in a rollout.
    """

    name: str
    group: str  # of GROUPS
    kind: str
    what: str  # one line
    unit: str  # of the strengths, as it stands behind a number
    strengths: tuple[float, float, float]  # mild, middle, strong
    apply: Callable
    holds: bool = True

    def strength(self, name: str) -> float:
        """The value of a strength's name."""
        return self.strengths[STRENGTHS.index(name)]

    def value(self, name: str) -> str:
        """A strength's value and its unit, in words."""
        return f"{self.strength(name):g} {self.unit}"

    def rng(self, seed: int, rollout: int, *further: int) -> np.random.Generator:
        """Its random numbers in a rollout; `further` tells cameras and moments apart."""
        return np.random.default_rng(
            [seed, Stream.DISTURB, rollout, zlib.crc32(self.name.encode()), *further]
        )


def steps(seconds: float, fps: float) -> int:
    """So many seconds in steps, at least one."""
    return max(1, round(seconds * fps))


DISTURBANCES: dict[str, Disturbance] = {}


def register(group: str, kind: str, what: str, unit: str, strengths: tuple[float, ...], holds: bool = True):
    """A decorator that makes a function a disturbance; it is called as the function is, without a `_` at its
    end.
    """

    def add(function: Callable) -> Callable:
        name = function.__name__.removesuffix("_")
        DISTURBANCES[name] = Disturbance(name, group, kind, what, unit, strengths, function, holds)
        return function

    return add


@dataclass(frozen=True)
class Applied:
    """A disturbance at one of its strengths."""

    disturbance: Disturbance
    level: str  # of STRENGTHS

    @property
    def kind(self) -> str:
        return self.disturbance.kind

    @property
    def strength(self) -> float:
        return self.disturbance.strength(self.level)

    @property
    def words(self) -> str:
        """For the reader: noise, middle (25 of 255)."""
        name = self.disturbance.name.replace("_", " ")
        return f"{name}, {self.level} ({self.disturbance.value(self.level)})"

    def __str__(self) -> str:
        """As on the command line."""
        return f"{self.disturbance.name}={self.level}"
