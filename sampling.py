"""Which samples a batch is made of, and batches built ahead.

Every draw is a function of the seed and of a sample's number, so that a run resumed at step n sees what an
uninterrupted one would have seen, without any state to restore.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from utils import Batch, Demonstrations

PREFETCH = 4  # batches built ahead
LOADER_THREADS = min(8, max(2, (os.cpu_count() or 1) // 2))
PHASES = {
    "start": (0, 0.05),
    "early": (0.05, 1 / 3),
    "middle": (1 / 3, 2 / 3),
    "late": (2 / 3, 1),
}  # shares of an episode


class StartSampler:
    """Which step of which episode is sample number i. An epoch, as in ACT, is one random start in each
    episode.

    With several datasets it is as many samples as there are episodes, the dataset of each drawn by weight;
    within a dataset no episode comes again before all others have.

    Args:
        lengths: steps of each episode, dataset after dataset.
        key: `[seed, purpose, ...]` of the random stream.
        early_share: share of the samples whose start is drawn from the first `early_steps` only, where the
            image alone tells what to do; later the joints give it away, and a network that sees mostly those
            learns not to look.
        sizes: episodes of each dataset; all are one if not given.
        weights: share of the samples that comes from each; they add up to one.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        key: Sequence[int],
        early_share: float = 0.0,
        early_steps: int = 40,
        sizes: Sequence[int] | None = None,
        weights: Sequence[float] = (1.0,),
    ) -> None:
        if not 0 <= early_share <= 1:
            raise ValueError(f"--early_share is {early_share}; it must lie in [0, 1]")
        if early_steps < 1:
            raise ValueError(f"--early_steps is {early_steps}; it must be at least 1")
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

    def draw(self, first: int, count: int) -> list[tuple[int, int]]:
        """Samples number `first` to `first + count`; epochs follow one another without a gap."""
        size = len(self._lengths)
        return [tuple(self.epoch(i // size)[i % size].tolist()) for i in range(first, first + count)]


@dataclass(frozen=True)
class Shares:
    """How the samples of an optimiser step are shared out: over batches, each over processes."""

    batch_size: int  # samples of one batch in one process
    accumulate: int = 1  # batches
    rank: int = 0  # this process, of `processes`
    processes: int = 1

    @property
    def samples(self) -> int:
        """Samples of a step, in all."""
        return self.batch_size * self.accumulate * self.processes

    def parts(self, step: int) -> list[int]:
        """The number of the first sample of each of this process's batches in a step."""
        ranks = range(self.rank, self.accumulate * self.processes, self.processes)
        return [step * self.samples + rank * self.batch_size for rank in ranks]


def _step_batches(
    data: Demonstrations, sampler: StartSampler, shares: Shares, chunk_size: int, steps: range
) -> Iterator[tuple[list[tuple[int, int]], float]]:
    """The samples of each batch, and `valid_steps`: action steps that exist, per batch, in the whole step."""
    for step in steps:
        drawn = sampler.draw(step * shares.samples, shares.samples)
        valid = sum(min(chunk_size, data.lengths[index] - start) for index, start in drawn)
        for first in shares.parts(step):
            offset = first - step * shares.samples
            samples = drawn[offset : offset + shares.batch_size]
            yield samples, float(valid) * shares.batch_size / shares.samples


def batches(
    data: Demonstrations,
    sampler: StartSampler,
    shares: Shares,
    chunk_size: int,
    steps: range,
    num_workers: int = LOADER_THREADS,
    pin: bool = False,
    history: int = 1,
) -> Iterator[Batch]:
    """The batches of training steps `steps`, built ahead by threads: decoding and copying release Python's
    lock. `pin` and `history` as for `Demonstrations.batch`.
    """
    with ThreadPoolExecutor(num_workers) as pool:
        queue: list[Future[Batch]] = []
        todo = _step_batches(data, sampler, shares, chunk_size, steps)
        while True:
            for samples, valid in todo:
                queue.append(pool.submit(data.batch, samples, chunk_size, valid, pin, history))
                if len(queue) > max(PREFETCH, num_workers):
                    break
            if not queue:
                return
            try:
                yield queue.pop(0).result()
            except GeneratorExit:
                for future in queue:
                    future.cancel()
                raise


def phase_batches(
    data: Demonstrations,
    samples: int,
    batch_size: int,
    chunk_size: int,
    key: Sequence[int],
    history: int = 1,
) -> dict[str, list[Batch]]:
    """Batches of starts drawn from each phase of the episodes, so many samples each; `key` seeds the draw.

    The phases differ in what tells where things are: at the start the picture alone does, later the arm's
    own pose as well.
    """
    found = {}
    for number, (phase, (low, high)) in enumerate(PHASES.items()):
        rng = np.random.default_rng([*key, number])
        episodes = rng.integers(0, len(data.lengths), samples)
        shares = rng.uniform(low, high, samples)
        drawn = [(int(i), int(share * data.lengths[i])) for i, share in zip(episodes, shares, strict=True)]
        found[phase] = [
            data.batch(drawn[first : first + batch_size], chunk_size, history=history)
            for first in range(0, samples, batch_size)
        ]
    return found
