"""Driving a simulated task by hand, in end-effector space.

`Teleop` turns what is held down into end-effector targets; it knows no window and no clock. `Pilot` puts it
in front of a person: pictures, keys and real time. Devices, window and clock come from the caller, so that
tests drive without a screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pyquaternion import Quaternion

from common import named, panel
from ee_sim_env import EndEffectorEnv
from tasks import camera_matrix, camera_pose, draw_axes, picture_axes
from teleop.devices import ARROW_KEYS, Device, Hand, Input, Keyboard, KeyWindow, Window, explain
from teleop.registry import TeleopConfig, open_device
from teleop.retarget import Retarget, Tool

SPEEDS = np.array(
    [0.2, 0.2, 0.2, 1.0, 1.0, 1.0, 2.0]
)  # m/s, rad/s, and gripper ranges a second; devices.RATES
MAX_LEAD, MAX_TURN_LEAD = 0.08, 0.5  # m, rad; how far a target runs ahead of an arm that is blocked
VIEW_FPS, VIEW_CAMERAS = 15, 3  # pictures a second, cameras shown at least
MAX_LAG = 0.25  # s; a longer delay is forgotten: the arm must not rush to make up for it
DRIVING, DECIDING = ("redo", "quit"), ("keep", "redo", "quit")  # commands that count then
COMMANDS = {"keep": "done, keep", "redo": "redo", "quit": "quit", "slow": "slow"}  # and the words for them


class Teleop:
    """End-effector targets of all arms, one of which is driven at a time."""

    def __init__(
        self, labels: Sequence[str], start: np.ndarray, axes: np.ndarray | None = None, scale: float = 1.0
    ) -> None:
        """`labels` of the arms, the last of which is driven first; `start` (8 an arm): where they are;
        `axes` (3, 3): x, y and z of the rates as columns in the world; the world's own if not given;
        `scale`: how far a target goes for the hand that leads it.
        """
        self._labels = list(labels)
        self._axes = np.eye(3) if axes is None else axes
        self._retarget = Retarget(scale, self._axes)
        self._targets = start.reshape(-1, 8).copy()
        self._driven = len(labels) - 1

    @property
    def arm(self) -> str:
        """Label of the arm that is driven."""
        return self._labels[self._driven]

    @property
    def gripper(self) -> float:
        """Its gripper's target: 0 closed, 1 open."""
        return float(self._targets[self._driven, 7])

    def place(self, present: np.ndarray) -> np.ndarray:
        """Position (3,) in m of the driven gripper, out of where all arms are (8 an arm)."""
        return present.reshape(-1, 8)[self._driven, :3]

    def switch(self) -> None:
        """Drive the next arm."""
        self._driven = (self._driven + 1) % len(self._labels)
        self._retarget.begin()

    def step(self, rates: np.ndarray, dt: float, present: np.ndarray, hand: Hand | None = None) -> np.ndarray:
        """The action (8 an arm: xyz in m, quaternion wxyz, gripper) after `dt` seconds at `rates` (7,), or
        where a `hand` leads.

        `present` (8 an arm) is where the arms are. A target that leaves its arm behind, because the table is
        in the way or its reach ends, waits for it.
        """
        target, pose = self._targets[self._driven], present.reshape(-1, 8)[self._driven]
        change = rates * SPEEDS * dt
        change[:3], change[3:6] = self._axes @ change[:3], self._axes @ change[3:6]
        if hand is not None:
            change = np.append(np.zeros(6), change[6]) + self._towards(hand, target)
        lead = target[:3] + change[:3] - pose[:3]
        target[:3] = pose[:3] + lead * min(1.0, MAX_LEAD / max(np.linalg.norm(lead), 1e-9))
        target[3:7] = self._turned(Quaternion(target[3:7]), change[3:6], Quaternion(pose[3:7])).elements
        target[7] = np.clip(target[7] + change[6], 0.0, 1.0)
        return self._targets.ravel().copy()

    def _towards(self, hand: Hand, target: np.ndarray) -> np.ndarray:
        """From a target (8,) to where a hand leads: (7,) m, rad about the world's axes, and the gripper."""
        present = Quaternion(target[3:7])
        goal = self._retarget.goal(hand, Tool(target[:3], present.rotation_matrix, target[7]))
        turn = Quaternion(matrix=goal.orientation) * present.inverse
        return np.concatenate(
            [goal.position - target[:3], turn.radians * turn.axis, [goal.gripper - target[7]]]
        )

    @staticmethod
    def _turned(target: Quaternion, change: np.ndarray, present: Quaternion) -> Quaternion:
        angle = float(np.linalg.norm(change))
        if angle:
            target = Quaternion(axis=change, radians=angle) * target  # about the world's axes
        lead = angle_between(present, target)
        return target if lead <= MAX_TURN_LEAD else Quaternion.slerp(present, target, MAX_TURN_LEAD / lead)


def angle_between(one: Quaternion, other: Quaternion) -> float:
    """Angle (rad) of the turn from one orientation to the other."""
    return float(2 * np.arccos(min(1.0, abs(one.elements @ other.elements))))


class Pacer:
    """Keeps steps to real time: each is due a fixed time after the last, however long that one took."""

    def __init__(
        self, fps: float, now: Callable[[], float] = time.perf_counter, sleep: Callable = time.sleep
    ) -> None:
        self.period = 1 / fps  # s
        self.now, self._sleep = now, sleep
        self.start()

    def start(self) -> None:
        """The first step is due now."""
        self._due = self.now()

    @property
    def lag(self) -> float:
        """Seconds that the present step is late."""
        return self.now() - self._due

    def wait(self) -> None:
        """Sleep until the next step is due."""
        self._due += self.period
        if self.lag < 0:
            self._sleep(-self.lag)
        elif self.lag > MAX_LAG:
            self.start()


class Pilot:
    """A person who drives `env` with some devices, looking at a window."""

    def __init__(
        self,
        env: EndEffectorEnv,
        devices: Sequence[Device],
        window: Window,
        cameras: Sequence[str],
        pacer: Pacer,
        scale: float = 1.0,
    ) -> None:
        """`cameras` come first in the window, before others of the scene if they are few.

        `scale`: see `Teleop`.
        """
        self._env, self._devices, self._window, self._pacer = env, devices, window, pacer
        self._sim = env.env
        further = [name for name in self._sim.cameras if name not in cameras]
        self._cameras = [*cameras, *further[: max(0, VIEW_CAMERAS - len(cameras))]]
        self._task, self._scale = env.spec, scale
        switch = {"other arm": "other arm"} if len(self._task.arms) > 1 else {}
        self._help = [explain(device, {**COMMANDS, **switch, **device.commands}) for device in devices]
        self._shown = -np.inf  # s; when the window was last refreshed
        self.command: str | None = None  # what ended the episode early

    def begin(self, progress: str) -> None:
        """Take over the arms after a reset; time begins with the person's first move.

        `progress` is shown in the status line.
        """
        self._axes = picture_axes(camera_pose(self._sim.physics, self._cameras[0]))
        labels = [arm.label for arm in self._task.arms]
        self._teleop = Teleop(labels, self._env.present(), self._axes, self._scale)
        self._progress = progress
        self.command = None
        while True:
            request = self._read()
            self.command = _choice(request, DRIVING)
            if self.command or request.moves:
                break
            self._refresh(0, "move to begin")
            self._pacer.wait()
        self._pacer.start()

    def act(self, t: int, observation: Any) -> np.ndarray | None:
        """The joint-space action (D,) of a control step, or None if the person is done, or gives up."""
        if t:
            self._pacer.wait()
        request = self._read()
        self.command = self.command or _choice(request, DRIVING)
        if self.command or (t and "keep" in request.commands):
            return None
        self._refresh(t, "driving")
        return self._env.joint_action(
            self._teleop.step(request.rates, self._pacer.period, self._env.present(), request.hand)
        )

    def decide(self, outcome: str) -> str:
        """What to do with a finished episode: keep, redo or quit."""
        while True:
            choice = _choice(self._read(), DECIDING)
            if choice:
                self._shown = -np.inf
                self._refresh(self._task.episode_len, "saving" if choice == "keep" else "one moment")
                return choice
            self._refresh(self._task.episode_len, f"{outcome}: keep, redo or quit?")
            self._pacer.wait()

    def _read(self) -> Input:
        now, request = self._pacer.now(), Input()
        for device in self._devices:
            request |= device.read(now)
        if "other arm" in request.commands:
            self._teleop.switch()
        return request

    def _refresh(self, step: int, state: str) -> None:
        """Refresh the window, if it is time to, and there is time."""
        since = self._pacer.now() - self._shown
        if since < 1 / VIEW_FPS or (self._pacer.lag > self._pacer.period and since < 1.0):
            return
        status = (
            f"{state}   arm: {self._teleop.arm}   gripper: {self._teleop.gripper:.1f}   step {step} of "
            f"{self._task.episode_len}   reward {self._sim.reward} of {self._task.max_reward}   "
            f"{self._progress}"
        )
        self._window.show(panel([self._picture(name) for name in self._cameras], [status, *self._help]))
        self._shown = self._pacer.now()

    def _picture(self, camera: str) -> np.ndarray:
        """What a camera sees, with its name, and with arrows at the gripper: which key drives it where."""
        image = named(self._sim.render(camera), camera)
        matrix = camera_matrix(self._sim.physics, camera, image.shape[:2])
        return draw_axes(image, matrix, self._teleop.place(self._env.present()), self._axes, ARROW_KEYS)


def _choice(request: Input, choices: Sequence[str]) -> str | None:
    return next((name for name in choices if name in request.commands), None)


def make_pilot(device: str, env: EndEffectorEnv, cameras: Sequence[str], config: TeleopConfig) -> Pilot:
    """A person at this machine's screen with a device of `registry.DEVICES`, and the keyboard."""
    window = KeyWindow(f"{env.spec.name} by hand")
    held = open_device(device, Keyboard(window.poll), config)
    return Pilot(env, [held], window, cameras, Pacer(env.spec.fps), config.teleop_scale)
