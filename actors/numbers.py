"""Random numbers as torch draws them on a CPU, without torch: whoever computes, a rollout has the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

WORDS, FACTOR, MASK = 624, 1812433253, 2**32 - 1  # of the Mersenne Twister (Matsumoto and Nishimura 1998)
BITS = 24  # of a float32
GROUP = 16  # normal numbers that torch makes at once; of fewer it makes them in another way


def first_seed(key: Sequence[int]) -> int:
    """The 64-bit seed of an episode, by its key."""
    return int(np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0])


class Numbers:
    """A stream of random numbers, the same for the same key as `TorchActor` draws on a CPU."""

    def __init__(self, key: Sequence[int]) -> None:
        state = [first_seed(key) & MASK]
        for i in range(1, WORDS):
            state.append((FACTOR * (state[-1] ^ (state[-1] >> 30)) + i) & MASK)
        self._bits = np.random.MT19937()
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": state, "pos": WORDS}}

    def uniform(self, shape: Sequence[int]) -> np.ndarray:
        """In [0, 1), float32."""
        words = self._bits.random_raw(math.prod(shape)) & (2**BITS - 1)
        return (words.astype(np.float32) * np.float32(2.0**-BITS)).reshape(shape)

    def normal(self, shape: Sequence[int]) -> np.ndarray:
        """Standard normal, float32: by Box and Muller's transform, in groups whose halves make pairs. Where
        the last group is not whole, the last GROUP numbers are drawn anew.
        """
        count = math.prod(shape)
        numbers = self.uniform((max(count, GROUP),))
        whole = len(numbers) // GROUP * GROUP
        normal = np.empty_like(numbers)
        normal[:whole] = _normal(numbers[:whole])
        if whole < len(numbers):
            normal[-GROUP:] = _normal(self.uniform((GROUP,)))
        return normal[:count].reshape(shape)


def _normal(uniform: np.ndarray) -> np.ndarray:
    """Standard normal numbers (n,) of uniform ones (n,), n a multiple of GROUP."""
    first, second = uniform.reshape(-1, 2, GROUP // 2).swapaxes(0, 1)  # (n / GROUP, GROUP / 2) each
    radius = np.sqrt(-2 * np.log(1 - first))
    angle = np.float32(2 * math.pi) * second
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32).reshape(-1)
