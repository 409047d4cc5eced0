"""Taking over from a policy while it runs: a person drives for a while, and that becomes an episode.

`TakeOver` stands between a policy's execution and the arm. `m` hands the arm to the person: it goes to where
it was last sent and waits; keys or a gamepad then drive it (`Jog`), or `g` lets it be guided by
hand. `p` gives it back: the policy looks anew and goes on. What the person drove shows how to correct
what went wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from evaluation import Keeper, Step
from mycobot_scripts.demos.journal import free_episode
from mycobot_scripts.demos.recording import Recording
from mycobot_scripts.robot import COMMON, TO_GUIDE, Jog, MyCobotRobot, Operator, keys_for, legend
from mycobot_scripts.wire import clock
from teleop import Device, Input, explain

MIN_STEPS = 5  # a shorter correction is not kept
OF_POLICY = {"take over": "take over", "stop": "stop"}
OF_PARTS = {"take over": "take over", "next": "next part", "stop": "stop"}
COMMANDS = COMMON | {"give back": "give it back", "guide": "guide it by hand", "stop": "stop"}


class InParts(Protocol):
    """As `Parts`."""

    count: int

    def reset(self, key: Sequence[int] = (0,)) -> None: ...
    def look_anew(self, key: Sequence[int]) -> None: ...
    def advance(self) -> None: ...
    def __call__(self, observation: Mapping[str, Any]) -> np.ndarray: ...


class Corrections:
    """Where corrections are recorded: `episode_<n>.hdf5` of a folder, the next free numbers."""

    def __init__(self, folder: str | Path, cameras: Sequence[str], facts: Mapping[str, Any]) -> None:
        self._folder, self._cameras, self._facts = Path(folder), cameras, facts
        self._recording: Recording | None = None
        self._paths: list[Path] = []

    @property
    def paths(self) -> Sequence[Path]:
        """Episodes that were kept."""
        return tuple(self._paths)

    def begin(self) -> None:
        """A correction begins."""
        self._recording = Recording(free_episode(self._folder), self._cameras, **self._facts)

    def append(self, step: Step) -> None:
        """Keep a step of the run, if it is part of a correction."""
        if self._recording is not None:
            self._recording.append(replace(step, reward=None))

    def end(self) -> None:
        """The correction is over; nothing happens if none has begun."""
        recording, self._recording = self._recording, None
        if recording is None:
            return
        if len(recording) < MIN_STEPS:
            recording.discard()
        else:
            self._paths.append(recording.finish())


class WithCorrections:
    """Keeps the steps of a run, and those that a person drove as corrections too."""

    def __init__(self, run: Keeper, corrections: Corrections) -> None:
        self._run, self._corrections, self.cameras = run, corrections, run.cameras

    def append(self, step: Step) -> None:
        self._run.append(step)
        self._corrections.append(step)


class TakeOver:
    """Calls like an execution (`evaluation.ChunkedExecution`), whose actions a person may replace.

    Args:
        execution: the policy's.
        device: what the person holds; its commands are `robot.COMMANDS`, and `other arm`: tool or joints.
        jog: turns what is held into targets.
        robot: the arm, which is stopped by `q`, and released for guiding by hand.
        operator: holds the arm meanwhile, and reads what goes on.
        corrections: records what the person drives; its steps come from the run (`WithCorrections`).
    """

    def __init__(
        self,
        execution: InParts,
        device: Device,
        jog: Jog,
        robot: MyCobotRobot,
        operator: Operator,
        corrections: Corrections,
    ) -> None:
        self._execution, self._device, self._jog = execution, device, jog
        self._robot, self._operator, self._corrections = robot, operator, corrections
        self.mode = "policy"  # or: jog, guide
        self._key: tuple[int, ...] = (0,)
        self._last: np.ndarray | None = None  # the last action
        self.takeovers = 0

    @property
    def of_policy(self) -> dict[str, str]:
        """What keys do while the policy acts, by command."""
        return OF_PARTS if self._execution.count > 1 else OF_POLICY

    @property
    def help(self) -> str:
        """What the terminal's keys do now."""
        if self.mode == "policy":
            return f"{legend(keys_for(self.of_policy))}   (in the terminal)"
        return f"{explain(self._device, {**COMMANDS, **self._device.commands})}   (in the terminal)"

    def reset(self, key: Sequence[int] = (0,)) -> None:
        """A new episode begins, under the policy; see `Execution.reset`."""
        self.finish()
        self._key, self._last, self.takeovers = tuple(key), None, 0
        self._execution.reset(key)

    def __call__(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The next action (7,); while the arm is guided by hand, where it is."""
        pressed = self._device.read(clock.now())
        qpos = np.asarray(observation["qpos"], dtype=float)
        if "stop" in pressed.commands:
            self._robot.request_stop("q was pressed")
        if "next" in pressed.commands:
            self._execution.advance()
        if "take over" in pressed.commands and self.mode == "policy":
            self._take(qpos if self._last is None else self._last)
        elif "give back" in pressed.commands and self.mode != "policy":
            self._give_back(qpos)
        if "guide" in pressed.commands and self.mode != "policy":
            self._switch_guiding(qpos)
            pressed = replace(pressed, hand=None)  # it has gone elsewhere while the person was asked
        if "other arm" in pressed.commands and self.mode == "jog":
            self._jog.switch()
            self._operator.say(f"driving in {self._jog.mode} space")
        self._last = self._action(observation, qpos, pressed)
        return self._last

    def _action(self, observation: Mapping[str, Any], qpos: np.ndarray, pressed: Input) -> np.ndarray:
        if self.mode == "policy":
            return np.asarray(self._execution(observation))[: len(qpos)]
        if self.mode == "guide":
            return qpos
        return self._jog.step(pressed.rates, self._robot.period, qpos, pressed.hand)

    def _set_mode(self, mode: str) -> None:
        """Who moves the arm from here on, and by which keys; shows it."""
        self.mode = mode
        commands = self.of_policy if mode == "policy" else {**COMMANDS, **self._device.commands}
        jog, doing = (self._jog, mode) if mode == "jog" else (None, "guide" if mode == "guide" else "episode")
        self._operator.show(doing=doing, jog=jog, keys=keys_for(commands))

    def _take(self, start: np.ndarray) -> None:
        self._set_mode("jog")
        self.takeovers += 1
        self._jog.begin(start)
        self._corrections.begin()
        self._operator.say(f"the arm is yours, in {self._jog.mode} space.   {self.help}")

    def _give_back(self, qpos: np.ndarray) -> None:
        if self.mode == "guide":
            self._switch_guiding(qpos)
        self.finish()
        self._set_mode("policy")
        self._execution.look_anew((*self._key, self.takeovers))
        self._operator.say("the policy goes on")

    def _switch_guiding(self, qpos: np.ndarray) -> None:
        if self.mode == "guide":
            self._robot.servo.focus()
            self._jog.begin(qpos)
            self._set_mode("jog")
            self._operator.say("the arm holds itself again")
        elif not self._operator.holds_it(TO_GUIDE):
            self._jog.begin(qpos if self._last is None else self._last)
            self._operator.say("the servos stay on")
        else:
            self._robot.servo.release()
            self._set_mode("guide")
            self._operator.say("guide the arm; g: it holds itself again   p: give back")

    def finish(self) -> None:
        """The run is over, or the person is done: what was driven is saved, and servos hold."""
        if self.mode == "guide":
            self._robot.servo.focus()
        self.mode = "policy"
        self._corrections.end()
