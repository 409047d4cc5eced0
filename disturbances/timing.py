"""Disturbances of when pictures come: dropped, frozen, late. Each says which step's pictures are seen at a
step.

z1050297972-spec/act-vision-dynamic has none of them.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from disturbances.registry import MOMENT, register, steps

EVERY = 4.0  # s from one frozen picture to the next
timing = partial(register, "pictures", MOMENT)


@timing("pictures are lost; the last one is seen again", "of all pictures", (0.2, 0.5, 0.8))
def dropped_frames(moment: int, strength: float, rng: np.random.Generator, fps: float) -> int:
    """This share of the pictures does not arrive; the first does. Theirs has none."""
    arrives = np.flatnonzero(rng.random(moment + 1) >= strength)
    return int(arrives[-1]) if len(arrives) else 0


@timing(f"all cameras stand still for a time, once in {EVERY:g} s", "s", (0.5, 1, 2))
def frozen_pictures(moment: int, strength: float, rng: np.random.Generator, fps: float) -> int:
    """At a random moment of each 4 seconds, the picture stands still for this long. Theirs has none."""
    stretch, still = steps(EVERY, fps), steps(strength, fps)
    number = moment // stretch
    begins = number * stretch + int(rng.random(number + 1)[-1] * (stretch - still))
    return begins if begins <= moment < begins + still else moment


@timing("pictures arrive late", "s", (0.1, 0.2, 0.4))
def late_pictures(moment: int, strength: float, rng: np.random.Generator, fps: float) -> int:
    """The picture of this long ago; the first one until there is such. Theirs has none."""
    return max(0, moment - steps(strength, fps))
