"""A leader arm beside the keys: an SO-101 whose joints are read 50 times a second, and its clutch.

While the clutch is closed (a key), the tool goes as the leader's does. It opens by itself when the leader is
not heard: the arm then stays where it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from common import hold_name, tcp_address
from teleop.devices import Device, Hand, Input
from teleop.feetech import STEPS, STS3215, Bus
from teleop.so101 import IDS, PERSON_FROM_BASE, Calibration, forward, wrapped

PERIOD = 0.02  # s between readings
STALE = 0.25  # s without a reading of each joint after which the clutch opens
MOST_TURN = STEPS / 8  # steps from one reading to the next; a larger one counts when it comes twice
CLUTCH = {"clutch": "take hold, let go"}
_USB = {(0x1A86, 0x55D3)}  # vendor and product of the CH343 on the boards sold with these servos


class Reading(NamedTuple):
    """Where the leader is."""

    time: float  # s, `time.perf_counter`, of the joint that was read longest ago
    joints: np.ndarray  # (5,) rad
    gripper: float  # 0 closed to 1 open


class Readings:
    """Steps by id as they come; a jump must be confirmed by the next reading."""

    def __init__(self) -> None:
        self.steps: dict[int, int] = {}
        self.times: dict[int, float] = {}
        self._doubted: dict[int, int] = {}

    def add(self, steps: dict[int, int], now: float) -> None:
        """Readings by id at a time (s)."""
        for id, value in steps.items():
            before = self.steps.get(id, value)
            doubted = self._doubted.pop(id, None)
            confirmed = doubted is not None and abs(wrapped(value - doubted)) <= MOST_TURN
            if abs(wrapped(value - before)) > MOST_TURN and not confirmed:
                self._doubted[id] = value
            else:
                self.steps[id], self.times[id] = value, now


def find_port() -> str:
    """The serial port that a leader is on; RuntimeError, with what to do, if there is not just one."""
    from serial.tools import list_ports

    there = list(list_ports.comports())
    ports = sorted(port.device for port in there if (port.vid, port.pid) in _USB)
    if len(ports) == 1:
        return ports[0]
    if ports:
        raise RuntimeError(
            f"there may be a leader on each of {', '.join(ports)}; choose one by --leader_port"
        )
    others = ", ".join(sorted(port.device for port in there))
    hint = f"; other ports: {others}" if others else ""
    raise RuntimeError(f"no serial port looks like a leader's; plug it in, or name it by --leader_port{hint}")


def check_servos(bus: Bus) -> None:
    """RuntimeError unless all of a leader's servos answer; their torque is off afterwards."""
    models = {name: bus.model(id) for name, id in IDS.items()}
    missing = [f"{name} (id {IDS[name]})" for name, model in models.items() if model is None]
    what = f"--leader_port is {bus.port!r}"
    if len(missing) == len(models):
        raise RuntimeError(
            f"{what}; nothing there answers as an SO-101 does: is it the leader's, and has it power?"
        )
    if missing:
        raise RuntimeError(
            f"{what}; no answer from {', '.join(missing)}: look at the cables between the servos"
        )
    if wrong := {name: model for name, model in models.items() if model != STS3215}:
        name, model = next(iter(wrong.items()))
        raise RuntimeError(f"{what}; {name} is a servo of model {model}, not an STS3215 ({STS3215})")
    if stiff := [name for name, id in IDS.items() if not bus.release(id)]:
        raise RuntimeError(f"{what}; the torque of {', '.join(stiff)} could not be switched off")


def open_bus(port: str) -> Bus:
    """The bus of a leader that answers; `auto` looks for its port. ValueError or RuntimeError if none."""
    tcp_address(port, "leader_port")
    bus = Bus(find_port() if port == "auto" else port)
    try:
        check_servos(bus)
    except BaseException as error:
        bus.close()
        if isinstance(error, OSError):
            raise RuntimeError(f"--leader_port is {bus.port!r}, which fails: {error}") from None
        raise
    return bus


class SO101:
    """A leader's joints, read in a thread until `close`.

    Args:
        port: of its bus; `auto` looks for it.
        calibration: what its readings mean.
    """

    def __init__(self, port: str, calibration: Calibration) -> None:
        self._calibration, self._readings = calibration, Readings()
        self._newest: Reading | None = None
        self.error: str | None = None  # why it is not read any more
        self._held = hold_name(f"leader {port}", f"another program has the leader, on {port}")
        self._held.__enter__()
        try:
            self.bus = open_bus(port)
        except BaseException:
            self._held.__exit__(None, None, None)
            raise
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leader", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.perf_counter()
        while not self._ending.is_set():
            try:
                steps = self.bus.positions(list(IDS.values()))
            except (OSError, TypeError) as error:  # pyserial's TypeError: the port was closed meanwhile
                self.error = f"the leader's port fails: {error}"
                return
            self._readings.add(steps, time.perf_counter())
            times = self._readings.times
            if len(times) == len(IDS):
                known = self._readings.steps
                joints, gripper = self._calibration.joints(known), self._calibration.gripper(known)
                self._newest = Reading(min(times.values()), joints, gripper)
            due = max(due + PERIOD, time.perf_counter() - PERIOD)
            self._ending.wait(max(0.0, due - time.perf_counter()))

    @property
    def newest(self) -> Reading | None:
        """The newest reading; None if there is none that is fresh."""
        reading = self._newest
        return reading if reading and time.perf_counter() - reading.time <= STALE else None

    def close(self) -> None:
        """End the thread, and let go of the port."""
        self._ending.set()
        self._thread.join()
        self.bus.close()
        self._held.__exit__(None, None, None)


class Led:
    """A leader and the keys beside it, as one device.

    Args:
        leader: read here, closed with this.
        keys: what else the person holds; its command `clutch` takes hold and lets go.
        say: shows the person a line.
    """

    commands = CLUTCH

    def __init__(self, leader: SO101, keys: Device, say: Callable[[str], None] = print) -> None:
        self._leader, self._keys, self._say = leader, keys, say
        self.layouts = keys.layouts
        self._grips, self._is_closed = 0, False

    def read(self, now: float) -> Input:
        """As `Device.read`; with the leader's hand while the clutch is closed."""
        pressed, reading = self._keys.read(now), self._leader.newest
        if "clutch" in pressed.commands:
            self._switch(reading)
        if self._is_closed and reading is None:
            self._is_closed = False
            self._say(f"\n{self._leader.error or 'the leader is not heard'}: the clutch is open")
        return replace(pressed, hand=self._hand(reading)) if self._is_closed else pressed

    def _switch(self, reading: Reading | None) -> None:
        if self._is_closed:
            self._is_closed = False
        elif reading is None:
            self._say(f"\n{self._leader.error or 'the leader is not heard'}: the clutch stays open")
        else:
            self._is_closed, self._grips = True, self._grips + 1

    def _hand(self, reading: Reading) -> Hand:
        position, orientation = forward(reading.joints)
        return Hand(
            self._grips,
            PERSON_FROM_BASE @ position,
            PERSON_FROM_BASE @ orientation,
            reading.gripper,
        )

    def close(self) -> None:
        self._leader.close()
        self._keys.close()
