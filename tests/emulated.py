"""An emulated arm that notes what reaches it, and cameras that are none."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
from kinematic_body import KinematicBody

from constants import MYCOBOT
from mycobot_scripts.kinematics.units import on_the_wire
from mycobot_scripts.robot.cameras.camera import Camera
from mycobot_scripts.safety.guard import Guard
from mycobot_scripts.safety.limits import Limits
from mycobot_scripts.stand_in.firmware import Firmware, serve_port
from mycobot_scripts.wire.protocol import Command, decode_angles

START = on_the_wire(np.append(MYCOBOT.start, 0.7))
MOVES = (Command.SEND_ANGLES, Command.SET_GRIPPER_VALUE)


class Wiretap(Firmware):
    """Notes every frame, and when its answer was given (s); `alter[command](payload)` replaces answers."""

    def __init__(self, *args, **kwargs):
        self.frames, self.alter = [], {}
        super().__init__(*args, **kwargs)

    def answer(self, frame, at):
        payload = super().answer(frame, at)
        self.frames.append((at, frame))
        return self.alter[frame.command](payload) if frame.command in self.alter else payload

    def sent(self, command):
        """Payloads of the frames of a command."""
        return [frame.payload for _, frame in self.frames if frame.command == command]

    def told_angles(self):
        """(n, 6) degrees that the arm was told."""
        return np.array([decode_angles(payload[:12]) for payload in self.sent(Command.SEND_ANGLES)])

    def told_grippers(self):
        """(n,) values that the gripper was told."""
        return [payload[0] for payload in self.sent(Command.SET_GRIPPER_VALUE)]


@contextlib.contextmanager
def emulated(faults=None, acks=True, delays=False, offset=None, tcp=None):
    """A served `Wiretap` on a body that stands at the start pose, or `offset` (6,) rad away from it."""
    body = KinematicBody()
    if offset is not None:
        body.set_torque(range(6), False, body.now())
        body.place(np.array(MYCOBOT.start) + offset, body.now())
        body.set_torque(range(6), True, body.now())
    firmware = Wiretap(body, faults, acks)
    with serve_port(firmware, delays, tcp) as pty:
        firmware.port, firmware.pty = pty.port, pty
        yield firmware


# Limits as wide as they can be: all that the arm can reach is allowed.
WIDE = {"clearance": 0.0, "table_height": -0.5, "box_x": (-1.0, 1.0), "box_y": (-1.0, 1.0), "max_height": 2.0}


def make_guard(action_range=None, **limits):
    return Guard(Limits(**limits), action_range)


class Noise:
    """A source of pictures, 50 a second, of noise; `frozen` repeats one, `gone` gives none."""

    def __init__(self, *_):
        self.rng, self.image = np.random.default_rng(0), np.zeros((48, 64, 3), np.uint8)
        self.frozen, self.gone, self.closed = False, threading.Event(), False

    def read(self):
        time.sleep(0.02)
        if self.gone.is_set():
            raise OSError("unplugged")
        if not self.frozen:
            self.image = self.rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        return self.image

    def close(self):
        self.closed = True


@contextlib.contextmanager
def fake_cameras(names):
    """Cameras by name, each with its source as `.noise`."""
    cameras = {}
    try:
        for name in names:
            noise = Noise()
            cameras[name] = Camera(name, "noise", opener=lambda *_, noise=noise: noise)
            cameras[name].noise = noise
            cameras[name].wait()
        yield cameras
    finally:
        for camera in cameras.values():
            camera.close()


def eventually(condition, seconds=60.0):
    """Whether it comes true, on a machine however busy."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def our_threads():
    """Names of threads that drive an arm or a camera."""
    kinds = ("servo", "camera", "policy", "twin scene")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(kinds)]
