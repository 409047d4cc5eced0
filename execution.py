"""How chunks of actions are executed: whole, one after the other, or as the average of all predictions."""

from __future__ import annotations

import numpy as np
import torch

from policies.base import Observation, Policy


class ChunkedExecution:
    """Open loop: asks for a chunk of actions, executes all of it, asks again."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.reset()

    def reset(self) -> None:
        """Forget the last episode."""
        self._queue: list[np.ndarray] = []

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); looks at the observation, and so has images rendered, only once a chunk."""
        if not self._queue:
            self._queue = list(self._policy.act(self._policy.observe([observation]))[0].cpu().numpy())
        return self._queue.pop(0)


class TemporalEnsemble:
    """Asks for a chunk at every step; averages all predictions for the present one (Zhao et al. 2023, IV-A).

    The oldest prediction weighs most: weight exp(-decay * i), i counting from the oldest (ACT:
    imitate_episodes.py).
    """

    def __init__(self, policy: Policy, decay: float = 0.01) -> None:
        self._policy, self._decay = policy, decay
        self.reset()

    def reset(self) -> None:
        """Forget the last episode."""
        self._chunks: list[np.ndarray] = []  # what is left of each, oldest first

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,)."""
        self._chunks.append(self._policy.act(self._policy.observe([observation]))[0].cpu().numpy())
        candidates = np.stack([chunk[0] for chunk in self._chunks])  # (n, A)
        self._chunks = [chunk[1:] for chunk in self._chunks if len(chunk) > 1]
        weights = np.exp(-self._decay * np.arange(len(candidates)))
        return weights @ candidates / weights.sum()
