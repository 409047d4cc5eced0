"""The emulated arm in simulated time: firmware and MuJoCo's body, in this process.

MuJoCo's shapes show at every physics step where the whole arm is. The table is left out, so that nothing
holds the arm back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
from tqdm import tqdm

from constants import MYCOBOT, get_task
from mycobot_scripts.kinematics import on_the_wire
from mycobot_scripts.safety import Guard, Limits, SafetyStop
from mycobot_scripts.stand_in import ALL_JOINTS, READ_TIME, WRITE_TIME, BodyState, Firmware, SimulatedArm
from mycobot_scripts.wire import FrameParser, Link, LinkedArm, ServoConfig, encode
from tasks import ArmIndex, LinkedJoints, build_model

TASK = get_task("sim_mycobot320_move_cube_scripted")
START = on_the_wire(np.append(MYCOBOT.start, 0.7))
PERIOD = 0.1  # s, between commands
POLL = 0.02  # s that a read of the port waits
REACHING = ("gripper_base", "left", "right")  # bodies about the tool point; the camera hangs on link6
ROOT = ("base", "link1", "link2")  # not checked against the table; link2's far end is link3's near one


class SteppedBody:
    """A `body.Body` whose time passes only when somebody asks.

    Args:
        pose: where it begins (7,): rad, and the gripper's opening.
        limits: those it is measured against.
    """

    def __init__(self, pose: np.ndarray, limits: Limits) -> None:
        self.model = model = build_model(TASK, has_props=False)
        names = [model.geom(i).name.removeprefix(f"{MYCOBOT.name}/") for i in range(model.ngeom)]
        bodies = [model.body(body).name.partition("/")[2] for body in model.geom_bodyid]
        model.geom_contype[[not body for body in bodies]] = 0
        model.geom_conaffinity[[not body for body in bodies]] = 0
        self.data, self.time = mujoco.MjData(model), 0.0
        self._arm = SimulatedArm(model, self.data, MYCOBOT, self._act)
        self._index = ArmIndex(model, MYCOBOT)
        self.measure = Measure(model, names, bodies, limits)
        self._place(np.asarray(pose, dtype=float))
        self.measure.begin(self.data)

    def _place(self, pose: np.ndarray) -> None:
        self.data.qpos[self._index.qpos] = self._index.targets(pose)
        LinkedJoints(self.model).place(self.data)
        mujoco.mj_forward(self.model, self.data)
        self._arm.stand(pose)

    def _act(self, action: np.ndarray) -> None:
        self.data.ctrl[self._index.motors] = self._index.targets(action)

    def advance(self, at: float) -> None:
        """Step up to a time (s), measuring at each step."""
        while self.data.time + self.model.opt.timestep <= at:
            self._arm.before_step()
            mujoco.mj_step(self.model, self.data)
            self.measure.note(self.data)

    def now(self) -> float:
        return self.time

    def state(self, at: float) -> BodyState:
        self.advance(at)
        return self._arm.state()

    def move(self, joints: np.ndarray, speed: float, at: float) -> None:
        self.advance(at)
        self._arm.move(joints, speed)

    def hold(self, at: float, joints: Iterable[int] = ALL_JOINTS) -> None:
        self.advance(at)
        self._arm.hold(list(joints))

    def set_gripper(self, opening: float, at: float) -> None:
        self.advance(at)
        self._arm.set_gripper(opening)

    def set_torque(self, joints: Iterable[int], on: bool, at: float) -> None:
        self.advance(at)
        self._arm.set_torque(list(joints), on)

    def stick(self, joint: int, at: float) -> None:
        self.advance(at)
        self._arm.stick(joint)


class Measure:
    """The furthest that MuJoCo's shapes of the body were outside its limits, beyond where they began."""

    def __init__(self, model: mujoco.MjModel, names: list[str], bodies: list[str], limits: Limits) -> None:
        arm = [i for i, body in enumerate(bodies) if body and body not in ROOT]
        reaching = [names[i].startswith("camera") or bodies[i].startswith(REACHING[1:]) for i in arm]
        self._shapes, self._floor = arm, limits.table_height + limits.clearance - 0.02 * np.array(reaching)
        kind, size = model.geom_type[arm], model.geom_size[arm]
        round_ends = kind == mujoco.mjtGeom.mjGEOM_CAPSULE
        discs = kind == mujoco.mjtGeom.mjGEOM_CYLINDER
        self._ball = np.where(round_ends, size[:, 0], 0.0)
        self._disc = np.where(discs, size[:, 0], 0.0)
        self._half = np.where(round_ends | discs, size[:, 1], 0.0)
        self._box = np.where((kind == mujoco.mjtGeom.mjGEOM_BOX)[:, None], size, 0.0)
        bottom = limits.table_height
        self._low = np.array([limits.box_x[0], limits.box_y[0], bottom + limits.clearance])
        self._high = np.array([limits.box_x[1], limits.box_y[1], bottom + limits.max_height])
        self._tool = model.site(f"{MYCOBOT.name}/grip_point").id
        self._hand = np.array([body.startswith(REACHING) for body in bodies])
        self.worst = dict.fromkeys(("tool", "parts", "itself"), 0.0)  # m
        self._begun = {"tool": np.zeros(6), "parts": np.zeros(len(arm))}

    def begin(self, data: mujoco.MjData) -> None:
        """Note the pose that the body begins with."""
        self._begun = {name: np.maximum(0.0, excess) for name, excess in self._excess(data).items()}

    def note(self, data: mujoco.MjData) -> None:
        """Note the present pose."""
        for name, excess in self._excess(data).items():
            self.worst[name] = max(self.worst[name], float((excess - self._begun[name]).max()))
        if data.ncon:
            inside_hand = self._hand[data.contact.geom].all(axis=1)
            depth = np.where(inside_hand, 0.0, -data.contact.dist).max()
            self.worst["itself"] = max(self.worst["itself"], float(depth))

    def _excess(self, data: mujoco.MjData) -> dict[str, np.ndarray]:
        tool = data.site_xpos[self._tool]
        across = np.abs(data.geom_xmat[self._shapes, 6:])  # (shapes, 3): world z along each shape's axes
        rim = self._disc * np.sqrt(np.maximum(0.0, 1 - across[:, 2] ** 2))
        deep = self._ball + rim + self._half * across[:, 2] + (self._box * across).sum(axis=1)
        lowest = data.geom_xpos[self._shapes, 2] - deep
        return {
            "tool": np.concatenate([self._low - tool, tool - self._high]),
            "parts": self._floor - lowest,
        }


class Wire:
    """A serial port for a `Link`, with the firmware's real delays, in the body's time."""

    def __init__(self, firmware: Firmware, body: SteppedBody) -> None:
        self._firmware, self._body, self._parser = firmware, body, FrameParser()
        self._coming: deque[tuple[float, bytes]] = deque()  # when a reply comes (s)
        self._busy_until = 0.0

    @property
    def in_waiting(self) -> int:
        return sum(len(data) for due, data in self._coming if due <= self._body.time)

    def write(self, data: bytes) -> None:
        for frame in self._parser.feed(data):
            began = max(self._body.time, self._busy_until)
            is_write = self._firmware.is_write(frame.command)
            self._busy_until = began + (WRITE_TIME if is_write else READ_TIME)
            payload = self._firmware.answer(frame, began if is_write else began + READ_TIME / 2)
            if payload is not None:
                self._coming.append((self._busy_until, encode(frame.command, payload)))

    def read(self, size: int) -> bytes:
        if not self._coming or self._coming[0][0] > self._body.time + POLL:
            self._body.time += POLL
            return b""
        due, data = self._coming.popleft()
        self._body.time = max(self._body.time, due)
        return data

    def reset_input_buffer(self) -> None:
        while self._coming and self._coming[0][0] <= self._body.time:
            self._coming.popleft()

    def flush(self) -> None:
        """Nothing waits to be sent."""

    def close(self) -> None:
        """Nothing to close."""


def link_to(body: SteppedBody, acks: bool = True) -> Link:
    """The arm's line in simulated time; commands go through bytes and firmware as ever."""

    def sleep(seconds: float) -> None:
        body.time += seconds

    wire = Wire(Firmware(body, acks=acks), body)
    return Link("simulated", now=body.now, sleep=sleep, arm=SimpleNamespace(_serial_port=wire))


Targets = Iterator[np.ndarray]
Attack = Callable[[np.random.Generator, Callable[[], np.ndarray]], Targets]  # with where the arm is (7,)


def attacked(
    attack: Attack, limits: Limits, settings: dict[str, Any], commands: int, seed: int, name: str
) -> dict[str, Any]:
    """An attack through servo, wire, firmware and body: how far outside the arm was (m), and the time (s).

    `settings` are the servo's.
    """
    rng = np.random.default_rng([seed, len(name)])
    body, guard = SteppedBody(START, limits), Guard(limits)
    arm = LinkedArm(link_to(body), guard, ServoConfig(**settings))
    targets, stops, seconds = attack(rng, lambda: arm.state.qpos), 0, []
    guard.clamp = clocked(guard.clamp, seconds)
    for _ in tqdm(range(commands), desc=name, leave=False):
        deadline = body.time + PERIOD * rng.uniform(0.9, 1.1)
        arm.command(next(targets))
        arm.update(deadline - body.time)
        try:
            guard.check_state(arm.state.time, arm.state.qpos, body.time)
        except SafetyStop:
            stops += 1
            arm.stop()
            guard.reset()
        body.time = max(body.time, deadline)
        body.advance(body.time)
    return {**body.measure.worst, "stops": stops, "clamps": seconds}


def clocked(clamp: Callable, seconds: list[float]) -> Callable:
    """A function whose calls note the CPU time (s) that they take."""

    def call(*args):
        began = time.thread_time()
        try:
            return clamp(*args)
        finally:
            seconds.append(time.thread_time() - began)

    return call
