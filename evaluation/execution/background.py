"""Execution in the background, for an environment that does not wait: the next chunk is computed while the
present one is executed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait

import numpy as np

from actors import Actor, Observation, Rest, Seen
from evaluation.execution.chunks import Execution, checked_count
from evaluation.execution.ensembling import Predictions
from evaluation.execution.joins import Join
from evaluation.flags import ACT_DECAY

QUICK = 0.05  # of a step: a chunk that takes less is waited for when it is needed
PATIENCE = 0.5  # of a step: for so long, as a line may have died
MARGIN = 0.5  # steps that a chunk may take longer than the last ones did
RECENT = 3  # chunks that tell how long the next one takes; the very first is slow


class _Background(Execution):
    """Asks for chunks in a thread of its own, one at a time.

    Args:
        actor: gives the chunks.
        fps: calls a second.
        executor: runs what is computed; a thread if not given.
        now: clock, s.
        join: as for `Execution`.
    """

    def __init__(
        self,
        actor: Actor,
        fps: float,
        executor: Executor | None = None,
        now: Callable[[], float] = time.monotonic,
        join: Join | None = None,
    ) -> None:
        self._fps = fps
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._pending: Future[np.ndarray] | None = None
        super().__init__(actor, join)
        self._now = now

    def reset(self, key: Sequence[int] = (0,)) -> None:
        self._forget()
        super().reset(key)
        self._step = -1  # the present one
        self._asked = 0  # step of the newest observation that the last chunk depends on

    def _forget(self) -> None:
        """Drop the pending chunk, but wait if it is being computed: two would share their random numbers."""
        pending, self._pending = self._pending, None
        if pending is not None and not pending.cancel():
            pending.exception()

    @property
    def lead(self) -> int:
        """How many steps a chunk is asked for before it is needed; 0: when it is needed."""
        steps = max(self.latencies[-RECENT:], default=0.0) * self._fps
        return 0 if steps < QUICK else math.ceil(steps + MARGIN)

    @property
    def _patience(self) -> float:
        """s that a chunk is waited for when it is needed."""
        return 0.0 if self.lead else PATIENCE / self._fps

    def _submit(self) -> None:
        """Ask for a chunk on the observations up to now, unless one is still to come."""
        if self._pending is None:
            self._asked = self._step
            self._pending = self._executor.submit(self._predict, self._gather(), self._rest_for_next())

    def _collect(self, patience: float | None) -> np.ndarray | None:
        """The chunk (n, A) that was asked for last; None if it does not come within `patience` s. Without,
        it is waited for as long as it takes.
        """
        pending = self._pending
        if pending is None:
            return None
        if patience is not None:
            if not pending.done():
                wait([pending], patience)
            if not pending.done():
                return None
        self._pending = None
        return pending.result()

    def _compute(self, seen: Seen, rest: Rest | None) -> np.ndarray:
        return self._executor.submit(self._predict, seen, rest).result()

    def _hold(self) -> np.ndarray:
        self.held += 1
        return self._join.hold()

    def close(self) -> None:
        """End the thread."""
        self._forget()
        self._executor.shutdown()


class BackgroundExecution(_Background):
    """`ChunkedExecution` that never pauses: it asks for each chunk as many steps ahead as the last chunks
    took, and enters the new chunk at the action of the present step.

    Args:
        actor: gives the chunks.
        fps: calls a second.
        query_every: actions of each that are executed, if it has as many left when it is entered.
        options: of `_Background`.
    """

    def __init__(self, actor: Actor, fps: float, query_every: int | None = None, **options) -> None:
        self.query_every = checked_count(actor, query_every)
        super().__init__(actor, fps, **options)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._chunk: np.ndarray | None = None
        self._first = 0  # step that its first action is for
        self._end = 0  # step at which the next chunk is needed

    @property
    def remaining(self) -> int:
        return max(0, self._end - self._step - 1)

    def _rest_for_next(self) -> Rest | None:
        if self._chunk is None:
            return None
        return self._overlap(self._chunk[self._step - self._first :], max(0, self._end - self._step))

    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); the last one again while a chunk is late."""
        self._step += 1
        if self._step >= self._end:
            self._enter(self._collect(0.0))
        is_time = self._step >= self._end - self.lead and self._pending is None
        if is_time or self.actor.observation_horizon > 1:
            self._observe(observation)
        if is_time:
            self._submit()
        if self._step >= self._end:
            self._enter(self._collect(None if self._chunk is None else self._patience))
        if self._step >= self._end:
            return self._hold()
        return self._join(self._chunk[self._step - self._first])

    def _enter(self, chunk: np.ndarray | None) -> None:
        """Go on with a new chunk, if there is one; if its time is over already, with its last action."""
        if chunk is None:
            return
        self._chunk = chunk
        self._first = max(self._asked, self._step - len(chunk) + 1)
        count = min(self.query_every, len(chunk) - (self._step - self._first))
        self._end = self._step + count
        self._join.begin(chunk[self._step - self._first], count)


class BackgroundEnsemble(_Background):
    """`TemporalEnsemble` that never pauses: it asks for a chunk when the last one has come, and is as old as
    `query_every` steps.

    Args:
        actor: gives the chunks.
        fps: calls a second.
        decay, most, query_every: as for `TemporalEnsemble`.
        options: of `_Background`; joins wherever a chunk comes.
    """

    def __init__(
        self,
        actor: Actor,
        fps: float,
        decay: float = ACT_DECAY,
        most: float | None = None,
        query_every: int = 1,
        **options,
    ) -> None:
        self.query_every = checked_count(actor, query_every)
        self._predictions = Predictions.of(actor, decay, most)
        super().__init__(actor, fps, **options)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._predictions.clear()
        self._came = -1  # step at which the last chunk came

    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); the last one again where there is no prediction."""
        self._step += 1
        self._take(0.0)
        is_due = self._came < 0 or self._step - self._asked >= self.query_every
        if is_due or self.actor.observation_horizon > 1:
            self._observe(observation)
        if is_due:
            self._submit()
        self._take(None if self._came < 0 else self._patience)
        action = self._predictions.at(self._step)
        return self._hold() if action is None else self._join(action)

    def _take(self, patience: float | None) -> None:
        chunk = self._collect(patience)
        if chunk is not None:
            interval, self._came = self._step - self._came, self._step
            self._predictions.join_in((self._asked, chunk), self._step, self._join, interval)
