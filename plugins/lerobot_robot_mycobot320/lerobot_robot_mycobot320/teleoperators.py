"""What drives the arm in LeRobot: a person's keys or gamepad, or the twin's script."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

import numpy as np
from lerobot.teleoperators import Teleoperator

from lerobot_robot_mycobot320 import checkout, mycobot320
from lerobot_robot_mycobot320.config_mycobot320 import MyCobot320JogConfig, MyCobot320ScriptConfig

COMMANDS = {
    "start pose": "to the start pose", "next": "other props (twin)", "other arm": "tool or joint space",
    "slow": "slow, fast", "stop": "stop the arm",
}  # fmt: skip
LONGEST = 0.1  # s; a pause of LeRobot's loop counts as no longer


class _OfTheArm(Teleoperator):
    """Drives the robot of this package that is connected in this process."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.config = config
        self._is_connected = False
        with mycobot320.in_one_line():
            checkout.enter()

    @property
    def session(self) -> Any:
        """The toolkit's session of that robot; RuntimeError if there is none."""
        if not mycobot320.connected:
            raise RuntimeError(
                f"{self.name} drives a mycobot320 or mycobot320_twin; give one as --robot.type"
            )
        return mycobot320.connected[0].session

    @property
    def action_features(self) -> dict[str, type]:
        from mycobot_scripts.robot import FEATURES

        return dict.fromkeys(FEATURES, float)

    @property
    def feedback_features(self) -> dict[str, type]:
        return {}

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    @property
    def is_calibrated(self) -> bool:
        return True

    def calibrate(self) -> None:
        """Nothing to do."""

    def configure(self) -> None:
        """Nothing to do."""

    def connect(self, calibrate: bool = True) -> None:
        self._is_connected = True

    def disconnect(self) -> None:
        self._is_connected = False

    def send_feedback(self, feedback: dict[str, Any]) -> None:
        """There is nothing to feel."""


class MyCobot320Jog(_OfTheArm):
    """What drive_arm.py is driven with: h to the start pose, n other props on the twin, q stops the arm."""

    config_class = MyCobot320JogConfig
    name = "mycobot320_jog"

    def __init__(self, config: MyCobot320JogConfig) -> None:
        super().__init__(config)
        self._stack = contextlib.ExitStack()
        self._device: Any = None  # from the first action on: the robot is connected then
        self._time, self._count = 0.0, 0  # of the last action (s); of starts of the props
        with mycobot320.in_one_line():
            from common import choose
            from teleop import DEVICES

            choose("--teleop.device", config.device, tuple(DEVICES))

    def connect(self, calibrate: bool = True) -> None:
        from mycobot_scripts.robot import open_keys

        self._keys = self._stack.enter_context(open_keys())
        super().connect()

    def get_action(self) -> dict[str, float]:
        """Where the arm is to go, from what is held down now."""
        from mycobot_scripts.robot import as_named
        from mycobot_scripts.wire import clock
        from teleop import Input

        session = self.session
        if self._device is None:
            self._begin(session)
        pressed = self._device.read(clock.now())
        if self._do(pressed.commands):
            self._jog.begin(session.servo.sent)
            pressed = Input()  # where the hand was is no place to follow it from
        now = clock.now()
        passed, self._time = min(now - self._time, LONGEST), now
        qpos = session.servo.latest.qpos
        return as_named(self._jog.step(pressed.rates, passed, qpos, pressed.hand))

    def _begin(self, session: Any) -> None:
        """Open the device, and show what it does."""
        from teleop import explain

        session.operator.keys, session.operator.listens = self._keys, False  # the device reads them
        with mycobot320.in_one_line():
            self._device = session.device(self.config.device)
        print(explain(self._device, COMMANDS | self._device.commands), flush=True)
        self._jog = session.jog()
        self._jog.begin(session.servo.sent)

    def _do(self, commands: Collection[str]) -> bool:
        """Do what a key asks for; returns whether time has passed meanwhile."""
        from mycobot_scripts.robot import PRESSED_Q, start_rng

        session = self.session
        if "stop" in commands:
            session.robot.stop(PRESSED_Q)
            raise KeyboardInterrupt  # LeRobot's commands end at it
        if "other arm" in commands:
            self._jog.switch()
        if "start pose" in commands:
            session.robot.move()
        if "next" in commands and session.is_twin:
            self._count += 1
            session.scene.reset(start_rng(0, self._count), None, session.servo.latest.qpos)
        return not {"start pose", "next"}.isdisjoint(commands)

    def disconnect(self) -> None:
        super().disconnect()
        self._stack.close()


class MyCobot320Script(_OfTheArm):
    """The script of the twin's task, for the start that its props have; at its end the arm stays."""

    config_class = MyCobot320ScriptConfig
    name = "mycobot320_script"
    _actions: np.ndarray | None = None  # (T, 7)
    _step = 0

    def get_action(self) -> dict[str, float]:
        """The script's next action."""
        from mycobot_scripts.demos import scripted_actions
        from mycobot_scripts.robot import as_named

        if self._actions is None:
            session = self.session
            if not session.is_twin or not session.task.script:
                raise RuntimeError(f"{self.name} drives the twin in a task that has a script")
            config = mycobot320.connected[0].config
            case = session.task.case_number(config.episode)
            self._actions = scripted_actions(session.task, session.scene.start, case)
        action = self._actions[min(self._step, len(self._actions) - 1)]
        self._step += 1
        return as_named(action)
