"""The robots: LeRobot's interface to the toolkit's servo loop, guard and cameras."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from typing import Any

from lerobot.robots import Robot
from lerobot.utils.decorators import check_if_already_connected, check_if_not_connected

from lerobot_robot_mycobot320 import checkout
from lerobot_robot_mycobot320.config_mycobot320 import MyCobot320Config, MyCobot320TwinConfig

connected: list[MyCobot320] = []  # what a teleoperator of this package drives: LeRobot does not tell it


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Inside, an error ends LeRobot's command in one line; what is wrong then is a flag, or the arm."""
    try:
        yield
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error


class MyCobot320(Robot):
    """The real arm. State and action: six joints (rad) and the gripper, 0 (closed) to 1 (open)."""

    config_class = MyCobot320Config
    name = "mycobot320"

    def __init__(self, config: MyCobot320Config) -> None:
        super().__init__(config)
        self.config = config
        self._size = config.image_height, config.image_width
        self._stack = contextlib.ExitStack()
        self._loop: Any = None
        self.session: Any = None  # the toolkit's, while the robot is connected
        with in_one_line():
            checkout.enter()
            self._prepare()

    def _prepare(self) -> None:
        """Read the flags, so that wrong ones are refused before anything is written or moved."""
        from common import cli
        from mycobot_scripts.demos import task_to_drive
        from mycobot_scripts.robot import add_robot_flags, camera_sources, read_setup

        if min(self._size) < 8:
            raise ValueError(f"pictures of {self._size[0]}x{self._size[1]} are too small; at least 8x8")
        parser = cli.make_parser(f"{self.name} in LeRobot")
        add_robot_flags(parser, is_driven=True)
        self._setup = read_setup(parser, [*self._words(), *shlex.split(self.config.options)])
        self._task = task_to_drive(self._task_name(), self._setup)
        if self._task.scene is None:
            camera_sources(self._setup, self._task)
        self.cameras = dict.fromkeys(self._task.cameras)  # LeRobot counts them

    def _words(self) -> list[str]:
        """Flags of the toolkit's scripts."""
        given = {"--port": self.config.port, "--cameras": self.config.cameras}
        return [word for flag, value in given.items() if value is not None for word in (flag, value)]

    def _task_name(self) -> str | None:
        return None

    @property
    def observation_features(self) -> dict[str, type | tuple[int, int, int]]:
        return {**self.action_features, **dict.fromkeys(self._task.cameras, (*self._size, 3))}

    @property
    def action_features(self) -> dict[str, type]:
        from mycobot_scripts.robot import FEATURES

        return dict.fromkeys(FEATURES, float)

    @property
    def is_connected(self) -> bool:
        return self._loop is not None

    @property
    def is_calibrated(self) -> bool:
        """The servos know their zeros; the arm's own file has the rest (check_arm.py --calibrate)."""
        return True

    def calibrate(self) -> None:
        """Nothing to do."""

    def configure(self) -> None:
        """Nothing to do: connecting sets all."""

    @check_if_already_connected
    def connect(self, calibrate: bool = True) -> None:
        """Open the port and the cameras; the arm stays where it is."""
        from mycobot_scripts.robot import Nobody, OuterLoop, open_session

        with in_one_line(), contextlib.ExitStack() as stack:
            self.session = stack.enter_context(open_session(self._setup, self._task, Nobody()))
            stack.callback(self._report)
            self._begin()
            self._stack = stack.pop_all()
        self._loop = OuterLoop(self.session.robot, self._size)
        connected[:] = [self]

    def _begin(self) -> None:
        """Look whether the arm may move."""
        if self.session.robot.begin().last():
            raise RuntimeError(self.session.robot.stopped)

    @check_if_not_connected
    def get_observation(self) -> dict[str, Any]:
        """The newest state and pictures (H, W, 3) uint8 RGB. SafetyStop if the arm must stop."""
        return self._loop.observe()

    @check_if_not_connected
    def send_action(self, action: dict[str, Any]) -> dict[str, float]:
        """Send an action; returns what was sent, after the guard. SafetyStop if the arm must stop."""
        return self._loop.send(action)

    @check_if_not_connected
    def disconnect(self) -> None:
        """The arm holds its pose; port and cameras are closed."""
        self._loop = None
        connected.clear()
        self._stack.close()

    def _report(self) -> None:
        print(self.session.robot.guard.report())


class MyCobot320Twin(MyCobot320):
    """The twin, in real time."""

    config_class = MyCobot320TwinConfig
    name = "mycobot320_twin"
    config: MyCobot320TwinConfig

    def _words(self) -> list[str]:
        return ["--robot", "twin"]

    def _task_name(self) -> str | None:
        return self.config.task_name

    def _begin(self) -> None:
        """Put the props where the episode starts, and the arm to its start pose."""
        from mycobot_scripts.robot import start_rng
        from tasks import sample_start

        config, session = self.config, self.session
        rng, case = start_rng(config.seed, config.episode), self._task.case_number(config.episode)
        session.scene.start = sample_start(self._task, rng, case)
        if session.robot.reset().last():
            raise RuntimeError(session.robot.stopped)

    def _report(self) -> None:
        super()._report()
        state = self.session.twin.state()
        verdict = "success" if state["success"] else "no success"
        print(f"the twin: {verdict}, reward {state['reward']} of {state['max_reward']}")
