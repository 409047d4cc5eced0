"""The servo loop: one thread owns the arm's port, sends the latest target, and publishes the state.

    with Servo("auto", Guard(Limits())) as servo:
        servo.send(target)          # (7,), at once; clamped on its way
        servo.latest.qpos           # (7,), the newest reading

A command is followed by a reading, so that the state is fresh when the next command comes. The gripper
gets one at most every `--gripper_period`: command, reading and gripper together take longer than 0.1 s.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from typing import Any

import numpy as np

from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.safety import Guard, SafetyStop
from mycobot_scripts.wire import clock
from mycobot_scripts.wire.arm import ArmState, LinkedArm, ServoConfig, ServoStats
from mycobot_scripts.wire.link import Link
from mycobot_scripts.wire.protocol import Command, encode
from mycobot_scripts.wire.watchdog import Watchdog

__all__ = ["ArmState", "Servo", "ServoConfig", "ServoStats"]


class Servo:
    """The arm on a serial port, driven by a thread of its own.

    Args:
        port: name of the port; `auto` finds it.
        guard: clamps every command.
        config: how to talk to the arm.
    """

    def __init__(self, port: str, guard: Guard, config: ServoConfig | None = None) -> None:
        self.port, self.guard, self.config = port, guard, config or ServoConfig()
        self.error: Exception | None = None  # what ended the thread
        self.halted = False  # targets are dropped; with `hold`, from any thread, nothing is sent any more
        self._arm: LinkedArm | None = None
        self._thread: threading.Thread | None = None
        self._watchdog: Watchdog | None = None
        self._wake = threading.Condition()
        self._ending = False
        self._wanted: np.ndarray | None = None  # the newest target that was not sent yet
        self._is_sending = False
        self._asked = self._due = 0.0  # s; when the last target came, and when the next one is expected
        self._jobs: deque[tuple[Callable[[], Any], Future]] = deque()

    def start(self) -> Servo:
        """Open the port, greet the arm, start the thread. RuntimeError, with advice, if nothing answers."""
        if self._thread is not None:
            raise RuntimeError(f"the servo loop on {self.port} is running already")
        link = Link(self.port, self.config.reply_window / 1000, self.config.command_gap / 1000)
        try:
            self._arm = LinkedArm(link, self.guard, self.config)
        except BaseException:
            link.close()
            raise
        self.port, self.error, self._ending = link.port, None, False
        self._watchdog = Watchdog(self.port, encode(Command.STOP))
        self._thread = threading.Thread(target=self._run, name="servo", daemon=True)
        self._thread.start()
        return self

    @property
    def latest(self) -> ArmState:
        """The newest state."""
        return self._arm.state

    @property
    def sent(self) -> np.ndarray:
        """The last command (7,), after clamping; `latest.target` has it from the next reading on."""
        return self._arm.sent

    @property
    def is_up_to_date(self) -> bool:
        """Whether the last target was sent."""
        with self._wake:
            return self._wanted is None and not self._is_sending

    @property
    def temperatures(self) -> list[float]:
        """Degrees Celsius, of each servo; [] until known."""
        return self._arm.temperatures

    @property
    def currents(self) -> list[float]:
        """mA, of each servo; [] until known."""
        return self._arm.currents

    @property
    def released(self) -> bool:
        """Whether the arm can be moved by hand."""
        return self._arm.released

    @property
    def stats(self) -> ServoStats:
        return self._arm.stats

    def send(self, target: np.ndarray) -> None:
        """Command a target (7,); it replaces an unsent one. Nothing happens while `halted`.

        SafetyStop if it is not finite; RuntimeError while the servos are released, or if the line has failed.
        """
        target = np.array(target, dtype=float)
        if target.shape != (JOINTS + 1,) or not np.isfinite(target).all():
            raise SafetyStop(f"a command is {target.tolist()}; it must be 7 finite numbers")
        self._check()
        if self.released:
            raise RuntimeError("the servos are released; focus() comes before a command")
        with self._wake:
            now = clock.now()
            self._asked, self._due = now, 2 * now - self._asked
            if not self.halted:
                self._wanted = target
                self._wake.notify()

    def hold(self) -> None:
        """Stop where the arm is, and stay there."""
        self._forget()
        self._do(self._arm.stop)

    def release(self) -> None:
        """Let the arm be moved by hand: it drops unless somebody holds it."""
        self._forget()
        self._do(self._arm.release)

    def focus(self) -> None:
        """Hold the arm where it is, after `release`."""
        self._do(self._arm.focus)

    def grip(self, opening: float) -> None:
        """Command the gripper alone, to an opening (0 to 1); also while the servos are released."""
        self._do(lambda: self._arm.grip(opening))

    def ask(self, question: Callable[[Any], Any], timeout: float = 30.0) -> Any:
        """Call `question` with pymycobot's `MyCobot320` on the servo thread; returns or raises what it does.

        Commands and readings wait meanwhile. RuntimeError if it takes longer than `timeout` (s).
        """
        return self._do(lambda: self._arm.link.lend(question), timeout)

    def close(self, release: bool = False) -> None:
        """Stop the arm, which holds its pose unless `release`; end the thread, close the port."""
        if self._thread is None:
            return
        self._forget()
        try:
            if self._thread.is_alive() and self.error is None:
                self._do(self._arm.release if release else self._arm.stop, timeout=5.0)
        except (RuntimeError, OSError) as error:
            self.error = self.error or error
        finally:
            with self._wake:
                self._ending = True
                self._wake.notify()
            self._thread.join(timeout=10.0)
            self._thread = None
            self._arm.link.close()
            self._watchdog.close(is_stopped=self.error is None)

    def __enter__(self) -> Servo:
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _forget(self) -> None:
        with self._wake:
            self._wanted = None

    def _check(self) -> None:
        if self.error is not None:
            raise RuntimeError(f"the line to the arm has failed: {self.error}")
        if self._thread is None or not self._thread.is_alive():
            raise RuntimeError("the servo loop is not running; start() comes first")

    def _do(self, job: Callable[[], Any], timeout: float = 10.0) -> Any:
        """Have the thread do something, and wait for it."""
        self._check()
        future: Future = Future()
        with self._wake:
            self._jobs.append((job, future))
            self._wake.notify()
        try:
            return future.result(timeout)
        except futures.TimeoutError:
            raise RuntimeError(f"the servo loop does not answer; {timeout:.0f} s were not enough") from None

    # --- the thread

    def _run(self) -> None:
        try:
            while not self._ending:
                self._cycle()
        except Exception as error:  # whoever drives the arm reports it
            self.error = error
        finally:
            failed = RuntimeError(f"the servo loop has ended: {self.error}")
            while self._jobs:
                self._jobs.popleft()[1].set_exception(failed)

    def _cycle(self) -> None:
        while self._jobs:
            job, future = self._jobs.popleft()
            try:
                future.set_result(job())
            except Exception as error:
                future.set_exception(error)
                if isinstance(error, OSError):  # the port
                    raise
        with self._wake:
            wanted, self._wanted = self._wanted, None
            self._is_sending = wanted is not None
        if wanted is not None and not self.released:
            self._arm.command(wanted)
        self._is_sending = False
        if self._jobs:  # a hold does not wait for a reading
            return
        now = clock.now()
        self._arm.update(self._due - now if now < self._due else float("inf"), lambda: bool(self._jobs))
        with self._wake:
            if self._wanted is None and not self._jobs and not self._ending:
                self._wake.wait(clock.real(self.config.state_period / 1000))
