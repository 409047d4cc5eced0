"""The bus of Feetech's STS servos: bytes, and a port that reads where the servos are.

Protocol and registers: Feetech, "FT-SCS protocol" and the STS/SMS memory table (doc.feetech.cn); LeRobot's
`motors/feetech/tables.py` lists them too. A frame is FF FF, id, length, instruction or error, parameters,
checksum; numbers have their low byte first; the checksum inverts the sum of all between header and itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

BAUD = 1_000_000
STEPS = 4096  # of a turn
PING, READ, WRITE, SYNC_READ = 0x01, 0x02, 0x03, 0x82
EVERYBODY = 0xFE
MODEL, TORQUE_ENABLE, PRESENT_POSITION = 3, 40, 56  # registers
STS3215 = 777  # model number
SIGN = 0x8000  # of a position: a servo with a homing offset may stand below zero
LONGEST = 60  # bytes after the length that a servo sends, at most
ATTEMPTS = 4  # at a question that must be answered
WINDOW = 0.02  # s until all replies are there; six take less than a millisecond on the line
INSTALL = "the leader needs the package pyserial: pip install pyserial"


class Status(NamedTuple):
    """A servo's reply."""

    id: int
    error: int
    data: bytes


def checksum(body: bytes) -> int:
    """Of all bytes between the header and the checksum."""
    return ~sum(body) & 0xFF


def encode(id: int, instruction: int, parameters: bytes = b"") -> bytes:
    """A frame to a servo, or to `EVERYBODY`; a servo's reply has its error as `instruction`."""
    body = bytes([id, len(parameters) + 2, instruction]) + parameters
    return b"\xff\xff" + body + bytes([checksum(body)])


def decode_position(data: bytes) -> int:
    """Steps of a position's two bytes; below zero if its sign bit is set."""
    value = int.from_bytes(data, "little")
    return -(value & ~SIGN) if value & SIGN else value


def encode_position(steps: int) -> bytes:
    """The inverse of `decode_position`."""
    return (SIGN | -steps if steps < 0 else steps).to_bytes(2, "little")


class StatusParser:
    """Frames out of bytes as they come; what is torn or garbled is left out, and counted."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.corrupt = 0  # frames whose checksum was wrong

    def feed(self, data: bytes) -> list[Status]:
        """The frames that are whole now."""
        self._buffer += data
        frames: list[Status] = []
        while True:
            start = self._buffer.find(b"\xff\xff")
            if start < 0:
                del self._buffer[: max(0, len(self._buffer) - 1)]  # the last may begin a header
                return frames
            del self._buffer[:start]
            if len(self._buffer) < 4:
                return frames
            id, length = self._buffer[2], self._buffer[3]
            if id > EVERYBODY or not 2 <= length <= LONGEST:
                del self._buffer[0]  # no header of a frame
                continue
            if len(self._buffer) < length + 4:
                return frames
            body, check = bytes(self._buffer[2 : length + 3]), self._buffer[length + 3]
            if checksum(body) != check:
                self.corrupt += 1
                del self._buffer[0]  # a whole frame may begin inside a torn one
                continue
            frames.append(Status(id, body[2], body[3:]))
            del self._buffer[: length + 4]


class Bus:
    """An open bus: one request at a time, replies as they come.

    Args:
        port: a serial port, or `socket://HOST:PORT`, as pyserial takes it.

    Raises:
        RuntimeError: the port cannot be opened; one line.
    """

    def __init__(self, port: str) -> None:
        try:
            import serial
        except ImportError as error:
            raise ImportError(INSTALL) from error
        try:
            self._serial: Any = serial.serial_for_url(port, baudrate=BAUD, timeout=0.002, write_timeout=1.0)
        except (serial.SerialException, OSError, ValueError) as error:
            raise RuntimeError(f"--leader_port is {port!r}, which cannot be opened: {error}") from None
        self.port, self.lost, self.corrupt = port, 0, 0

    def ask(self, frame: bytes, ids: Sequence[int], window: float = WINDOW) -> dict[int, Status]:
        """Send a frame; returns the replies by id that come from `ids` in time (s). OSError if it fails."""
        self._serial.reset_input_buffer()
        self._serial.write(frame)
        parser, replies = StatusParser(), {}
        deadline = time.perf_counter() + window
        while len(replies) < len(ids) and (time.perf_counter() < deadline or self._serial.in_waiting):
            for status in parser.feed(self._serial.read(max(1, self._serial.in_waiting))):
                if status.id in ids:
                    replies[status.id] = status
        self.lost += len(ids) - len(replies)
        self.corrupt += parser.corrupt
        return replies

    def positions(self, ids: Sequence[int]) -> dict[int, int]:
        """Steps of all servos that answer, in one round (SYNC READ)."""
        frame = encode(EVERYBODY, SYNC_READ, bytes([PRESENT_POSITION, 2, *ids]))
        replies = self.ask(frame, ids)
        return {id: decode_position(reply.data) for id, reply in replies.items() if len(reply.data) == 2}

    def model(self, id: int) -> int | None:
        """A servo's model number; None if it does not answer."""
        reply = self._patiently(encode(id, READ, bytes([MODEL, 2])), id)
        return int.from_bytes(reply.data, "little") if reply and len(reply.data) == 2 else None

    def release(self, id: int) -> bool:
        """Switch a servo's torque off, so that a hand moves it; whether it said so."""
        return self._patiently(encode(id, WRITE, bytes([TORQUE_ENABLE, 0])), id) is not None

    def _patiently(self, frame: bytes, id: int) -> Status | None:
        """A servo's reply, asked for up to `ATTEMPTS` times; None if there is none."""
        for _ in range(ATTEMPTS):
            if reply := self.ask(frame, [id], window=0.1).get(id):
                return reply
        return None

    def close(self) -> None:
        self._serial.close()
