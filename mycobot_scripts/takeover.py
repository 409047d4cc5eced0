"""Taking over from a policy while it runs: a person drives for a while, and that becomes an episode.

`TakeOver` stands between a policy's execution and the arm. `m` hands the arm to the person: it goes to where
it was last sent and waits; keys or a gamepad then drive it (`jog.py`), or `g` lets it be guided by hand. `p`
gives it back: the policy looks anew and goes on. What was driven meanwhile shows how to mend what went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from devices import Device, explain
from mycobot_scripts import clock
from mycobot_scripts.jog import COMMON, Jog
from mycobot_scripts.keys import legend
from mycobot_scripts.recording import Recording, Step, free_episode
from mycobot_scripts.session import as_recorded
from schema import Task

MIN_STEPS = 5  # a correction that is shorter is none, and not kept
COMMANDS = COMMON | {"give back": "give it back", "guide": "guide it by hand", "stop": "stop"}


class Releasable(Protocol):
    """Of `servo.Servo`, what guiding by hand needs."""

    def release(self) -> None: ...
    def focus(self) -> None: ...


class Corrections:
    """Where corrections are recorded: `episode_<n>.hdf5` of a folder, the next free numbers."""

    def __init__(self, folder: str | Path, task: Task, sim: bool = False) -> None:
        self._folder, self._task, self._sim = Path(folder), task, sim
        self._recording: Recording | None = None
        self._paths: list[Path] = []

    @property
    def paths(self) -> Sequence[Path]:
        """Episodes that were kept."""
        return tuple(self._paths)

    def begin(self) -> None:
        """A stretch begins."""
        facts = as_recorded(self._task, self._sim)
        self._recording = Recording(free_episode(self._folder), self._task.cameras, **facts)

    def add(self, moment: float, observation: Mapping[str, Any], action: np.ndarray) -> None:
        """A step of it."""
        images = {name: observation["images"][name] for name in self._task.cameras}
        self._recording.append(Step(moment, observation["qpos"], observation["qvel"], action, images))

    def end(self) -> None:
        """It is over; nothing happens if none has begun."""
        recording, self._recording = self._recording, None
        if recording is None:
            return
        if len(recording) < MIN_STEPS:
            recording.discard()
        else:
            self._paths.append(recording.finish())


class TakeOver:
    """Calls like an execution (`execution.ChunkedExecution`), whose actions a person may replace.

    Args:
        execution: the policy's (`policy_runs.Parts`); `look_anew(key)` makes it forget what it has seen.
        device: what the person holds; its commands are `jog.COMMANDS`, and `other arm`: tool or joint space.
        jog: turns what is held into targets.
        fps: calls a second.
        corrections: where to record, if at all.
        servo: what is released for guiding by hand; None: guiding is refused.
        confirm: asks the person to hold the arm, before it is released; whether they do.
        on_stop: called when `q` is pressed; it stops the arm.
        on_next: called when `n` is pressed: the present part of the run is done.
        say: tells the person what is going on.
        now: clock, s.
    """

    def __init__(
        self,
        execution: Any,
        device: Device,
        jog: Jog,
        fps: float,
        corrections: Corrections | None = None,
        servo: Releasable | None = None,
        confirm: Callable[[], bool] = lambda: False,
        on_stop: Callable[[str], None] = lambda reason: None,
        on_next: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = print,
        now: Callable[[], float] = clock.now,
    ) -> None:
        self._execution, self._device, self._jog, self._fps = execution, device, jog, fps
        self._corrections, self._servo, self._confirm = corrections, servo, confirm
        self._on_stop, self._on_next, self._say, self._now = on_stop, on_next, say, now
        self.mode = "policy"  # or: jog, guide
        self._key: tuple[int, ...] = (0,)
        self._last: np.ndarray | None = None  # the last action
        self.takeovers = 0

    @property
    def help(self) -> str:
        """What the terminal's keys do now."""
        if self.mode == "policy":
            return legend([("m", "take over"), ("n", "next part"), ("q", "stop")]) + "   (in the terminal)"
        return f"{explain(self._device, COMMANDS)}   (in the terminal)"

    def reset(self, key: Sequence[int] = (0,)) -> None:
        """A new episode begins, under the policy; see `Execution.reset`."""
        self.finish()
        self._key, self._last, self.takeovers = tuple(key), None, 0
        self._execution.reset(key)

    def __call__(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The next action (7,); while the arm is guided by hand, where it is."""
        given = self._device.read(self._now())
        qpos = np.asarray(observation["qpos"], dtype=float)
        if "stop" in given.commands:
            self._on_stop("q was pressed")
        if "next" in given.commands:
            self._on_next()
        if "take over" in given.commands and self.mode == "policy":
            self._take(qpos if self._last is None else self._last)
        elif "give back" in given.commands and self.mode != "policy":
            self._give_back(qpos)
        if "guide" in given.commands and self.mode != "policy":
            self._switch_guiding(qpos)
        if "other arm" in given.commands and self.mode == "jog":
            self._jog.switch()
            self._say(f"driving in {self._jog.mode} space")
        self._last = self._action(observation, qpos, given.rates)
        return self._last

    def _action(self, observation: Mapping[str, Any], qpos: np.ndarray, rates: np.ndarray) -> np.ndarray:
        if self.mode == "policy":
            return np.asarray(self._execution(observation))[: len(qpos)]
        action = qpos if self.mode == "guide" else self._jog.step(rates, 1 / self._fps, qpos)
        if self._corrections is not None:
            self._corrections.add(self._now(), observation, action)
        return action

    def _take(self, start: np.ndarray) -> None:
        self.mode = "jog"
        self.takeovers += 1
        self._jog.begin(start)
        if self._corrections is not None:
            self._corrections.begin()
        self._say(f"the arm is yours, in {self._jog.mode} space.   {self.help}")

    def _give_back(self, qpos: np.ndarray) -> None:
        if self.mode == "guide":
            self._switch_guiding(qpos)
        self.finish()
        self._execution.look_anew((*self._key, self.takeovers))
        self._say("the policy goes on")

    def _switch_guiding(self, qpos: np.ndarray) -> None:
        if self.mode == "guide":
            self._servo.focus()
            self._jog.begin(qpos)
            self.mode = "jog"
            self._say("the arm holds itself again")
        elif self._servo is None or not self._confirm():
            self._say("the servos stay on")
        else:
            self._servo.release()
            self.mode = "guide"
            self._say("guide the arm; g: it holds itself again   p: give back")

    def finish(self) -> None:
        """The run is over, or the person is done: what was driven is saved, and servos hold."""
        if self.mode == "guide":
            self._servo.focus()
        self.mode = "policy"
        if self._corrections is not None:
            self._corrections.end()
