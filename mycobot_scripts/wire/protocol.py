"""The myCobot 320's serial protocol: frames of bytes and the numbers in them. Pure; no port, no clock.

A frame is `FE FE LEN CMD payload FA` with LEN = len(payload) + 2, and no checksum. Integers of two bytes are
big-endian and signed: angles in hundredths of a degree, lengths in tenths of a millimetre. Ids and formats
are pymycobot 4.0.7's (common.py, mycobot320.py).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

HEADER, FOOTER = 0xFE, 0xFA
MAX_LENGTH = 48  # of LEN; the longest that pymycobot sends to a 320 is 26
ENCODER_STEPS = 4096  # of a turn
ENCODER_ZERO = 2048
GRIPPER_UNREADABLE = 255  # the reply of a gripper that cannot be read


class Command(IntEnum):
    """What a frame asks for; its reply bears the same number."""

    SOFTWARE_VERSION = 0x02
    GET_ERROR_INFO = 0x07
    CLEAR_ERROR_INFO = 0x08
    GET_ATOM_VERSION = 0x09
    POWER_ON = 0x10
    POWER_OFF = 0x11
    IS_POWER_ON = 0x12
    RELEASE_ALL_SERVOS = 0x13
    IS_CONTROLLER_CONNECTED = 0x14
    READ_NEXT_ERROR = 0x15
    SET_FRESH_MODE = 0x16
    GET_FRESH_MODE = 0x17
    GET_ROBOT_STATUS = 0x19
    SET_VISION_MODE = 0x1D
    GET_ANGLES = 0x20
    SEND_ANGLE = 0x21
    SEND_ANGLES = 0x22
    GET_COORDS = 0x23
    SEND_COORD = 0x24
    SEND_COORDS = 0x25
    PAUSE = 0x26
    IS_PAUSED = 0x27
    RESUME = 0x28
    STOP = 0x29
    IS_IN_POSITION = 0x2A
    IS_MOVING = 0x2B
    JOG_ANGLE = 0x30
    JOG_RPY = 0x31
    JOG_COORD = 0x32
    JOG_INCREMENT = 0x33
    JOG_INCREMENT_COORD = 0x34
    SET_ENCODER = 0x3A
    GET_ENCODER = 0x3B
    SET_ENCODERS = 0x3C
    GET_ENCODERS = 0x3D
    SET_ENCODERS_DRAG = 0x3E
    GET_JOINT_MIN_ANGLE = 0x4A
    GET_JOINT_MAX_ANGLE = 0x4B
    SET_JOINT_MIN = 0x4C
    SET_JOINT_MAX = 0x4D
    IS_SERVO_ENABLE = 0x50
    IS_ALL_SERVO_ENABLE = 0x51
    SET_SERVO_DATA = 0x52
    GET_SERVO_DATA = 0x53
    SET_SERVO_CALIBRATION = 0x54
    JOINT_BRAKE = 0x55
    RELEASE_SERVO = 0x56
    FOCUS_SERVO = 0x57
    SET_DIGITAL_OUTPUT = 0x61
    GET_DIGITAL_INPUT = 0x62
    GET_GRIPPER_VALUE = 0x65
    SET_GRIPPER_STATE = 0x66
    SET_GRIPPER_VALUE = 0x67
    SET_GRIPPER_CALIBRATION = 0x68
    IS_GRIPPER_MOVING = 0x69
    SET_COLOR = 0x6A
    SET_ELECTRIC_GRIPPER = 0x6B
    INIT_ELECTRIC_GRIPPER = 0x6C
    SET_GRIPPER_MODE = 0x6D
    GET_GRIPPER_MODE = 0x6E
    SET_TOOL_REFERENCE = 0x81
    GET_TOOL_REFERENCE = 0x82
    SET_WORLD_REFERENCE = 0x83
    GET_WORLD_REFERENCE = 0x84
    SET_REFERENCE_FRAME = 0x85
    GET_REFERENCE_FRAME = 0x86
    SET_MOVEMENT_TYPE = 0x87
    GET_MOVEMENT_TYPE = 0x88
    SET_END_TYPE = 0x89
    GET_END_TYPE = 0x8A
    SOLVE_INV_KINEMATICS = 0x8D
    SET_BASIC_OUTPUT = 0xA0
    GET_BASIC_INPUT = 0xA1
    GET_TOF_DISTANCE = 0xC0
    GET_BASIC_VERSION = 0xC1
    GET_ANGLES_COORDS = 0xD5
    GET_REBOOT_COUNT = 0xD8
    GET_SERVO_SPEEDS = 0xE1
    GET_SERVO_CURRENTS = 0xE2
    GET_SERVO_VOLTAGES = 0xE3
    GET_SERVO_STATUS = 0xE4
    GET_SERVO_TEMPS = 0xE5
    SET_VOID_COMPENSATE = 0xE7
    SET_PRO_GRIPPER = 0xE8
    GET_PRO_GRIPPER = 0xE9
    GET_ANGLES_PLAN = 0xF6
    GET_COORDS_PLAN = 0xF7


@dataclass(frozen=True)
class Frame:
    """A frame's content."""

    command: int  # a `Command`, or an unknown number
    payload: bytes = b""

    def encode(self) -> bytes:
        """Its bytes on the wire."""
        return encode(self.command, self.payload)


def encode(command: int, payload: bytes = b"") -> bytes:
    """Bytes of a frame. ValueError for a payload that is too long."""
    if len(payload) + 2 > MAX_LENGTH:
        raise ValueError(f"payload has {len(payload)} bytes; a frame carries at most {MAX_LENGTH - 2}")
    return bytes([HEADER, HEADER, len(payload) + 2, command, *payload, FOOTER])


class FrameParser:
    """Finds frames in bytes that arrive in pieces, with noise and torn frames among them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_waiting(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with `data`."""
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def flush(self) -> list[Frame]:
        """Give up the unfinished frame; returns the whole frames among its bytes."""
        frames = []
        while self._buffer:
            del self._buffer[0]
            frames += self.feed(b"")
        return frames

    def _next(self) -> Frame | None:
        """Take one frame off the buffer, and the noise before it; None if more bytes are needed."""
        buffer = self._buffer
        while buffer:
            if buffer[0] != HEADER or (len(buffer) > 1 and buffer[1] != HEADER):
                del buffer[0]
                continue
            if len(buffer) < 3:
                return None
            length = buffer[2]
            if not 2 <= length <= MAX_LENGTH:
                del buffer[0]
                continue
            if len(buffer) < length + 3:
                return None
            if buffer[length + 2] != FOOTER:
                del buffer[0]
                continue
            frame = Frame(buffer[3], bytes(buffer[4 : length + 2]))
            del buffer[: length + 3]
            return frame
        return None


def int16s(*values: int) -> bytes:
    """Two bytes for each of `values`; ValueError for one that needs more."""
    try:
        return struct.pack(f">{len(values)}h", *values)
    except struct.error as error:
        raise ValueError(f"{values} do not fit into two bytes each ({error})") from None


def to_int16s(payload: bytes) -> tuple[int, ...]:
    """The numbers that `int16s` packed; ValueError for an odd number of bytes."""
    if len(payload) % 2:
        raise ValueError(f"payload has {len(payload)} bytes; it must be two for each number")
    return struct.unpack(f">{len(payload) // 2}h", payload)


def encode_angles(degrees: Sequence[float]) -> bytes:
    """Two bytes for each angle: hundredths of a degree, truncated toward zero as pymycobot does."""
    return int16s(*(int(angle * 100) for angle in degrees))


def decode_angles(payload: bytes) -> list[float]:
    """Angles (degrees) of a payload."""
    return [number / 100 for number in to_int16s(payload)]


def encode_coords(coords: Sequence[float]) -> bytes:
    """A pose, x y z (mm) and rx ry rz (degrees), in twelve bytes."""
    return int16s(*(int(length * 10) for length in coords[:3])) + encode_angles(coords[3:])


def decode_coords(payload: bytes) -> list[float]:
    """A pose, x y z (mm) and rx ry rz (degrees), of twelve bytes."""
    return [number / 10 for number in to_int16s(payload[:6])] + decode_angles(payload[6:])


def encode_limit(joint: int, degrees: float) -> bytes:
    """A joint's number and its limit, in tenths of a degree."""
    return bytes([joint]) + int16s(round(degrees * 10))


def encoder_steps(degrees: float) -> int:
    """What the encoder of a joint reads: whole steps from the joint's zero, truncated toward it."""
    return int(degrees * ENCODER_STEPS / 360)


def as_measured(degrees: Sequence[float]) -> list[float]:
    """Angles as the arm reports them: in 12 bits, then two decimals, both truncated toward zero."""
    return [int(encoder_steps(angle) * 36000 / ENCODER_STEPS) / 100 for angle in degrees]
