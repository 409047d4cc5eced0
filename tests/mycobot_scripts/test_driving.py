"""Driving by hand: what a person's hand does while the arm moves by itself is not made up for."""

from types import SimpleNamespace

import numpy as np

from constants import MYCOBOT
from mycobot_scripts.demos.driving import Driver
from mycobot_scripts.kinematics import TOOL_LENGTH
from mycobot_scripts.robot.operator import Jog, axes_from
from teleop import Hand, Input, Retarget

START = np.append(MYCOBOT.start, 0.7)


class Device:
    """A hand at these places (m), to the right; a word stands for a command."""

    layouts, commands = (), {}

    def __init__(self, *told: tuple[float, str]) -> None:
        self._told = list(told)

    def read(self, now: float) -> Input:
        place, command = self._told[0]
        self._told = self._told[1:] or self._told
        hand = Hand(1, np.array([place, 0.0, 0.0]), np.eye(3))
        return Input(hand=hand, commands=frozenset([command] if command else []))


class Robot:
    """Goes where it is told at once; notes the largest change of a joint."""

    stopped, period = None, 0.1

    def __init__(self) -> None:
        self.servo = SimpleNamespace(sent=START, latest=SimpleNamespace(qpos=START), released=False)
        self.changes: list[float] = []

    def begin(self) -> SimpleNamespace:
        return SimpleNamespace(observation={"qpos": self.servo.sent}, last=lambda: False)

    def move(self) -> None:
        """It is at its start pose."""

    def step(self, action: np.ndarray) -> SimpleNamespace:
        self.changes.append(float(np.abs(action - self.servo.sent).max()))
        self.servo.sent = self.servo.latest.qpos = action
        return self.begin()


def test_the_arm_does_not_make_up_what_a_hand_did_while_it_went_to_its_start_pose():
    device = Device((0.0, ""), (0.0, "start pose"), *[(0.15, "")] * 8, (0.15, "stop"))
    robot, axes = Robot(), axes_from("behind")
    operator = SimpleNamespace(
        listens=True, show=lambda **_: None, say=lambda _: None, asked_to_stop=lambda: False
    )
    session = SimpleNamespace(
        robot=robot,
        servo=robot.servo,
        operator=operator,
        is_twin=False,
        jog=lambda: Jog("tool", TOOL_LENGTH, axes, Retarget(1.0, axes)),
    )
    Driver(session, device).run()
    assert len(robot.changes) >= 9 and max(robot.changes) < 1e-3
