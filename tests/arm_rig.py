"""An arm to test scripts on, in this process: emulated firmware on a pseudo-terminal, a body without physics,
cameras that show noise, and a person whose keys are known.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from kinematic_body import KinematicBody

from constants import get_task
from mycobot_scripts.robot.arm_file import ArmFile
from mycobot_scripts.robot.cameras.camera import Camera, close_cameras
from mycobot_scripts.robot.operator.keys import Keys, check_question
from mycobot_scripts.robot.operator.person import Operator
from mycobot_scripts.robot.robot import MyCobotRobot
from mycobot_scripts.robot.session import RobotConfig, Session, Setup
from mycobot_scripts.safety.guard import Guard
from mycobot_scripts.safety.limits import Limits
from mycobot_scripts.stand_in.faults import Faults
from mycobot_scripts.stand_in.firmware import Firmware, serve_port
from mycobot_scripts.wire import clock
from mycobot_scripts.wire.arm import ServoConfig
from mycobot_scripts.wire.servo import Servo

SIZE = (48, 64)  # of the cameras' pictures
SLOW = 0.3  # pace of tests that need each command on the wire within its step
# A loaded machine must not fail a test: what depends on its speed is generous.
LIMITS = Limits(
    stale=20.0, frozen=60.0, start_speed=60.0, max_deviation=60.0, max_step=60.0, gripper_step=1.0
)
SERVO = ServoConfig(speed=60, reply_window=1000.0)


class Person(Keys):
    """Answers questions with the next of `answers`, and presses keys when `press` says so."""

    def __init__(self, *answers: str, press: Callable[[], list[str]] = list) -> None:
        self.answers, self.press = list(answers), press
        self.questions: list[str] = []

    def poll(self) -> list[str]:
        return self.press()

    def ask(self, question, answers):
        self.questions.append(question)
        check_question(question, answers)
        if not self.answers:
            raise RuntimeError(f"nobody answers {question!r}")
        return answers[self.answers.pop(0)]

    def line(self, prompt: str) -> str:
        self.questions.append(prompt)
        return self.answers.pop(0)


class Noise:
    """A camera that sees grey noise, 30 times a second."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def read(self) -> np.ndarray:
        time.sleep(1 / 30)
        return self._rng.integers(100, 120, (*SIZE, 3)).astype(np.uint8)

    def close(self) -> None:
        pass


@dataclass
class Rig:
    """A session, and the arm's body behind it."""

    session: Session
    body: KinematicBody
    person: Person = field(default_factory=Person)

    def joints(self) -> np.ndarray:
        """Where the arm is (6,), rad."""
        return self.body.state(self.body.now()).joints


@contextlib.contextmanager
def make_rig(
    person: Person, limits: Limits = LIMITS, faults: Faults | None = None, pace: float = 1.0, **changes
) -> Iterator[Rig]:
    """An arm that is ready; `changes` are of its task.

    At a `pace` below 1 it moves in slow motion: a busy machine then sends every command in time.
    """
    task = replace(get_task("mycobot320_move_cube"), **changes)
    arm = ArmFile()
    setup = Setup(RobotConfig(), limits, SERVO, arm, argparse.Namespace())
    with contextlib.ExitStack() as stack:
        stack.enter_context(clock.slowed(pace))
        body, guard = KinematicBody(clock.now), Guard(limits)
        port = stack.enter_context(serve_port(Firmware(body, faults or Faults()), delays=False))
        cameras = {name: Camera(name, "noise", size=SIZE, opener=lambda *_: Noise()) for name in task.cameras}
        stack.callback(close_cameras, cameras)
        for camera in cameras.values():
            camera.wait()
        servo = Servo(port.port, guard, SERVO).start()
        stack.callback(servo.close)
        servo._arm.link._serial.write_timeout = 60.0  # s; the emulated arm shares this machine's cores
        operator = Operator(person)
        robot = MyCobotRobot(task, servo, cameras, arm.home, operator)
        session = Session(setup, robot, operator)
        yield Rig(session, body, person)
