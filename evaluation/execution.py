"""How chunks of actions are executed: one after the other, or as the average of all predictions.

`background.py` has both for an environment that does not wait.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import torch

from common import autocast
from evaluation.ensembling import Predictions
from evaluation.flags import ACT_DECAY
from evaluation.joins import Join
from policies import Known, Observation, Policy, black_observation, overlap_weights
from utils import Batch


class Execution:
    """What all ways have in common: the newest observations, as many as the policy looks at, and random
    numbers of the episode's own.

    Args:
        policy: gives the chunks.
        amp: mixed precision, as for `common.autocast`.
        join: how a chunk is joined to what was executed; not at all if not given.
    """

    query_every = 1  # steps from one chunk to the next

    def __init__(self, policy: Policy, amp: str = "auto", join: Join | None = None) -> None:
        self.policy, self._amp, self._join = policy, amp, join or Join()
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
        self._join.reset()
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
        return self._predict(self._gather(), self._known())

    def _known(self) -> Known | None:
        """What is known of the next chunk before it is drawn."""
        return None

    def _overlap(self, rest: np.ndarray, settled: int = 0) -> Known | None:
        """What is left of the present chunk (n, A), if the next is to be drawn given that; so many of its
        actions are executed before the next is there.
        """
        if not self._join.inpaints or not len(rest):
            return None
        return Known(torch.from_numpy(rest)[None], overlap_weights(min(settled, len(rest)), len(rest)))

    def _gather(self) -> Batch:
        """The observations that a chunk depends on."""
        latest = self._observations[-1]
        if self.policy.observation_horizon > 1:
            past = self._observations
            latest = {name: torch.stack([batch[name] for batch in past], dim=1) for name in latest}
        return latest

    @torch.inference_mode()  # holds for the calling thread alone
    def _predict(self, observations: Batch, known: Known | None = None) -> np.ndarray:
        """The chunk (n, A) of actions for observations, and for what is known of it."""
        began, device = self._now(), self.policy.device
        with autocast(self._amp, device):
            observations = {name: tensor.to(device) for name, tensor in observations.items()}
            if known is None:
                chunk = self.policy.act(observations, self._generator)
            else:
                chunk = self.policy.act_given(observations, known, self._generator)
            chunk = chunk[0].cpu().numpy()
        self.latencies.append(self._now() - began)
        return chunk

    def warm_up(self, times: int = 3) -> None:
        """Have the policy act on black pictures, where and as it will in a run: its first answers take much
        longer than the others, and tell nothing of them.
        """
        self.reset()
        self._observe(black_observation(self.policy))
        known = None
        for _ in range(times):
            known = self._overlap(self._compute(self._gather(), known))
        self.latencies.clear()
        self.reset()

    def _compute(self, observations: Batch, known: Known | None) -> np.ndarray:
        """`_predict`, in the thread that does it in a run."""
        return self._predict(observations, known)

    def close(self) -> None:
        """Free what runs in the background."""


class ChunkedExecution(Execution):
    """Open loop: asks for a chunk of actions, executes it, asks again.

    Args:
        policy: gives the chunks.
        query_every: actions of each that are executed; the policy's own `execution_horizon` if not given.
        amp, join: as for `Execution`.

    Raises:
        ValueError: a chunk is not that long.
    """

    def __init__(
        self, policy: Policy, query_every: int | None = None, amp: str = "auto", join: Join | None = None
    ) -> None:
        self.query_every = checked_count(policy, query_every)
        super().__init__(policy, amp, join)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._queue: list[np.ndarray] = []
        self._rest = np.empty(0)  # (n, A) what the present chunk has beyond it
        self._step = -1  # the present one

    @property
    def remaining(self) -> int:
        return len(self._queue)

    def _known(self) -> Known | None:
        return self._overlap(self._rest)

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); only looks at observations that the next chunk depends on."""
        self._step += 1
        if not self._observations or len(self._queue) < self.policy.observation_horizon:
            self._observe(observation)
        if not self._queue:
            self.chunk_starts.append(self._step)
            chunk = self._ask()
            self._queue, self._rest = list(chunk[: self.query_every]), chunk[self.query_every :]
            self._join.begin(self._queue[0], len(self._queue))
        return self._join(self._queue.pop(0))


def checked_count(policy: Policy, query_every: int | None) -> int:
    """Actions of each chunk that are executed; ValueError if a chunk does not have as many."""
    if query_every is not None and not 1 <= query_every <= policy.chunk_size:
        raise ValueError(f"query_every is {query_every}; the policy's chunks have 1 to {policy.chunk_size}")
    return query_every or policy.execution_horizon


class TemporalEnsemble(Execution):
    """Asks for a chunk at every step; averages all predictions for the present one (`Predictions`).

    Args:
        policy: gives the chunks.
        decay: of the predictions' weights.
        amp, join: as for `Execution`; joins where predictions are dropped.
        most: predictions further than this from the newest are dropped (`Predictions`).
    """

    def __init__(
        self,
        policy: Policy,
        decay: float = ACT_DECAY,
        amp: str = "auto",
        join: Join | None = None,
        most: float | None = None,
    ) -> None:
        self._predictions = Predictions.of(policy, decay, most)
        super().__init__(policy, amp, join)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._predictions.clear()
        self._step = -1  # the present one

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,)."""
        self._step += 1
        self._observe(observation)
        self._predictions.join_in((self._step, self._ask()), self._step, self._join, 1)
        return self._join(self._predictions.at(self._step))
