"""How chunks of actions are executed: one after the other, or as the average of all predictions.

Either way in the background too, for an environment that does not wait: the next chunk is computed while the
present one is executed.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import torch

from common import autocast
from policies import Observation, Policy, black_observation
from utils import Batch


class Execution:
    """What all ways have in common: the newest observations, as many as the policy looks at, and random
    numbers of the episode's own.

    Args:
        policy: gives the chunks.
        amp: mixed precision, as for `common.autocast`.
    """

    query_every = 1  # steps from one chunk to the next

    def __init__(self, policy: Policy, amp: str = "auto") -> None:
        self.policy, self._amp = policy, amp
        self._now: Callable[[], float] = time.monotonic
        self.latencies: list[float] = []  # s that each chunk took
        self.held = 0  # steps at which the last action was repeated, as no chunk had come in time
        self.reset()

    @property
    def remaining(self) -> int:
        """Actions of the present chunk that are still to come; 0 if there is no present chunk."""
        return 0

    def reset(self, key: Sequence[int] = (0,)) -> None:
        """Forget the last episode; `key` seeds what the policy draws in the next."""
        self._observations: deque[Batch] = deque(maxlen=self.policy.observation_horizon)
        self.chunk_starts: list[int] = []  # steps of the episode, where chunks follow one another
        seed = np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0]
        self._generator = torch.Generator(self.policy.device).manual_seed(int(seed))

    def _observe(self, observation: Observation) -> None:
        """Keep an observation; this renders its images. The first stands for those before it.

        It stays on the CPU: a copy to the device would wait for what the policy computes there.
        """
        batch = self.policy.observe([observation], "cpu")
        self._observations.extend([batch] * (1 if self._observations else self.policy.observation_horizon))

    def _ask(self) -> np.ndarray:
        """A new chunk (n, A) of actions."""
        return self._predict(self._gather())

    def _gather(self) -> Batch:
        """The observations that a chunk depends on."""
        latest = self._observations[-1]
        if self.policy.observation_horizon > 1:
            past = self._observations
            latest = {name: torch.stack([batch[name] for batch in past], dim=1) for name in latest}
        return latest

    @torch.inference_mode()  # holds for the calling thread alone
    def _predict(self, observations: Batch) -> np.ndarray:
        """The chunk (n, A) of actions for observations."""
        began, device = self._now(), self.policy.device
        with autocast(self._amp, device):
            observations = {name: tensor.to(device) for name, tensor in observations.items()}
            chunk = self.policy.act(observations, self._generator)[0].cpu().numpy()
        self.latencies.append(self._now() - began)
        return chunk

    def warm_up(self, times: int = 3) -> None:
        """Have the policy act on black pictures, where and as it will in a run: its first answers take much
        longer than the others, and tell nothing of them.
        """
        self.reset()
        self._observe(black_observation(self.policy))
        for _ in range(times):
            self._compute(self._gather())
        self.latencies.clear()
        self.reset()

    def _compute(self, observations: Batch) -> np.ndarray:
        """`_predict`, in the thread that does it in a run."""
        return self._predict(observations)

    def close(self) -> None:
        """Free what runs in the background."""


class ChunkedExecution(Execution):
    """Open loop: asks for a chunk of actions, executes it, asks again.

    Args:
        policy: gives the chunks.
        query_every: actions of each that are executed; the policy's own `execution_horizon` if not given.
        amp: as for `Execution`.

    Raises:
        ValueError: a chunk is not that long.
    """

    def __init__(self, policy: Policy, query_every: int | None = None, amp: str = "auto") -> None:
        self.query_every = _checked_count(policy, query_every)
        super().__init__(policy, amp)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._queue: list[np.ndarray] = []
        self._step = -1  # the present one

    @property
    def remaining(self) -> int:
        return len(self._queue)

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); only looks at observations that the next chunk depends on."""
        self._step += 1
        if not self._observations or len(self._queue) < self.policy.observation_horizon:
            self._observe(observation)
        if not self._queue:
            self.chunk_starts.append(self._step)
            self._queue = list(self._ask()[: self.query_every])
        return self._queue.pop(0)


def _checked_count(policy: Policy, query_every: int | None) -> int:
    """Actions of each chunk that are executed; ValueError if a chunk does not have as many."""
    if query_every is not None and not 1 <= query_every <= policy.chunk_size:
        raise ValueError(f"query_every is {query_every}; the policy's chunks have 1 to {policy.chunk_size}")
    return query_every or policy.execution_horizon


class TemporalEnsemble(Execution):
    """Asks for a chunk at every step; averages all predictions for the present one (Zhao et al. 2023, IV-A).

    The oldest prediction weighs most: weight exp(-decay * i), i counting from the oldest (ACT:
    imitate_episodes.py).
    """

    def __init__(self, policy: Policy, decay: float = 0.01, amp: str = "auto") -> None:
        self._decay = decay
        super().__init__(policy, amp)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._chunks: list[np.ndarray] = []  # what is left of each, oldest first

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,)."""
        self._observe(observation)
        self._chunks.append(self._ask())
        candidates = np.stack([chunk[0] for chunk in self._chunks])  # (n, A)
        self._chunks = [chunk[1:] for chunk in self._chunks if len(chunk) > 1]
        weights = np.exp(-self._decay * np.arange(len(candidates)))
        return weights @ candidates / weights.sum()


QUICK = 0.05  # of a step: a chunk that takes less is waited for
MARGIN = 0.5  # steps that a chunk may take longer than the last ones did
RECENT = 3  # chunks that tell how long the next one takes; the very first is slow


class _Background(Execution):
    """Asks for chunks in a thread of its own, one at a time.

    Args:
        policy: gives the chunks.
        fps: calls a second.
        amp: as for `Execution`.
        executor: runs what is computed; a thread if not given.
        now: clock, s.
    """

    def __init__(
        self,
        policy: Policy,
        fps: float,
        amp: str = "auto",
        executor: Executor | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fps = fps
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._pending: Future[np.ndarray] | None = None
        super().__init__(policy, amp)
        self._now = now

    def reset(self, key: Sequence[int] = (0,)) -> None:
        self._forget()
        super().reset(key)
        self._step = -1  # the present one
        self._asked = 0  # step of the newest observation that the last chunk depends on
        self._last: np.ndarray | None = None  # action

    def _forget(self) -> None:
        """Drop the pending chunk, but wait if it is being computed: two would share their random numbers."""
        pending, self._pending = self._pending, None
        if pending is not None and not pending.cancel():
            pending.exception()

    @property
    def lead(self) -> int:
        """How many steps a chunk is asked for before it is needed; 0: wait for it."""
        steps = max(self.latencies[-RECENT:], default=0.0) * self._fps
        return 0 if steps < QUICK else math.ceil(steps + MARGIN)

    def _submit(self) -> None:
        """Ask for a chunk on the observations up to now, unless one is still to come."""
        if self._pending is None:
            self._asked = self._step
            self._pending = self._executor.submit(self._predict, self._gather())

    def _collect(self, wait: bool) -> np.ndarray | None:
        """The chunk (n, A) that was asked for last; None if it has not come and `wait` is False."""
        if self._pending is None or not (wait or self._pending.done()):
            return None
        pending, self._pending = self._pending, None
        return pending.result()

    def _compute(self, observations: Batch) -> np.ndarray:
        return self._executor.submit(self._predict, observations).result()

    def _hold(self) -> np.ndarray:
        self.held += 1
        return self._last

    def close(self) -> None:
        """End the thread."""
        self._forget()
        self._executor.shutdown()


class BackgroundExecution(_Background):
    """`ChunkedExecution` that never pauses: it asks for each chunk as many steps ahead as the last chunks
    took, and enters the new chunk at the action of the present step.

    Args:
        policy: gives the chunks.
        fps: calls a second.
        query_every: actions of each that are executed, if it has as many left when it is entered.
        options: of `_Background`.
    """

    def __init__(self, policy: Policy, fps: float, query_every: int | None = None, **options) -> None:
        self.query_every = _checked_count(policy, query_every)
        super().__init__(policy, fps, **options)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._chunk: np.ndarray | None = None
        self._first = 0  # step that its first action is for
        self._end = 0  # step at which the next chunk is needed

    @property
    def remaining(self) -> int:
        return max(0, self._end - self._step - 1)

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); the last one again while a chunk is late."""
        self._step += 1
        if self._step >= self._end:
            self._join(self._collect(wait=False))
        is_time = self._step >= self._end - self.lead and self._pending is None
        if is_time or self.policy.observation_horizon > 1:
            self._observe(observation)
        if is_time:
            self._submit()
        if self._step >= self._end:
            self._join(self._collect(wait=self._chunk is None or self.lead == 0))
        if self._step >= self._end:
            return self._hold()
        self._last = self._chunk[self._step - self._first]
        return self._last

    def _join(self, chunk: np.ndarray | None) -> None:
        """Go on with a new chunk, if there is one; if its time is over already, with its last action."""
        if chunk is None:
            return
        self._chunk = chunk
        self._first = max(self._asked, self._step - len(chunk) + 1)
        self._end = self._step + min(self.query_every, len(chunk) - (self._step - self._first))


class BackgroundEnsemble(_Background):
    """`TemporalEnsemble` that never pauses: it asks for a chunk whenever the last one has come.

    Args:
        policy: gives the chunks.
        fps: calls a second.
        decay: weights fall by exp(-decay) a step, from the oldest prediction to the newest.
        options: of `_Background`.
    """

    def __init__(self, policy: Policy, fps: float, decay: float = 0.01, **options) -> None:
        self._decay = decay
        super().__init__(policy, fps, **options)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._chunks: list[
            tuple[int, np.ndarray]
        ] = []  # each with the step at which it was asked for, oldest first

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); the last one again where there is no prediction."""
        self._step += 1
        self._observe(observation)
        self._take(wait=False)
        self._submit()
        self._take(wait=not self._chunks or self.lead == 0)
        self._chunks = [(asked, chunk) for asked, chunk in self._chunks if asked + len(chunk) > self._step]
        if not self._chunks:
            return self._hold()
        asked = np.array([asked for asked, _ in self._chunks])
        candidates = np.stack([chunk[self._step - asked] for asked, chunk in self._chunks])  # (n, A)
        weights = np.exp(-self._decay * (asked - asked[0]))
        self._last = weights @ candidates / weights.sum()
        return self._last

    def _take(self, wait: bool) -> None:
        chunk = self._collect(wait)
        if chunk is not None:
            self._chunks.append((self._asked, chunk))
