"""The arm as an environment: `reset / step / close`, as the simulator has them, in real time.

    with MyCobotRobot(task, servo, cameras, start) as robot:
        step = robot.reset()
        while not step.last():
            step = robot.step(policy(step.observation))

An action is sent at once; `step` then waits for the next deadline and returns what is seen at it. Deadlines
are a fixed grid, so that nothing drifts. When a run must not go on, the arm holds, `stopped` says why, and
the step is the last one: a stopped episode is still an episode.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mycobot_scripts.kinematics import JOINTS, on_the_wire
from mycobot_scripts.robot.cameras import Camera, close_cameras
from mycobot_scripts.robot.operator import CTRL_C, Operator
from mycobot_scripts.robot.start_pose import path_to, until_there
from mycobot_scripts.robot.timing import Timing
from mycobot_scripts.safety import Guard, LateStop, SafetyStop
from mycobot_scripts.wire import Servo, clock
from tasks import Task, TimeStep

POLL = 0.005  # s
CALM = 1.0  # s for which state and pictures are fresh before a busy computer counts as calm again


class Scene(Protocol):
    """The props around the arm, where a program takes care of them: the twin's."""

    def reset(
        self, rng: np.random.Generator | None, case: int | None, start: np.ndarray | None = None
    ) -> None:
        """Put the props where an episode starts; the arm starts at `start` (7,) if that is given."""

    @property
    def reward(self) -> float:
        """The present reward."""


class MyCobotRobot:
    """A myCobot 320 and its cameras, as an environment of a task.

    Args:
        task: which cameras there are, and the steps a second.
        servo: the arm, started.
        cameras: by name; all that the task names.
        start: pose (7,) at which episodes begin.
        operator: who allows the first motion, and may stop the arm at any step.
        scene: puts the props back and knows the reward.
    """

    def __init__(
        self,
        task: Task,
        servo: Servo,
        cameras: Mapping[str, Camera],
        start: np.ndarray,
        operator: Operator | None = None,
        scene: Scene | None = None,
    ) -> None:
        missing = [name for name in task.cameras if name not in cameras]
        if missing:
            raise ValueError(
                f"{task.name} sees with {', '.join(task.cameras)}; --cameras lacks {', '.join(missing)}"
            )
        self.task, self.servo, self.cameras, self.start = task, servo, cameras, start
        self.period = 1 / task.fps  # s
        self.stopped: str | None = None  # why the episode was ended
        self.was_late = False  # whether a state or a picture was too old
        self.timing = Timing(task.cameras)
        self._operator, self._scene = operator or Operator(), scene
        self._stop_event = threading.Event()
        self._stop_reason = ""
        self._health: tuple[Sequence[float], Sequence[float]] = [], []  # as last read: temperatures, currents
        self._path: deque[tuple[float, np.ndarray]] = deque(maxlen=1000)  # time (s) and joints (6,)

    @property
    def guard(self) -> Guard:
        """The servo's guard, which clamps every command."""
        return self.servo.guard

    # --- an episode

    def reset(
        self,
        rng: np.random.Generator | None = None,
        case: int | None = None,
        start: np.ndarray | None = None,
    ) -> TimeStep:
        """Move slowly to the start pose, or another pose `start` (7,), have the props put back, and begin.

        `rng` and `case` are for the scene. The step is `last()` if the arm did not get there.
        """

        def prepare() -> None:
            self._go_to(start)
            if self._scene is not None:
                self._scene.reset(rng, case, start)
                self._look_anew()

        return self._begin(prepare, "moving", "episode")

    def move(self, start: np.ndarray | None = None) -> TimeStep:
        """Move slowly to the start pose, or another pose `start` (7,), and no more; see `reset`."""
        return self._begin(lambda: self._go_to(start), "moving", "idle")

    def begin(self) -> TimeStep:
        """Begin where the arm is; the step is `last()` if it may not move."""
        return self._begin(self.check, "idle", "idle")

    def _begin(self, prepare: Callable[[], None], before: str, after: str) -> TimeStep:
        """Forget what was, prepare, and look; the step is `last()` if that fails.

        `before` and `after` are what the person is shown that the arm does.
        """
        self.stopped, self.was_late = None, False
        self._stop_event.clear()
        self.guard.reset()
        self.timing = Timing(self.task.cameras)
        self._path.clear()
        self._operator.show(doing=before, stopped=None)
        try:
            prepare()
        except (SafetyStop, RuntimeError, OSError) as error:
            return self.stop(error)
        except KeyboardInterrupt:
            return self.stop(CTRL_C)
        self._has_begun = False
        self._operator.show(doing=after)
        return self.look()

    def look(self) -> TimeStep:
        """The observation before the first action, for an episode that begins later than its reset."""
        self.timing, self._deadline = Timing(self.task.cameras), clock.now()
        return self._see()

    def step(self, action: np.ndarray) -> TimeStep:
        """Send an action (7,), wait for the next deadline, and look.

        The step is `last()` if the run was stopped: `stopped` then says why. `sent` is the last command that
        the servo loop has sent by then: clamped, rounded to the wire, and the one before if this one is late.
        While a hand guides the arm, nothing is sent and `sent` is the action.
        """
        if self.stopped is not None:
            return self._see(self.servo.sent, is_last=True)
        try:
            self.check()
            if not self._has_begun:  # time begins with the first action, however long that took
                self._deadline, self._has_begun = clock.now(), True
            self.send(action)
            self._wait()
            self.check()
        except (SafetyStop, RuntimeError, OSError) as error:
            return self.stop(error)
        except KeyboardInterrupt:
            return self.stop(CTRL_C)
        return self._see(on_the_wire(action) if self.servo.released else self.servo.sent)

    def is_fresh(self, patience: float = 0.0) -> bool:
        """Whether state and pictures are fresh; waits up to `patience` (s) until they stay so."""
        deadline, since = clock.now() + patience, None
        while True:
            now = clock.now()
            times = [self.servo.latest.time, *(self.cameras[name].latest.time for name in self.task.cameras)]
            if now - min(times) > self.guard.limits.stale / 2:
                since = None
            elif patience == 0 or now - (since or now) >= CALM:
                return True
            else:
                since = since or now
            if now >= deadline:
                return False
            time.sleep(POLL)

    def request_stop(self, reason: str) -> None:
        """Stop as soon as possible; from any thread, or a signal handler."""
        self._stop_reason = self._stop_reason if self._stop_event.is_set() else reason
        self._stop_event.set()

    @contextlib.contextmanager
    def interrupts_stop(self) -> Iterator[None]:
        """Inside, Ctrl-C stops the arm and ends the episode in order; a second one works as usual."""
        before = signal.getsignal(signal.SIGINT)

        def stop(*_: Any) -> None:
            signal.signal(signal.SIGINT, before)
            self.request_stop(CTRL_C)

        signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def close(self, release: bool = False) -> None:
        """The arm holds its pose, unless `release`; cameras and port are closed."""
        try:
            self.servo.close(release)
        finally:
            close_cameras(self.cameras)

    def __enter__(self) -> MyCobotRobot:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def report(self) -> str:
        """Lines about the last episode: rate, ages, clamps."""
        lines = [self.timing.text(1 / self.period), self.guard.report()]
        return "\n".join(([f"stopped: {self.stopped}"] if self.stopped else []) + lines)

    # --- parts of a step

    def send(self, action: np.ndarray) -> None:
        """Send an action (7,) without waiting. SafetyStop if it is not finite, or far outside training's."""
        if self.servo.released:
            return  # a hand guides the arm
        self.guard.check_action(action)
        self.servo.send(action)

    def until_sent(self) -> None:
        """Wait until the last target was sent; as `check` if the run must not go on."""
        self.check()
        while not self.servo.is_up_to_date:
            time.sleep(POLL)
            self.check()

    def _wait(self) -> None:
        """Wait until the next deadline; skip those that have passed already."""
        self._deadline += self.period
        late = clock.now() - self._deadline
        if late > self.period:
            missed = math.floor(late / self.period)
            self._deadline += missed * self.period
            self.timing.missed += missed
        self._stop_event.wait(clock.real(max(0.0, self._deadline - clock.now())))

    def check_wish(self) -> None:
        """SafetyStop if somebody wants the arm to stop, or its line has failed."""
        reason = self._operator.asked_to_stop()
        if reason:
            raise SafetyStop(reason)
        if self._stop_event.is_set():
            raise SafetyStop(self._stop_reason)
        if self.servo.error is not None:
            raise SafetyStop(f"the line to the arm has failed: {self.servo.error}")

    def check(self) -> None:
        """SafetyStop, RuntimeError or OSError if the run must not go on."""
        self.check_wish()
        now, state = clock.now(), self.servo.latest
        self._path.append((state.time, state.qpos[:JOINTS]))
        self.guard.check_state(state.time, state.qpos, now, follows=not self.servo.released)
        self._check_health()
        for name in self.task.cameras:
            picture = self.cameras[name].latest
            moved = self._moved(picture.changed)
            self.guard.check_camera(name, now - picture.time, picture.time - picture.changed, moved)

    def _check_health(self) -> None:
        """SafetyStop if new readings of the servos are too high; a warning if only one was."""
        before, self._health = self._health, (self.servo.temperatures, self.servo.currents)
        new = [values if values is not old else [] for values, old in zip(self._health, before, strict=True)]
        warning = self.guard.check_servos(*new)
        if warning:
            self._operator.say(f"look: {warning}")

    def _look_anew(self) -> None:
        """Wait for pictures taken from now on: the second new one of each camera."""
        counts = {name: self.cameras[name].count for name in self.task.cameras}
        deadline = clock.now() + self.guard.limits.stale
        while any(self.cameras[name].count < count + 2 for name, count in counts.items()):
            if clock.now() > deadline:
                return  # `check` names the camera
            time.sleep(POLL)

    def _moved(self, since: float) -> float:
        """How far (degrees) the joint that moved most went since a time (s)."""
        path = [joints for moment, joints in self._path if moment >= since]
        return float(np.degrees(np.ptp(path, axis=0).max())) if path else 0.0

    def _see(self, sent: np.ndarray | None = None, is_last: bool = False) -> TimeStep:
        state, now = self.servo.latest, clock.now()
        pictures = {name: self.cameras[name].latest for name in self.task.cameras}
        observation = {
            "qpos": state.qpos.copy(),
            "qvel": state.qvel.copy(),
            "images": {name: picture.image for name, picture in pictures.items()},
        }
        ages = {name: now - picture.time for name, picture in pictures.items()}
        if not is_last:
            self.timing.add(now, now - self._deadline, now - state.time, ages)
        reward = None if self._scene is None else self._scene.reward
        return TimeStep(observation, reward, is_last, sent, now)

    def stop(self, error: Exception | str) -> TimeStep:
        """Hold, and say why; the step is the last one."""
        self.stopped, self.was_late = str(error), isinstance(error, LateStop)
        try:
            self.servo.hold()
            held = "the arm holds its pose"
        except (RuntimeError, OSError) as error:
            held = f"the arm could not be told to hold ({error}); it goes no further than its last command"
        self._operator.say(f"stopped: {self.stopped}; {held}")
        self._operator.show(doing="idle", stopped=self.stopped)
        return self._see(self.servo.sent, is_last=True)

    # --- to the start pose

    def _go_to(self, start: np.ndarray | None) -> None:
        """Move to a pose (7,), the start pose if none is given. SafetyStop if the arm does not get there, or
        the person says no.
        """
        pose = np.asarray(self.start if start is None else start, dtype=float)
        self.guard.check_start(pose)
        self.check()
        start = on_the_wire(pose)
        path = path_to(start, self.servo, self.period)
        far = np.degrees(np.abs(path[-1] - self.servo.latest.qpos)[:JOINTS].max())
        motion = f"The arm moves to its start pose: {far:.0f} degrees in {len(path) * self.period:.1f} s. Go?"
        if not self._operator.confirms(motion):
            raise SafetyStop("the motion was not confirmed")
        self._deadline = clock.now()
        for target in itertools.chain(path, until_there(start, self.servo)):
            self._send_checked(target)

    def _send_checked(self, target: np.ndarray) -> None:
        """Send a command; wait for its deadline, and until it was sent, however busy the computer is."""
        self.servo.send(target)
        self._wait()
        self.until_sent()
