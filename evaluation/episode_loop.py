"""The one loop of an episode: whoever acts, whatever the environment is, wherever the steps are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from episodes import Episode, JpegFrames
from tasks import Task, TimeStep

if TYPE_CHECKING:
    from actors import Actor

# from the step's number and the observation to the action (D,), or None to end the episode
Act = Callable[[int, Mapping[str, Any]], np.ndarray | None]


@dataclass(frozen=True)
class Step:
    """One step of an episode."""

    time: float | None  # s, on the arm's clock, when the state was read; None in simulation
    qpos: np.ndarray  # (D,) rad and gripper
    qvel: np.ndarray  # (D,) per second
    action: np.ndarray  # (D,) as sent
    images: Mapping[str, np.ndarray]  # by camera: (H, W, 3) uint8 RGB
    reward: float | None = None  # what the action earned; None if unknown


class Environment(Protocol):
    """What an action goes to: a simulation or an arm."""

    def step(self, action: np.ndarray) -> TimeStep: ...


class Keeper(Protocol):
    """What keeps an episode's steps: `Steps` in memory, or a `Recording` on disk."""

    cameras: Sequence[str]  # whose images it wants; no others are rendered

    def append(self, step: Step) -> None: ...


def rollout_steps(task: Task, actor: Actor, lost: int = 0) -> int:
    """Steps of a rollout: as many as the task has, or the longest demonstration if it took longer, and `lost`
    ones.
    """
    return max(task.episode_len, actor.interface.episode_len or 0) + lost


def rollout(env: Environment, start: TimeStep, act: Act, length: int, keeper: Keeper) -> TimeStep:
    """Run an episode until `act` ends it, a step is `last()`, or `length` steps are done.

    Args:
        env: takes the actions, in float32: driven as they are saved, so that a replay is exact.
        start: what its `reset` returned.
        act: gives them.
        length: steps at most.
        keeper: keeps what was seen, and what was then sent.

    Returns:
        The step after the last action; `start` if there was none.
    """
    step = start
    for t in range(length):
        action = None if step.last() else act(t, step.observation)
        if action is None:
            break
        observation, moment = step.observation, step.time
        images = {
            name: observation["images"][name] for name in keeper.cameras
        }  # before a simulation moves on
        step = env.step(np.asarray(action, np.float32))
        keeper.append(Step(moment, observation["qpos"], observation["qvel"], step.sent, images, step.reward))
    return step


def follow(actions: np.ndarray) -> Act:
    """Repeat actions (T, D), one a step."""
    return lambda t, _: actions[t] if t < len(actions) else None


def by_policy(execute: Callable[[Mapping[str, Any]], np.ndarray], dim: int) -> Act:
    """A policy's actions (A,), one an observation, cut to `dim` entries: a mobile base's are dropped."""
    return lambda _, observation: execute(observation)[:dim]


class Steps:
    """An episode's steps in memory; the images of `cameras` as JPEGs, others not at all."""

    def __init__(self, cameras: Sequence[str] = ()) -> None:
        self.cameras = tuple(cameras)
        self.images = {name: JpegFrames() for name in cameras}
        self._steps: list[Step] = []

    def __len__(self) -> int:
        return len(self._steps)

    def append(self, step: Step) -> None:
        for name, frames in self.images.items():
            frames.append(step.images[name])
        self._steps.append(replace(step, images={}))

    def rows(self, name: str) -> np.ndarray:
        """(T,) or (T, D): a field of each step."""
        return np.array([getattr(step, name) for step in self._steps])

    @property
    def highest_reward(self) -> float:
        """The highest reward so far; 0 before the first."""
        return max((step.reward for step in self._steps), default=0)

    def episode(self, task: Task, **facts: Any) -> Episode:
        """The steps as an episode of a task; `facts` are further fields of it."""
        rows = {name: self.rows(name).astype(np.float32) for name in ("qpos", "qvel", "action", "reward")}
        return Episode(**rows, images=self.images, task=task.name, fps=task.fps, **facts)


def watched(act: Act, view: Any, camera: str, task: Task, steps: Steps) -> Act:
    """`act` that also shows in a window (`common.LiveView`) a camera's image and how far the episode is."""

    def look(t: int, observation: Mapping[str, Any]) -> np.ndarray | None:
        view.show(observation["images"][camera], task.progress(t, steps.highest_reward))
        return act(t, observation)

    return look
