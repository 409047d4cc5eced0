"""Joins: the jump where one chunk of actions follows another is taken out, and comes back slowly."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from episodes import entries_of
from evaluation.flags import LEAST_JOIN

if TYPE_CHECKING:
    from actors import Actor
    from evaluation.flags import ExecutionConfig


class Join:
    """Cancels the offset where a chunk begins, and lets it fade.

    The offset is from the chunk's first action to where the actions so far would go if they went on as they
    did last. It is added to the chunk with a weight that falls along half a cosine, from 1 at the last action
    before the chunk to 0. After that, and where there is no offset, actions are the policy's own.

    Args:
        steps: in which an offset fades; 0: none is cancelled.
        joints: (A,) True for the entries that are joined, all if not given; others stay as they are.
        inpaints: whether a chunk is drawn given what is left of the one before it.
    """

    def __init__(self, steps: int = 0, joints: np.ndarray | None = None, inpaints: bool = False) -> None:
        self._steps, self._joints, self.inpaints = steps, joints, inpaints
        self.reset()

    @classmethod
    def of(cls, actor: Actor, flags: ExecutionConfig, fps: float) -> Join:
        """As flags say, for an actor that gives `fps` actions a second; ValueError if it is none for them."""
        flags.check_policy(actor)
        steps = 0 if flags.join == "none" else max(LEAST_JOIN, round(flags.join_seconds * fps))
        return cls(steps, joints_of(actor), flags.join == "inpaint")

    def reset(self) -> None:
        """Forget what was executed: the first chunk of an episode comes as it is."""
        self._past: deque[np.ndarray] = deque(maxlen=2)  # actions, the last one at the end
        self._fades: list[tuple[np.ndarray, deque[float]]] = []  # an offset (A,), and its weights to come

    def begin(self, first: np.ndarray, length: int) -> None:
        """A chunk begins at its action `first` (A,); `length` of its actions are executed."""
        self._fades.clear()
        if self._past:
            before, last = self._past[0], self._past[-1]
            self.cancel(last + (last - before) - first, length)

    def cancel(self, offset: np.ndarray, length: int) -> None:
        """Add an offset (A,) to the coming actions; at the latest it is 0 at the last of `length` actions."""
        steps = min(self._steps, length)
        if steps > 1:
            weights = (0.5 + 0.5 * math.cos(math.pi * k / steps) for k in range(1, steps))
            joined = offset if self._joints is None else np.where(self._joints, offset, 0)
            self._fades.append((joined, deque(weights)))

    def __call__(self, action: np.ndarray) -> np.ndarray:
        """The action (A,) to execute in the place of a policy's."""
        for offset, weights in self._fades:
            action = action + weights.popleft() * offset
        self._fades = [fade for fade in self._fades if fade[1]]
        self._past.append(action)
        return action

    def hold(self) -> np.ndarray:
        """The last action again."""
        self._past.append(self._past[-1])
        return self._past[-1]


def joints_of(actor: Actor) -> np.ndarray:
    """(A,) True for the joints among an actor's actions: no gripper, and nothing that a state does not have,
    as a mobile base.
    """
    interface = actor.interface
    names = entries_of(interface.task, interface.state_dim)[: interface.action_dim]
    joints = np.zeros(interface.action_dim, bool)
    joints[: len(names)] = [not entry.is_gripper for entry in names]
    return joints
