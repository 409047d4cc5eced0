"""The myCobot 320's firmware, emulated: answers every command that `pymycobot.MyCobot320` sends to the arm.

`Firmware` has no port and never sleeps; `serve_port` gives it a serial port and real delays.
"""

from __future__ import annotations

import threading

import numpy as np

from mycobot_scripts.kinematics import geometry as kinematics
from mycobot_scripts.stand_in.body import Body
from mycobot_scripts.stand_in.emulated_parts import Gripper, KeptValues, Read, Servos, Write
from mycobot_scripts.stand_in.faults import Faults
from mycobot_scripts.stand_in.motion import SPEED_AT_20, Mover
from mycobot_scripts.stand_in.served_port import ServedPort
from mycobot_scripts.stand_in.wires import PtyWire, TcpWire
from mycobot_scripts.wire import (
    Command,
    Frame,
    as_measured,
    decode_angles,
    decode_coords,
    encode_angles,
    encode_coords,
    encode_limit,
    int16s,
    to_int16s,
)

_NO_JOINTS = [8241] * 6  # the answer to coordinates out of reach
_COORDS_REACHED = np.array([3.0, 3.0, 3.0, 2.0, 2.0, 2.0])  # mm, degrees
RETRY = 0.7  # s: an unanswered command that comes again this soon is the same one
_INCREMENTS = (Command.JOG_INCREMENT, Command.JOG_INCREMENT_COORD)


class Firmware:
    """What the arm's controller does, command by command.

    Args:
        body: what moves.
        faults: what is wrong.
        acks: whether commands without an answer are acknowledged; old firmware is silent.
        speed_at_20: degrees/s of the fastest joint at speed 20.
    """

    def __init__(
        self,
        body: Body,
        faults: Faults | None = None,
        acks: bool = True,
        speed_at_20: float = SPEED_AT_20,
    ) -> None:
        self.body, self.faults, self.acks = body, faults or Faults(), acks
        self.motion = Mover(body, speed_at_20, self.faults.play)
        self.gripper = Gripper(body, self.faults)
        self.servos = Servos(body, self.motion, self.faults)
        self.settings = KeptValues()
        self.is_powered = True
        self.stuck_from: float | None = None  # s
        self._lock = threading.Lock()
        self._unanswered: tuple[Frame, float] | None = None
        parts = (self.gripper, self.servos, self.settings)
        self._reads = {**self._own_reads(), **{k: v for part in parts for k, v in part.reads.items()}}
        self._writes = {**self._own_writes(), **{k: v for part in parts for k, v in part.writes.items()}}
        # the only ones answered without power: the Atom at the arm's end answers the others
        self._basic = {
            *(Command.SOFTWARE_VERSION, Command.GET_BASIC_VERSION, Command.POWER_ON, Command.POWER_OFF),
            *(Command.IS_POWER_ON, Command.IS_CONTROLLER_CONNECTED, Command.GET_BASIC_INPUT),
            *(Command.SET_BASIC_OUTPUT, Command.GET_ERROR_INFO, Command.CLEAR_ERROR_INFO),
        }

    def is_write(self, command: int) -> bool:
        """Whether a command asks to do something, not to report something."""
        return command in self._writes

    def answer(self, frame: Frame, at: float) -> bytes | None:
        """Do what a frame asks at a time (s); returns the payload of the reply, or None for no reply.

        Commands that the firmware does not know, or that are too short, are ignored.
        """
        with self._lock:
            self._tick(at)
            if not self.is_powered and frame.command not in self._basic:
                return None
            try:
                if frame.command in self._reads:
                    return self._reads[frame.command](frame.payload, at)
                if frame.command in self._writes:
                    done = self._is_retry(frame, at) or self._writes[frame.command](frame.payload, at)
                    return bytes([done is not False]) if self.acks else None
            except (ValueError, IndexError):
                return None
            return None

    def tick(self, at: float) -> None:
        """Advance motions and faults; call it every 20 ms or so."""
        with self._lock:
            self._tick(at)

    def _tick(self, at: float) -> None:
        self.motion.tick(at)
        if self.stuck_from is not None and at >= self.stuck_from:
            self.body.stick(self.faults.stuck_joint - 1, at)
            self.stuck_from = None

    def begin(self, at: float) -> None:
        """The first command came: the time of some faults counts from here."""
        if self.faults.stuck_joint:
            self.stuck_from = at + self.faults.stuck_after

    def placed(self, at: float) -> None:
        """A reset has put the body elsewhere: no motion is on its way, and all motors are on."""
        with self._lock:
            self.motion.reset(at)
            self.gripper.reset(at)
            self.servos.reset()

    def unanswered(self, frame: Frame, at: float) -> None:
        """The reply to a frame did not reach the client in time, and so the frame may come again."""
        self._unanswered = (frame, at)

    def _is_retry(self, frame: Frame, at: float) -> bool:
        """Whether an increment is the one just made, sent again because no reply came."""
        before, self._unanswered = self._unanswered, None
        if frame.command not in _INCREMENTS:
            return False
        is_same = before is not None and before[0] == frame and at - before[1] < RETRY
        if is_same or not self.acks:
            self._unanswered = (frame, at)
        return is_same

    # --- commands

    def _own_reads(self) -> dict[Command, Read]:
        motion = self.motion
        return {
            Command.GET_ERROR_INFO: lambda p, at: bytes([motion.error]),
            Command.IS_POWER_ON: lambda p, at: bytes([self.is_powered]),
            Command.IS_CONTROLLER_CONNECTED: lambda p, at: bytes([self.is_powered]),
            Command.GET_FRESH_MODE: lambda p, at: bytes([motion.fresh_mode]),
            Command.GET_ANGLES: lambda p, at: encode_angles(self.angles(at)),
            Command.GET_COORDS: self._get_coords,
            Command.GET_ANGLES_COORDS: self._get_angles_coords,
            Command.GET_ANGLES_PLAN: lambda p, at: encode_angles(motion.target),
            Command.GET_COORDS_PLAN: lambda p, at: _pose(motion.target),
            Command.IS_PAUSED: lambda p, at: bytes([motion.is_paused]),
            Command.IS_MOVING: lambda p, at: bytes([motion.is_moving(at)]),
            Command.IS_IN_POSITION: self._is_in_position,
            Command.GET_JOINT_MIN_ANGLE: lambda p, at: encode_limit(p[0], motion.low[p[0] - 1]),
            Command.GET_JOINT_MAX_ANGLE: lambda p, at: encode_limit(p[0], motion.high[p[0] - 1]),
            Command.SOLVE_INV_KINEMATICS: self._solve,
        }

    def _own_writes(self) -> dict[Command, Write]:
        motion = self.motion
        return {
            Command.CLEAR_ERROR_INFO: lambda p, at: setattr(motion, "error", 0),
            Command.POWER_ON: lambda p, at: self._power(True, at),
            Command.POWER_OFF: lambda p, at: self._power(False, at),
            Command.SET_FRESH_MODE: lambda p, at: setattr(motion, "fresh_mode", int(p[0] != 0)),
            Command.SEND_ANGLE: lambda p, at: self._one_angle(p[0], to_int16s(p[1:3])[0] / 100, p[3], at),
            Command.SEND_ANGLES: lambda p, at: motion.go(decode_angles(p[:12]), p[12], at),
            Command.SEND_COORD: lambda p, at: self._one_coord(p, at, increment=False),
            Command.SEND_COORDS: lambda p, at: motion.go_to_pose(decode_coords(p[:12]), p[12], at),
            Command.PAUSE: lambda p, at: motion.pause(at),
            Command.RESUME: lambda p, at: motion.resume(at),
            Command.STOP: lambda p, at: motion.stop(at),
            Command.JOG_ANGLE: lambda p, at: motion.jog(p[0], p[1], p[2], at),
            Command.JOG_COORD: lambda p, at: motion.jog_pose(p[0], p[1], p[2], at),
            Command.JOG_RPY: lambda p, at: motion.jog_pose(p[0], p[1], p[2], at, rpy=True),
            Command.JOG_INCREMENT: self._increment,
            Command.JOG_INCREMENT_COORD: lambda p, at: self._one_coord(p, at, increment=True),
            Command.SET_JOINT_MIN: lambda p, at: self._set_limit(motion.low, p),
            Command.SET_JOINT_MAX: lambda p, at: self._set_limit(motion.high, p),
        }

    def angles(self, at: float) -> list[float]:
        """The encoders' angles (degrees)."""
        return as_measured(self.motion.degrees(at))

    def _power(self, on: bool, at: float) -> None:
        if on != self.is_powered:
            self.is_powered = on
            self.servos.switch(range(6), on, at)

    def _get_coords(self, payload: bytes, at: float) -> bytes:
        """Of the flange as it is, or at the joint angles that are given."""
        return _pose(decode_angles(payload) if payload else self.angles(at))

    def _get_angles_coords(self, payload: bytes, at: float) -> bytes:
        angles = self.angles(at)
        return encode_angles(angles) + _pose(angles)

    def _is_in_position(self, payload: bytes, at: float) -> bytes:
        if payload[12]:
            off = decode_coords(payload[:12]) - kinematics.coords(np.radians(self.motion.degrees(at)))
            off[3:] = (off[3:] + 180) % 360 - 180
            return bytes([bool((np.abs(off) <= _COORDS_REACHED).all())])
        return bytes([self.motion.is_at(np.array(decode_angles(payload[:12])), at)])

    def _solve(self, payload: bytes, at: float) -> bytes:
        joints = self.motion.inverse(decode_coords(payload[:12]), np.array(decode_angles(payload[12:24])))
        return int16s(*_NO_JOINTS) if joints is None else encode_angles(joints)

    def _one_angle(self, joint: int, degrees: float, speed: int, at: float) -> bool:
        angles = self.motion.target.copy()
        angles[joint - 1] = degrees
        return self.motion.go(angles, speed, at)

    def _increment(self, payload: bytes, at: float) -> bool:
        joint, (hundredths,), speed = payload[0], to_int16s(payload[1:3]), payload[3]
        return self._one_angle(joint, self.motion.target[joint - 1] + hundredths / 100, speed, at)

    def _one_coord(self, payload: bytes, at: float, increment: bool) -> bool:
        axis, (number,), speed = payload[0], to_int16s(payload[1:3]), payload[3]
        coords = kinematics.coords(np.radians(self.motion.target))
        coords[axis - 1] = (coords[axis - 1] if increment else 0.0) + number / (10 if axis <= 3 else 100)
        return self.motion.go_to_pose(coords, speed, at)

    def _set_limit(self, limits: np.ndarray, payload: bytes) -> None:
        limits[payload[0] - 1] = to_int16s(payload[1:3])[0] / 10


def _pose(degrees: np.ndarray | list[float]) -> bytes:
    """Coordinates of the flange at joint angles (degrees), as the firmware computes it."""
    return encode_coords(kinematics.coords(np.radians(degrees)))


def serve_port(firmware: Firmware, delays: bool = True, tcp: tuple[str, int] | None = None) -> ServedPort:
    """Answer in threads until `close()`; `.port` is what clients open.

    Args:
        firmware: what answers.
        delays: whether replies take as long as the arm's do.
        tcp: host and port to listen on, 0 for any; None: a pseudo-terminal.
    """
    return ServedPort(firmware, PtyWire() if tcp is None else TcpWire(*tcp), delays)
