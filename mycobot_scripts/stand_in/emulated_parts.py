"""Parts of the emulated firmware: gripper, servos, and settings. Each says which commands it answers.

A read's answer is the payload of its reply; a write's is whether it was done (None means yes).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mycobot_scripts.stand_in.body import Body
from mycobot_scripts.stand_in.faults import Faults
from mycobot_scripts.stand_in.motion import START_UP, Mover
from mycobot_scripts.wire import ENCODER_ZERO, GRIPPER_UNREADABLE, Command, encoder_steps, int16s, to_int16s

Read = Callable[[bytes, float], bytes]  # payload, when (s)
Write = Callable[[bytes, float], bool | None]

CLAMPED = 0.03  # of its range: a gripper at rest this far from its target holds something
GRIPPER_AT_REST = 0.02  # ranges a second
TEMPERATURE, HOT = 38, 80  # degrees Celsius
VOLTAGE = 24.0
IDLE_CURRENT, CURRENT_PER_NM, OVERLOAD = 120.0, 90.0, 3000.0  # mA, mA/Nm, mA: plausible; the 320's is unknown
RELEASED = (10, 254)  # states in which a gripper's motor is off


class Gripper:
    """The adaptive gripper, through every command that drives it; not the five-fingered hand."""

    def __init__(self, body: Body, faults: Faults) -> None:
        self._body, self._faults = body, faults
        self._mode = 1 if faults.gripper_deaf else 0
        self._target, self._since = body.state(body.now()).gripper, -np.inf
        self._registers = {1: 10, 2: 0, 4: 14, 28: 200, 33: 50}  # pro gripper: versions, id, torque, speed
        self.writes: dict[Command, Write] = {
            Command.SET_GRIPPER_VALUE: lambda p, at: self._go(p[0], at),
            Command.SET_GRIPPER_STATE: self._set_state,
            Command.SET_ELECTRIC_GRIPPER: lambda p, at: self._go(0 if p[0] else 100, at),
            Command.INIT_ELECTRIC_GRIPPER: lambda p, at: None,
            Command.SET_GRIPPER_CALIBRATION: lambda p, at: None,
            Command.SET_GRIPPER_MODE: self._set_mode,
            Command.SET_PRO_GRIPPER: self._set_register,
        }
        self.reads: dict[Command, Read] = {
            Command.GET_GRIPPER_VALUE: lambda p, at: bytes([self.value(at)]),
            Command.IS_GRIPPER_MOVING: lambda p, at: bytes([self._is_moving(at)]),
            Command.GET_GRIPPER_MODE: lambda p, at: bytes([self._mode]),
            Command.GET_PRO_GRIPPER: self._get_register,
        }

    def value(self, at: float) -> int:
        """0 (closed) to 100 (open), or 255 if it cannot be read."""
        return GRIPPER_UNREADABLE if self._faults.gripper_255 else self._percent(at)

    def reset(self, at: float) -> None:
        """The body was put elsewhere."""
        self._target = self._body.state(at).gripper

    def _percent(self, at: float) -> int:
        return round(100 * float(np.clip(self._body.state(at).gripper, 0, 1)))

    def _go(self, value: int, at: float) -> bool:
        """Open to `value` of 100; if it is deaf, or the value impossible, it only reports success."""
        if self._mode == 0 and value <= 100:
            self._target, self._since = value / 100, at
            self._body.set_gripper(self._target, at)
        return True

    def _set_state(self, payload: bytes, at: float) -> bool:
        if payload[0] in RELEASED:
            return True
        return self._go(0 if payload[0] else 100, at)

    def _set_mode(self, payload: bytes, at: float) -> None:
        if payload[0] == 0:  # back to port mode only by a power cycle
            self._mode = 0

    def _is_moving(self, at: float) -> bool:
        is_starting = at - self._since < START_UP and abs(self._off(at)) > CLAMPED
        return is_starting or abs(self._body.state(at).gripper_velocity) > GRIPPER_AT_REST

    def _off(self, at: float) -> float:
        return self._body.state(at).gripper - self._target

    def _set_register(self, payload: bytes, at: float) -> bool:
        register, value = to_int16s(payload[1:5])
        if register in (11, 36):  # angle, absolute angle
            return self._go(value, at)
        if register in (37, 39):  # pause, stop
            self._body.set_gripper(self._body.state(at).gripper, at)
        elif register == 38:  # resume
            self._body.set_gripper(self._target, at)
        elif register in (3, 27, 32):  # id, torque, speed: read at the next address
            self._registers[register + 1] = value
        return True

    def _get_register(self, payload: bytes, at: float) -> bytes:
        (register,) = to_int16s(payload[1:3])
        value = -1 if register != 12 or self._faults.gripper_255 else self._percent(at)
        if register == 14:
            value = 0 if self._is_moving(at) else 2 if abs(self._off(at)) > CLAMPED else 1
        value = self._registers.get(register, value)
        return bytes([payload[0]]) + int16s(register, value)


class Servos:
    """The six joints' servos, and their registers (Feetech STS)."""

    def __init__(self, body: Body, motion: Mover, faults: Faults) -> None:
        self._body, self._motion, self._faults = body, motion, faults
        self._on = np.ones(6, bool)
        self._stored: dict[tuple[int, int], int] = {}
        self.writes: dict[Command, Write] = {
            Command.RELEASE_ALL_SERVOS: lambda p, at: self.switch(range(6), False, at),
            Command.RELEASE_SERVO: lambda p, at: self.switch(self._which(p[0]), False, at),
            Command.FOCUS_SERVO: lambda p, at: self.switch(self._which(p[0]), True, at),
            Command.JOINT_BRAKE: lambda p, at: self._motion.brake(self._joint(p[0]), at),
            Command.SET_SERVO_CALIBRATION: self._calibrate,
            Command.SET_SERVO_DATA: self._set_data,
            Command.SET_ENCODER: self._set_encoder,
            Command.SET_ENCODERS: lambda p, at: self._set_encoders(to_int16s(p[:12]), p[12], at),
            Command.SET_ENCODERS_DRAG: lambda p, at: self._set_encoders(to_int16s(p[:12]), 100, at),
            Command.SET_VOID_COMPENSATE: lambda p, at: None,
        }
        self.reads: dict[Command, Read] = {
            Command.IS_SERVO_ENABLE: lambda p, at: bytes([p[0], int(self._on[self._joint(p[0]) - 1])]),
            Command.IS_ALL_SERVO_ENABLE: lambda p, at: bytes([int(self._on.all())]),
            Command.GET_SERVO_DATA: self._get_data,
            Command.GET_ENCODER: lambda p, at: int16s(self._encoders(at)[p[0] - 1]),
            Command.GET_ENCODERS: lambda p, at: int16s(*self._encoders(at)[:6]),
            Command.GET_SERVO_SPEEDS: lambda p, at: int16s(*self._speeds(at)),
            Command.GET_SERVO_CURRENTS: lambda p, at: int16s(*self._currents(at)),
            Command.GET_SERVO_VOLTAGES: lambda p, at: bytes([round(VOLTAGE * 10)] * 6),
            Command.GET_SERVO_TEMPS: lambda p, at: bytes(self._temperatures()),
            Command.GET_SERVO_STATUS: lambda p, at: bytes(6),
            Command.GET_ROBOT_STATUS: lambda p, at: bytes(12),
            Command.READ_NEXT_ERROR: lambda p, at: bytes(7),
        }

    def switch(self, joints: range | list[int], on: bool, at: float) -> None:
        """Motors of joints (from 0) on or off. Those that are on already keep their target."""
        joints = [joint for joint in joints if self._on[joint] != on]
        self._on[joints] = on
        if joints:
            self._body.set_torque(joints, on, at)
            for joint in joints:
                self._motion.brake(joint + 1, at)

    def reset(self) -> None:
        """All motors are on."""
        self._on[:] = True

    @staticmethod
    def _joint(number: int) -> int:
        if not 1 <= number <= 6:
            raise ValueError(f"servo {number}; there are 1 to 6")
        return number

    def _which(self, number: int) -> list[int]:
        """Joints (from 0) of a servo's number; 0 stands for all."""
        return list(range(6)) if number == 0 else [self._joint(number) - 1]

    def _calibrate(self, payload: bytes, at: float) -> None:
        """Where a joint is now is its zero."""
        joint = self._joint(payload[0]) - 1
        angle = self._motion.degrees(at)[joint]
        self._motion.zero[joint] += angle
        self._motion.target[joint] -= angle

    def _encoders(self, at: float) -> list[int]:
        """Of the joints, and of the gripper."""
        joints = [ENCODER_ZERO + encoder_steps(angle) for angle in self._motion.degrees(at)]
        return [*joints, ENCODER_ZERO + round(self._body.state(at).gripper * 1000)]

    def _speeds(self, at: float) -> list[int]:
        """Encoder steps a second."""
        return [encoder_steps(speed) for speed in np.degrees(self._body.state(at).velocities)]

    def _currents(self, at: float) -> list[int]:
        """mA."""
        currents = IDLE_CURRENT * self._on + CURRENT_PER_NM * np.abs(self._body.state(at).torques)
        if self._faults.overload_joint:
            currents[self._faults.overload_joint - 1] = OVERLOAD
        return [int(current) for current in np.clip(currents, 0, 3250)]

    def _temperatures(self) -> list[int]:
        """Degrees Celsius."""
        temperatures = [TEMPERATURE] * 6
        if self._faults.hot_joint:
            temperatures[self._faults.hot_joint - 1] = HOT
        return temperatures

    def _set_encoder(self, payload: bytes, at: float) -> bool | None:
        number, (steps,) = payload[0], to_int16s(payload[1:3])
        if number == 7:
            self._body.set_gripper(float(np.clip((steps - ENCODER_ZERO) / 1000, 0, 1)), at)
            return True
        encoders = [ENCODER_ZERO + encoder_steps(angle) for angle in self._motion.target]
        encoders[self._joint(number) - 1] = steps
        return self._set_encoders(encoders, payload[3], at)

    def _set_encoders(self, encoders: tuple[int, ...] | list[int], speed: int, at: float) -> bool:
        return self._motion.go([(steps - ENCODER_ZERO) * 360 / 4096 for steps in encoders], speed, at)

    def _set_data(self, payload: bytes, at: float) -> None:
        number, register, values = payload[0], payload[1], payload[2:]
        if len(values) == 3:  # two bytes, and the mode that says so
            self._stored[number, register], self._stored[number, register + 1] = values[1], values[0]
        else:
            self._stored[number, register] = values[0]

    def _get_data(self, payload: bytes, at: float) -> bytes:
        number, register = payload[0], payload[1]
        low = self._register(number, register, at)
        if len(payload) > 2 and payload[2]:
            return bytes([self._register(number, register + 1, at), low])
        return bytes([low])

    def _register(self, number: int, register: int, at: float) -> int:
        """One byte of a servo's memory, as it is now."""
        joint = min(number, 6) - 1
        words = {56: lambda: self._encoders(at)[number - 1]}
        if number <= 6:
            words[58] = lambda: abs(self._speeds(at)[joint])
            words[69] = lambda: round(self._currents(at)[joint] / 6.5)  # of 6.5 mA
        if register in words or register - 1 in words:
            word = words[register if register in words else register - 1]() & 0xFFFF
            return word & 0xFF if register in words else word >> 8
        known = {
            5: number,
            40: int(self._on[joint]),
            62: round(VOLTAGE * 10),
            63: self._temperatures()[joint],
        }
        return self._stored.get((number, register), known.get(register, 0))


# Values that are read back as written: command to set, command to read, first value
_KEPT = (
    (Command.SET_TOOL_REFERENCE, Command.GET_TOOL_REFERENCE, bytes(12)),
    (Command.SET_WORLD_REFERENCE, Command.GET_WORLD_REFERENCE, bytes(12)),
    (Command.SET_REFERENCE_FRAME, Command.GET_REFERENCE_FRAME, bytes(1)),
    (Command.SET_MOVEMENT_TYPE, Command.GET_MOVEMENT_TYPE, bytes(1)),
    (Command.SET_END_TYPE, Command.GET_END_TYPE, bytes(1)),
)
_PINS = (
    (Command.SET_DIGITAL_OUTPUT, Command.GET_DIGITAL_INPUT),
    (Command.SET_BASIC_OUTPUT, Command.GET_BASIC_INPUT),
)
# tenths
VERSIONS = {Command.SOFTWARE_VERSION: 62, Command.GET_ATOM_VERSION: 65, Command.GET_BASIC_VERSION: 12}


class KeptValues:
    """What the firmware stores and reports: colour, pins, frames of reference, versions.

    Frames of reference are stored but have no effect: coordinates are always the flange's in the base frame.
    """

    def __init__(self) -> None:
        self.colour = (0, 0, 0)
        self.writes: dict[Command, Write] = {
            Command.SET_COLOR: self._set_colour,
            Command.SET_VISION_MODE: lambda p, at: None,
        }
        self.reads: dict[Command, Read] = {
            Command.GET_TOF_DISTANCE: lambda p, at: int16s(0),
            Command.GET_REBOOT_COUNT: lambda p, at: int16s(0),
        }
        for command, tenths in VERSIONS.items():
            self.reads[command] = lambda p, at, tenths=tenths: bytes([tenths])
        kept = {read: first for _, read, first in _KEPT}
        for write, read, _ in _KEPT:
            self.writes[write] = lambda p, at, read=read: kept.update({read: p})
            self.reads[read] = lambda p, at, read=read: kept[read]
        pins: dict[tuple[Command, int], int] = {}
        for write, read in _PINS:
            self.writes[write] = lambda p, at, read=read: pins.update({(read, p[0]): p[1]})
            self.reads[read] = lambda p, at, read=read: bytes([p[0], pins.get((read, p[0]), 0)])

    def _set_colour(self, payload: bytes, at: float) -> None:
        self.colour = tuple(payload[:3])
