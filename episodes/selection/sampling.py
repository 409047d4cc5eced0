"""Which samples a training step sees: each is a function of the seed and its number alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Sample = tuple[int, int]  # an episode's number, and the step where a chunk begins


class StartSampler:
    """Draw the episode and step of sample number i. As in ACT, an epoch is one random start per episode.

    With several datasets, an epoch has as many samples as there are episodes; the dataset of each is drawn by
    weight. Within a dataset, no episode repeats before all others were drawn.

    Args:
        lengths: possible starts in each episode, dataset after dataset; all its steps, as a rule.
        key: `[seed, purpose, ...]` of the random stream.
        early_share: share of the samples that start in the first `early_steps`, where only the image shows
            what to do. Later the joints show it too, and a network that sees mostly later steps learns to
            ignore the image.
        sizes: episodes of each dataset; one dataset if not given.
        weights: share of the samples that comes from each; they add up to one.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        key: Sequence[int],
        early_share: float = 0.0,
        early_steps: int = 40,
        sizes: Sequence[int] | None = None,
        weights: Sequence[float] = (1.0,),
    ) -> None:
        self._lengths, self._key = np.asarray(lengths), list(key)
        self._early_share, self._early_steps = early_share, early_steps
        self._sizes, self._weights = sizes or [len(self._lengths)], weights
        self._epoch: tuple[int, np.ndarray] | None = None

    def epoch(self, number: int) -> np.ndarray:
        """(N, 2): episode and start, for each of the N samples of an epoch."""
        if self._epoch is None or self._epoch[0] != number:
            rng = np.random.default_rng([*self._key, number])
            order = self._episodes(number, rng)
            ends = self._lengths[order]
            is_early = rng.random(len(order)) < self._early_share
            starts = rng.integers(0, np.where(is_early, np.minimum(ends, self._early_steps), ends))
            self._epoch = number, np.stack([order, starts], axis=1)
        return self._epoch[1]

    def _episodes(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """(N,): the episode of each sample of an epoch."""
        order = np.empty(len(self._lengths), int)
        by_weight = np.random.default_rng([*self._key, number, 1])
        chosen = by_weight.choice(len(self._sizes), len(order), p=self._weights)
        for dataset, size in enumerate(self._sizes):
            slots = np.flatnonzero(chosen == dataset)
            rounds = [rng.permutation(size) for _ in range(0, max(1, len(slots)), size)]
            order[slots] = sum(self._sizes[:dataset]) + np.concatenate(rounds)[: len(slots)]
        return order

    def draw(self, first: int, count: int) -> list[Sample]:
        """Samples number `first` to `first + count`; epochs follow one another without a gap."""
        size = len(self._lengths)
        return [tuple(self.epoch(i // size)[i % size].tolist()) for i in range(first, first + count)]


@dataclass(frozen=True)
class Shares:
    """How an optimiser step's samples are shared out: over batches, and each batch over processes."""

    batch_size: int  # samples of one batch in one process
    accumulate: int = 1  # batches
    rank: int = 0  # of this process, from 0
    processes: int = 1

    @property
    def samples(self) -> int:
        """All samples of a step."""
        return self.batch_size * self.accumulate * self.processes

    def parts(self) -> range:
        """Where each of this process's batches begins among the samples of a step."""
        return range(self.rank * self.batch_size, self.samples, self.processes * self.batch_size)
