"""The arm for a loop of another program, which keeps time by itself and calls numbers by names, as LeRobot's.

    loop = OuterLoop(session.robot)
    while True:
        observation = loop.observe()                # {"joint_1.pos": rad, ..., "top": (H, W, 3)}
        sent = loop.send(choose(observation))       # {"joint_1.pos": rad, ..., "gripper.pos": 0 to 1}

Neither waits for a deadline. What stops a run stops this one: the arm holds, and SafetyStop says why.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from constants import IMAGE_SIZE, MYCOBOT
from episodes import resize_image
from mycobot_scripts.kinematics import JOINTS, on_the_wire
from mycobot_scripts.robot.operator import Keys
from mycobot_scripts.robot.robot import MyCobotRobot
from mycobot_scripts.safety import SafetyStop

_SUFFIX, _ARM = ".pos", f"{MYCOBOT.label}_"
_NAMES = (*MYCOBOT.joint_labels, "gripper")
FEATURES = tuple(f"{name}{_SUFFIX}" for name in _NAMES)  # of state and action: rad, and gripper 0 to 1
_FARTHEST = np.append(np.full(JOINTS, 2 * np.pi), 2.0)  # what is beyond is in another unit


class Nobody(Keys):
    """Nobody whom the arm could ask: the other program has the keyboard."""

    def poll(self) -> list[str]:
        return []

    def ask(self, question: str, answers: Mapping[str, Any]) -> Any:
        raise RuntimeError(f"nobody can be asked ({question}) while another program drives the arm")

    def line(self, prompt: str) -> str:
        return self.ask(prompt, {})


class OuterLoop:
    """See the file.

    Args:
        robot: the arm, which is ready.
        size: height and width of the pictures that `observe` gives (pixels).
    """

    def __init__(self, robot: MyCobotRobot, size: tuple[int, int] = IMAGE_SIZE) -> None:
        self._robot, self._size = robot, size

    def observe(self) -> dict[str, Any]:
        """The state by FEATURES, and the newest picture (H, W, 3) uint8 RGB of each camera by its name."""
        with self._stopping():
            self._robot.check()
        seen = self._robot.look().observation
        images = {name: resize_image(image, self._size) for name, image in seen["images"].items()}
        return {**as_named(seen["qpos"]), **images}

    def send(self, action: Mapping[str, Any]) -> dict[str, float]:
        """Send an action by FEATURES, or by the names of an exported dataset; returns what was sent.

        The guard has clamped that, and the wire has rounded it. While a hand guides the arm, nothing is sent,
        and the action is returned. ValueError for other names; SafetyStop for numbers in another unit.
        """
        wanted = from_named(action)
        with self._stopping():
            check_unit(wanted)
            self._robot.check()
            self._robot.send(wanted)
            self._robot.until_sent()
        servo = self._robot.servo
        return as_named(on_the_wire(wanted) if servo.released else servo.sent)

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        """Inside, whatever ends the run makes the arm hold; once stopped, it stays so."""
        if self._robot.stopped is not None:
            raise SafetyStop(self._robot.stopped)
        try:
            yield
        except (SafetyStop, RuntimeError, OSError) as error:
            self._robot.stop(error)
            raise SafetyStop(str(error)) from None


def as_named(pose: np.ndarray) -> dict[str, float]:
    """A state or an action (7,) by FEATURES."""
    return dict(zip(FEATURES, map(float, pose), strict=True))


def from_named(action: Mapping[str, Any]) -> np.ndarray:
    """The action (7,) of numbers by FEATURES, or by the names that `export_lerobot` gives them."""
    plain = {name.removesuffix(_SUFFIX).removeprefix(_ARM): value for name, value in action.items()}
    if set(plain) != set(_NAMES) or len(action) != len(_NAMES):
        raise ValueError(
            f"an action has {', '.join(action) or 'nothing'}; the arm takes {', '.join(FEATURES)}"
        )
    return np.array([float(plain[name]) for name in _NAMES])


def check_unit(action: np.ndarray) -> None:
    """SafetyStop if an action (7,) cannot be in rad, with the gripper from 0 to 1."""
    beyond = np.abs(action) > _FARTHEST
    if beyond.any():
        worst = int(beyond.argmax())
        raise SafetyStop(
            f"{FEATURES[worst]} is {action[worst]:g}; joints are in rad, and the gripper from 0 (closed) to 1"
        )
