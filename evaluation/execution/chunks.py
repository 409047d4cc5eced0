"""How chunks of actions are executed: one after the other, or as the average of all predictions.

`background.py` has both for an environment that does not wait.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from actors import Actor, Observation, Rest, Seen
from evaluation.execution.ensembling import Predictions
from evaluation.execution.joins import Join
from evaluation.flags import ACT_DECAY, ExecutionConfig


class Execution:
    """What all ways have in common: the newest observations, as many as the actor looks at.

    Args:
        actor: gives the chunks.
        join: how a chunk is joined to what was executed; not at all if not given.
    """

    query_every: int  # steps from one chunk to the next

    def __init__(self, actor: Actor, join: Join | None = None) -> None:
        self.actor, self._join = actor, join or Join()
        self._now: Callable[[], float] = time.monotonic
        self.latencies: list[float] = []  # s that each chunk took
        self.held = 0  # steps at which the last action was repeated, as no chunk had come in time
        self.reset()

    @property
    def remaining(self) -> int:
        """Actions of the present chunk that are still to come; 0 if there is no present chunk."""
        return 0

    def reset(self, key: Sequence[int] = (0,)) -> None:
        """Forget the last episode; `key` seeds what the actor draws in the next."""
        self._join.reset()
        self._seen: deque[Seen] = deque(maxlen=self.actor.observation_horizon)
        self.chunk_starts: list[int] = []  # steps of the episode, where chunks follow one another
        self.actor.reset(key)

    def _observe(self, observation: Observation) -> None:
        """Keep an observation; this renders its images. The first stands for those before it."""
        seen = self.actor.observe(observation)
        self._seen.extend([seen] * (1 if self._seen else self.actor.observation_horizon))

    def _ask(self) -> np.ndarray:
        """A new chunk (n, A) of actions."""
        return self._predict(self._gather(), self._rest_for_next())

    def _rest_for_next(self) -> Rest | None:
        """What is known of the next chunk before it is drawn."""
        return None

    def _overlap(self, actions: np.ndarray, settled: int = 0) -> Rest | None:
        """What is left of the present chunk (n, A), if the next is to be drawn given that; so many of its
        actions are executed before the next is there.
        """
        return Rest(actions, settled) if self._join.inpaints and len(actions) else None

    def _gather(self) -> Seen:
        """The observations that a chunk depends on."""
        if self.actor.observation_horizon == 1:
            return self._seen[-1]
        return {name: np.stack([seen[name] for seen in self._seen]) for name in self._seen[-1]}

    def _predict(self, seen: Seen, rest: Rest | None = None) -> np.ndarray:
        """The chunk (n, A) of actions for observations, and for what is left of the last."""
        began = self._now()
        chunk = self.actor.act(seen, rest)
        self.latencies.append(self._now() - began)
        return chunk

    def warm_up(self, times: int = 3) -> None:
        """Have the actor act on black pictures, where and as it will in a run: its first answers take much
        longer than the others, and tell nothing of them.
        """
        self.reset()
        self._observe(self.actor.interface.black_observation(np.array(self.actor.traits.qpos_mean)))
        rest = None
        for _ in range(times):
            rest = self._overlap(self._compute(self._gather(), rest))
        self.latencies.clear()
        self.reset()

    def _compute(self, seen: Seen, rest: Rest | None) -> np.ndarray:
        """`_predict`, in the thread that does it in a run."""
        return self._predict(seen, rest)

    def close(self) -> None:
        """Free what runs in the background."""


class ChunkedExecution(Execution):
    """Open loop: asks for a chunk of actions, executes it, asks again.

    Args:
        actor: gives the chunks.
        query_every: actions of each that are executed; the actor's own `execution_horizon` if not given.
        join: as for `Execution`.

    Raises:
        ValueError: a chunk is not that long.
    """

    def __init__(self, actor: Actor, query_every: int | None = None, join: Join | None = None) -> None:
        self.query_every = checked_count(actor, query_every)
        super().__init__(actor, join)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._queue: list[np.ndarray] = []
        self._rest = np.empty(0)  # (n, A) what the present chunk has beyond it
        self._step = -1  # the present one

    @property
    def remaining(self) -> int:
        return len(self._queue)

    def _rest_for_next(self) -> Rest | None:
        return self._overlap(self._rest)

    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); only looks at observations that the next chunk depends on."""
        self._step += 1
        if not self._seen or len(self._queue) < self.actor.observation_horizon:
            self._observe(observation)
        if not self._queue:
            self.chunk_starts.append(self._step)
            chunk = self._ask()
            self._queue, self._rest = list(chunk[: self.query_every]), chunk[self.query_every :]
            self._join.begin(self._queue[0], len(self._queue))
        return self._join(self._queue.pop(0))


def checked_count(actor: Actor, query_every: int | None) -> int:
    """Actions of each chunk that are executed; ValueError if a chunk does not have as many."""
    if query_every is not None and not 1 <= query_every <= actor.chunk_size:
        raise ValueError(f"query_every is {query_every}; the policy's chunks have 1 to {actor.chunk_size}")
    return query_every or actor.execution_horizon


class TemporalEnsemble(Execution):
    """Asks for a chunk every few steps; averages all predictions for the present one (`Predictions`).

    Args:
        actor: gives the chunks.
        decay: of the predictions' weights.
        join: as for `Execution`; joins where a chunk comes, if not each step has one, and where predictions
            are dropped.
        most: predictions further than this from the newest are dropped (`Predictions`).
        query_every: steps from one chunk to the next.

    Raises:
        ValueError: a chunk is not that long.
    """

    def __init__(
        self,
        actor: Actor,
        decay: float = ACT_DECAY,
        join: Join | None = None,
        most: float | None = None,
        query_every: int = 1,
    ) -> None:
        self.query_every = checked_count(actor, query_every)
        self._predictions = Predictions.of(actor, decay, most)
        super().__init__(actor, join)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._predictions.clear()
        self._step = -1  # the present one

    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,)."""
        self._step += 1
        to_wait = -self._step % self.query_every
        if to_wait < self.actor.observation_horizon:
            self._observe(observation)
        if to_wait == 0:
            newest = (self._step, self._ask())
            self._predictions.join_in(newest, self._step, self._join, self.query_every)
        return self._join(self._predictions.at(self._step))


def waiting_execution(actor: Actor, flags: ExecutionConfig, fps: float) -> Execution:
    """How chunks are executed where the world waits for each; ValueError if they are too short for that."""
    join = Join.of(actor, flags, fps)
    if flags.temporal_agg:
        every = flags.query_every or 1
        return TemporalEnsemble(actor, flags.ensemble_decay, join, flags.ensemble_drop, every)
    return ChunkedExecution(actor, flags.query_every, join)
