"""Predictions of many chunks for one step: their mean, and which of them still count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluation.execution.joins import Join, joints_of
from evaluation.flags import ACT_DECAY

if TYPE_CHECKING:
    from actors import Actor


class Predictions:
    """What the chunks so far predict, and its weighted mean (Zhao et al. 2023, IV-A).

    A prediction weighs exp(-decay * i), with i the steps from the oldest chunk to its own: above 0 the oldest
    weighs most, below 0 the newest.

    Args:
        decay: of the weights.
        most: a chunk is dropped if it is further than this from the newest; none is if not given. The
            distance is the root mean square over their common steps to come and over the joints, each in
            units of `spread`.
        spread: (A,) how far the demonstrations' actions spread; infinite for entries that do not count.
    """

    def __init__(
        self, decay: float = ACT_DECAY, most: float | None = None, spread: np.ndarray | None = None
    ) -> None:
        self._decay, self._most, self._spread = decay, most, spread
        self.clear()

    @classmethod
    def of(cls, actor: Actor, decay: float, most: float | None) -> Predictions:
        """Those of an actor; if any are dropped, by its joints and their spread in its training."""
        if most is None:
            return cls(decay)
        return cls(decay, most, np.where(joints_of(actor), actor.traits.action_std, np.inf))

    def clear(self) -> None:
        """Forget all chunks."""
        self._chunks: list[
            tuple[int, np.ndarray]
        ] = []  # each with the step of its first action, oldest first

    def add(self, first: int, chunk: np.ndarray, step: int) -> bool:
        """A chunk (n, A) comes at `step`, its first action is for step `first`; were others dropped?"""
        before = len(self._chunks)
        if self._most is not None:
            self._chunks = [
                old for old in self._chunks if self._distance(old, (first, chunk), step) <= self._most
            ]
        dropped = len(self._chunks) < before
        self._chunks.append((first, chunk))
        return dropped

    def join_in(self, newest: tuple[int, np.ndarray], step: int, join: Join, interval: int) -> None:
        """`add` the newest chunk and the step of its first action, and have `join` cancel the mean's jump.

        The jump fades until the next chunk is due, `interval` steps after this one. Where chunks were dropped
        it is large and rare, and fades as slowly as any.
        """
        before = self.at(step)
        dropped = self.add(*newest, step)
        after = self.at(step)
        if before is not None and after is not None:
            join.cancel(before - after, len(newest[1]) if dropped else interval)

    def _distance(self, old: tuple[int, np.ndarray], new: tuple[int, np.ndarray], step: int) -> float:
        """How far two chunks are apart from `step` on; 0 if they have no step in common."""
        ends = min(first + len(chunk) for first, chunk in (old, new))
        if ends <= step:
            return 0.0
        one, other = (chunk[step - first : ends - first] for first, chunk in (old, new))
        counted = np.isfinite(self._spread)
        apart = (one - other)[:, counted] / self._spread[counted]
        return float(np.sqrt(np.mean(apart**2)))

    def at(self, step: int) -> np.ndarray | None:
        """The mean (A,) of all predictions for a step, never one before the last; None if there is none."""
        self._chunks = [(first, chunk) for first, chunk in self._chunks if first + len(chunk) > step]
        if not self._chunks:
            return None
        firsts = np.array([first for first, _ in self._chunks])
        candidates = np.stack([chunk[step - first] for first, chunk in self._chunks])  # (n, A)
        exponents = -self._decay * (firsts - firsts[0])
        weights = np.exp(exponents - exponents.max())
        return weights @ candidates / weights.sum()
