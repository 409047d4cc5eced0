"""How the arm is moved in a demonstration: along waypoints, by a task's script, by hand, by keys."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mycobot_scripts.kinematics import JOINTS, to_degrees
from mycobot_scripts.robot import COMMON, TO_GUIDE, Jog, MyCobotRobot, Operator, legend
from mycobot_scripts.safety import SafetyStop
from mycobot_scripts.wire import Servo, clock
from tasks import StylePlan, Task, TimeStep
from teleop import Device, Input, explain


def scripted_actions(
    task: Task, env_state: np.ndarray, case: int, style: StylePlan | None = None
) -> np.ndarray:
    """(T, 7) of a simulated task's script, for props that start at `env_state` (P * 7,), followed to the
    letter or as a take of a style does.
    """
    from ee_sim_env import make_ee_sim_env  # opens OpenGL, and needs MuJoCo
    from scripted_policy import ScriptedPolicy

    env = make_ee_sim_env(task, image_size=(48, 64))
    try:
        env.reset(env_state=env_state)
        script = ScriptedPolicy(task.variants[case], env.start_xyz(), env_state)
        length = script.take(style) if style else task.episode_len
        return np.array([env.joint_action(script(t)) for t in range(length)], np.float32)
    finally:
        env.close()


WISHES = ("stop", "quit", "redo", "keep")  # commands that end what a person drives
JOGGING = COMMON | {"keep": "done", "redo": "redo", "quit": "quit", "stop": "stop"}


@dataclass
class Jogging:
    """A person drives the arm; `act` gives the actions of a `rollout`."""

    device: Device
    jog: Jog
    fps: float
    length: int
    wish: str | None = None  # one of WISHES, once it was pressed
    _first: Input | None = None  # the input with which the episode began

    @property
    def commands(self) -> dict[str, str]:
        """What keys do meanwhile."""
        return {**JOGGING, **self.device.commands}

    def begin(self, target: np.ndarray, robot: MyCobotRobot) -> TimeStep:
        """Begin at the last command (7,) as soon as the person moves; returns what is seen then.

        The step is `last()` if the robot was stopped meanwhile.
        """
        self.wish = self._first = None
        self.jog.begin(target)
        print(explain(self.device, self.commands))
        print(f"\r{'move to begin':<78}", end="", flush=True)
        earlier = self._read()
        held = None if "clutch" in earlier.commands else earlier.hand  # from before: it begins nothing
        while not (self.wish or self._first):
            clock.sleep(1 / self.fps)
            try:
                robot.check_wish()
            except SafetyStop as error:
                return robot.stop(error)
            pressed = self._read()
            is_new = pressed.hand is None or held is None or pressed.hand.grip != held.grip
            self._first = pressed if pressed.moves and is_new else None
        return robot.look()

    def _read(self) -> Input:
        pressed = self.device.read(clock.now())
        self.wish = next((wish for wish in WISHES if wish in pressed.commands), None)
        if "other arm" in pressed.commands:
            self.jog.switch()
        return pressed

    def act(self, t: int, observation: Mapping[str, Any]) -> np.ndarray | None:
        pressed, self._first = self._first, None
        if pressed is None and not self.wish:
            pressed = self._read()
        if self.wish:
            return None
        action = self.jog.step(pressed.rates, 1 / self.fps, observation["qpos"], pressed.hand)
        waits = f"   waits for {self.jog.waits_for}" if self.jog.waits_for else ""
        line = f"\r{self.jog.mode} space   step {t} of {self.length}   gripper {action[JOINTS]:.2f}{waits}"
        print(f"{line:<78}", end="", flush=True)
        return action


class Guiding:
    """A person moves the arm by hand through poses, which a key captures.

    Args:
        servo: the arm; its servos are released meanwhile.
        operator: who moves it, and presses keys.
        gripper: where it is now, 0 closed to 1 open.
        at_least: poses to capture.
    """

    keys = (
        ("space", "capture this pose"),
        ("o", "open the gripper"),
        ("c", "close it"),
        ("backspace", "forget the last"),
        ("enter", "done"),
        ("q", "quit"),
    )
    help = legend(keys)

    def __init__(self, servo: Servo, operator: Operator, gripper: float, at_least: int = 2) -> None:
        self._servo, self._operator, self._gripper, self._at_least = servo, operator, gripper, at_least
        self.poses: list[np.ndarray] = []  # (7,) each

    def capture(self) -> list[np.ndarray] | None:
        """The poses (7,); None if the person quits. The servos hold the arm afterwards."""
        if not self._operator.holds_it(TO_GUIDE):
            return None
        self._servo.release()
        print(self.help)
        self._operator.show(doing="guide", keys=self.keys)
        try:
            while True:
                wish = self._look()
                if wish == "q" or (wish == "enter" and len(self.poses) >= self._at_least):
                    return self.poses if wish == "enter" else None
                if wish == "enter":
                    print(f"\n{len(self.poses)} poses; capture at least {self._at_least}")
        finally:
            self._servo.focus()
            self._operator.show(doing="idle", keys=())
            print("\nthe arm holds itself again; you can let go")

    def _look(self) -> str | None:
        """Handle the keys that were pressed; returns the one that ends it, or None."""
        here = np.append(self._servo.latest.qpos[:JOINTS], self._gripper)
        degrees, percent = to_degrees(here)
        angles = " ".join(f"{angle:7.2f}" for angle in degrees)
        print(f"\r{len(self.poses):>3} captured   {angles} deg   gripper {percent:>3}", end="", flush=True)
        if self._operator.keys.stop_asked():
            return "q"
        for key in self._operator.keys.poll():
            if key == "space":
                self.poses.append(here)
            elif key == "backspace" and self.poses:
                self.poses.pop()
            elif key in ("o", "c"):
                self._grip(1.0 if key == "o" else 0.2)
            elif key in ("enter", "q", "escape"):
                return "q" if key == "escape" else key
        time.sleep(0.05)
        return None

    def _grip(self, opening: float) -> None:
        self._gripper = opening
        self._servo.grip(opening)
