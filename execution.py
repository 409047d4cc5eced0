"""How chunks of actions are executed: one after the other, or as the average of all predictions."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch

from machine import autocast
from policies.base import Observation, Policy
from utils import Batch


class Execution:
    """What all ways have in common: the newest observations, as many as the policy looks back, and random
    numbers of the episode's own.

    Args:
        policy: gives the chunks.
        amp: mixed precision, as for `machine.autocast`.
    """

    def __init__(self, policy: Policy, amp: str = "auto") -> None:
        self._policy, self._amp = policy, amp
        self.reset()

    def reset(self, key: Sequence[int] = (0,)) -> None:
        """Forget the last episode; `key` seeds what the policy draws in the next."""
        self._seen: deque[Batch] = deque(maxlen=self._policy.observation_horizon)
        seed = np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0]
        self._generator = torch.Generator(self._policy.device).manual_seed(int(seed))

    def _look(self, observation: Observation) -> None:
        """Keep an observation, which has its images rendered. The first stands for those before it."""
        seen = self._policy.observe([observation])
        self._seen.extend([seen] * (1 if self._seen else self._policy.observation_horizon))

    def _ask(self) -> np.ndarray:
        """A new chunk (n, A) of actions."""
        latest = self._seen[-1]
        if self._policy.observation_horizon > 1:
            latest = {name: torch.stack([seen[name] for seen in self._seen], dim=1) for name in latest}
        with autocast(self._amp, self._policy.device):
            return self._policy.act(latest, self._generator)[0].cpu().numpy()


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
        if query_every is not None and not 1 <= query_every <= policy.chunk_size:
            raise ValueError(
                f"--query_every is {query_every}; the policy's chunks have 1 to {policy.chunk_size}"
            )
        self._count = query_every or policy.execution_horizon
        super().__init__(policy, amp)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        super().reset(key)
        self._queue: list[np.ndarray] = []

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); only looks at observations that the next chunk depends on."""
        if not self._seen or len(self._queue) < self._policy.observation_horizon:
            self._look(observation)
        if not self._queue:
            self._queue = list(self._ask()[: self._count])
        return self._queue.pop(0)


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
        self._look(observation)
        self._chunks.append(self._ask())
        candidates = np.stack([chunk[0] for chunk in self._chunks])  # (n, A)
        self._chunks = [chunk[1:] for chunk in self._chunks if len(chunk) > 1]
        weights = np.exp(-self._decay * np.arange(len(candidates)))
        return weights @ candidates / weights.sum()
