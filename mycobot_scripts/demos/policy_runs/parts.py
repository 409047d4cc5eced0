"""What a policy needs around it on the arm: parts one after the other, failures, a live view."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from common import LiveView, named, panel
from evaluation import Act, open_actor
from mycobot_scripts.kinematics import JOINTS, to_degrees
from tasks import Task

if TYPE_CHECKING:
    from actors import Actor
    from common import ComputeConfig

VIEW_EVERY = 0.2  # s between pictures of the live view


class Executes(Protocol):
    """As `evaluation.Execution`."""

    latencies: list[float]
    held: int
    remaining: int
    query_every: int

    def reset(self, key: Sequence[int] = (0,)) -> None: ...
    def __call__(self, observation: Mapping[str, Any]) -> np.ndarray: ...
    def close(self) -> None: ...


class Parts:
    """Several executions, one after the other: each for so many steps, or until `advance`.

    Args:
        executions: of one policy each.
        lengths: steps of each.
        say: tells the person which one it is.
    """

    def __init__(
        self, executions: Sequence[Executes], lengths: Sequence[int], say: Callable[[str], None] = print
    ) -> None:
        self._executions, self._lengths, self._say = list(executions), list(lengths), say
        self.reset()

    @property
    def length(self) -> int:
        """Steps of all of them."""
        return sum(self._lengths)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._executions)

    def describe(self) -> dict[str, int]:
        """How far it is, for a page: chunk in steps, and what is to come of it and of the part."""
        execution = self._executions[self.part]
        return {
            "part": self.part,
            "parts": self.count,
            "remaining": execution.remaining,
            "chunk": execution.query_every,
            "left": self.left,
        }

    @property
    def left(self) -> int:
        """Steps of the present part that are to come."""
        return self._end - self._step

    @property
    def remaining(self) -> int:
        """Actions of the present chunk that are to come."""
        return self._executions[self.part].remaining

    @property
    def latencies(self) -> list[float]:
        """Seconds that each chunk of this run took."""
        return [seconds for execution in self._executions for seconds in execution.latencies]

    @property
    def held(self) -> int:
        """Steps at which no chunk had come in time."""
        return sum(execution.held for execution in self._executions)

    def reset(self, key: Sequence[int] = (0,)) -> None:
        """Begin with the first."""
        self._key = tuple(key)
        self._begin(0)

    def look_anew(self, key: Sequence[int]) -> None:
        """The present part forgets what it has seen, and goes on."""
        self._executions[self.part].reset(key)

    def advance(self) -> None:
        """The present part is done; the last one stays."""
        if self.part + 1 < self.count:
            self._begin(self.part + 1)

    def _begin(self, part: int) -> None:
        self.part, self._step, self._end = part, 0, self._lengths[part]
        self._executions[part].reset((*self._key, part) if part else self._key)
        if part:
            self._say(f"part {part + 1} of {self.count}")

    def close(self) -> None:
        for execution in self._executions:
            execution.close()

    def __call__(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The next action (A,)."""
        if self._step >= self._end:
            self.advance()
        self._step += 1
        return self._executions[self.part](observation)


class Guarded:
    """A policy whose failure stops the arm in order, and leaves the episode whole.

    Args:
        act: gives the actions.
        stop: stops the arm, with a reason.
    """

    def __init__(self, act: Act, stop: Callable[[str], None]) -> None:
        self._act, self._stop = act, stop

    def __call__(self, t: int, observation: Mapping[str, Any]) -> np.ndarray:
        """The next action (7,); where the arm is, if none can be had."""
        try:
            return self._act(t, observation)
        except Exception as error:  # whatever it is, an arm must not be left to itself
            self._stop(f"the policy failed: {type(error).__name__}: {error}")
            return np.asarray(observation["qpos"])


class RunView:
    """A window with what the cameras see, the arm's state, and how far the run is.

    Args:
        cameras: to show, in this order.
        names: of the joints.
        window: where it is shown; one is opened if not given.
    """

    def __init__(self, cameras: Sequence[str], window: Any = None) -> None:
        self._cameras = tuple(cameras)
        self._window = window or LiveView("model_runs")
        self._shown = -np.inf

    def show(self, observation: Mapping[str, Any], words: Sequence[str]) -> None:
        """Refresh the picture, if it is time to; `words` are further lines."""
        now = time.monotonic()
        if now - self._shown < VIEW_EVERY:
            return
        self._shown = now
        images = [named(observation["images"][name], name) for name in self._cameras]
        degrees, gripper = to_degrees(observation["qpos"])
        angles = "  ".join(f"{angle:7.1f}" for angle in degrees[:JOINTS])
        self._window.show(panel(images, [f"joints {angles} deg   gripper {gripper}", *words]))

    def close(self) -> None:
        self._window.close()


def open_actors(
    paths: Sequence[Path], task: Task, compute: ComputeConfig, cameras: Sequence[str] | None = None
) -> list[Actor]:
    """What the checkpoints' policies act with; ValueError unless each fits the arm and the task's cameras.

    `cameras` are those of checkpoints that name none, if a person says so.
    """
    from evaluation import choose_cameras

    actors = []
    for path in paths:
        named = choose_cameras(path, cameras, task.cameras)
        actors.append(open_actor(path, compute.device, compute.amp, named))
        check_fit(actors[-1], task, str(path))
    return actors


def check_fit(actor: Actor, task: Task, name: str) -> None:
    """ValueError, with the policy's `name`, unless it fits the arm and the task's cameras."""
    interface = actor.interface
    unknown = [camera for camera in interface.cameras if camera not in task.cameras]
    if unknown:
        raise ValueError(f"{name} sees with {unknown[0]!r}; {task.name} has {', '.join(task.cameras)}")
    if interface.state_dim != task.dim or interface.action_dim < task.dim:
        raise ValueError(
            f"{name} has states of {interface.state_dim} numbers and actions of {interface.action_dim}; "
            f"the arm has {task.dim}"
        )


def trained_fps(actors: Sequence[Actor], task: Task) -> float:
    """Steps a second that all of them were trained at; ValueError if they disagree."""
    rates = {actor.interface.fps or float(task.fps) for actor in actors}
    if len(rates) > 1:
        raise ValueError(f"the checkpoints were trained at {sorted(rates)} steps a second; choose by --fps")
    return rates.pop()


def speed_limits(actors: Sequence[Actor], margin: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Velocity (6,), rad/s, and acceleration (6,), rad/s^2, of the joints: `margin` times the most in the
    training of any of the actors. None if one of them does not know, or the margin is 0.
    """
    interfaces = [actor.interface for actor in actors]
    if not margin or not all(interface.velocity and interface.acceleration for interface in interfaces):
        return None
    both = ([each.velocity for each in interfaces], [each.acceleration for each in interfaces])
    velocity, acceleration = (margin * np.max([row[:JOINTS] for row in rows], axis=0) for rows in both)
    return velocity, acceleration


def action_range(actors: Sequence[Actor], dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest action (dim,) each of all that the actors were trained on."""
    low = np.min([actor.traits.action_min[:dim] for actor in actors], axis=0)
    high = np.max([actor.traits.action_max[:dim] for actor in actors], axis=0)
    return low, high
