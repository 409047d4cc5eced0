"""The serial line to the arm: one request at a time, each with its reply or none.

pymycobot opens the port and asks the rare questions. The frequent ones bypass it: pymycobot 4 takes 0.5 s to
notice a lost reply and sends every command up to three times, so that a write takes 1.5 s on firmware that
does not acknowledge it.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from common import hold_name, tcp_address, who_opened
from mycobot_scripts.wire import clock
from mycobot_scripts.wire.over_tcp import arm_over_tcp
from mycobot_scripts.wire.protocol import Command, FrameParser, encode

BAUD = 115200
SERVICE = 0.03  # s that the arm works on a command; 28 to 30 ms on a real 320 (zoskek8)
_POLL = 0.02  # s that one read of the port waits
_PATIENCE = 4  # reply windows that a slow line gets
# what every firmware answers, and nobody else asks while the arm runs
_PROBES = (Command.IS_CONTROLLER_CONNECTED, Command.IS_PAUSED, Command.IS_MOVING, Command.IS_POWER_ON)
# vendor and product of CH9102, CH340, CH340K and CP2104
_USB = {(0x1A86, 0x55D4), (0x1A86, 0x7523), (0x1A86, 0x7522), (0x10C4, 0xEA60)}
_PI_UARTS = ("/dev/ttyAMA0", "/dev/ttyAMA1", "/dev/serial0")
_BUSY = "another program has the arm, on"
INSTALL = "the arm needs the packages pymycobot and pyserial: pip install pymycobot"


def find_port() -> str:
    """The serial port that an arm is on. RuntimeError, with what to do, if there is none or more than one."""
    try:
        from serial.tools import list_ports
    except ImportError as error:
        raise ImportError(INSTALL) from error
    ports = sorted(port.device for port in list_ports.comports() if (port.vid, port.pid) in _USB)
    if not ports and _is_raspberry_pi():
        ports = [path for path in _PI_UARTS if os.path.exists(path)][:1]
    if not ports:
        other_ports = sorted(port.device for port in list_ports.comports()) + sorted(
            glob.glob("/dev/ttyACM*")
        )
        hint = f"; other ports: {', '.join(dict.fromkeys(other_ports))}" if other_ports else ""
        raise RuntimeError(
            f"no serial port looks like a myCobot 320's; plug it in, switch it on, or name it by --port{hint}"
        )
    if len(ports) > 1:
        raise RuntimeError(f"there may be an arm on each of {', '.join(ports)}; choose one by --port")
    return ports[0]


def _is_raspberry_pi() -> bool:
    try:
        with open("/proc/device-tree/model", encoding="utf-8") as file:
            return "Raspberry Pi" in file.read()
    except OSError:
        return False


def _open(port: str) -> Any:
    """pymycobot's arm on a port; RuntimeError, with what to do, if the port cannot be opened."""
    try:
        from pymycobot import MyCobot320
        from serial import SerialException
    except ImportError as error:
        raise ImportError(INSTALL) from error
    try:
        arm = arm_over_tcp(port, _POLL) if tcp_address(port) else MyCobot320(port, BAUD, timeout=_POLL)
    except (SerialException, OSError, ValueError) as error:
        advice = "is it the right one, and free? --port auto looks for the arm"
        if isinstance(error, OSError) and "Permission" in str(error):
            advice = "sudo usermod -a -G dialout $USER, then log in again"
            if sys.platform == "win32":
                advice = "another program has it open"
        if tcp_address(port):
            advice = "does a twin listen there?"
        raise RuntimeError(f"port {port} cannot be opened ({error}); {advice}") from None
    try:
        arm._serial_port.exclusive = True  # towards programs that are not ours
    except (SerialException, OSError):
        arm._serial_port.close()
        raise RuntimeError(f"{_BUSY} {port}: {who_opened(port) or 'close it'}") from None
    return arm


class Link:
    """The arm's port. Not for two threads at once.

    Args:
        port: its name; `auto` finds it.
        window: how long to wait for a reply, s.
        gap: how long the line is quiet before a command that moves something, s.
        now: monotonic clock, s.
        sleep: waits so many seconds.
        arm: pymycobot's arm, if the port is already open.
    """

    def __init__(
        self,
        port: str,
        window: float = 0.1,
        gap: float = 0.02,
        now: Callable[[], float] = clock.now,
        sleep: Callable[[float], None] = clock.sleep,
        arm: Any = None,
    ) -> None:
        self.port = find_port() if port == "auto" else port
        self._held = contextlib.ExitStack()
        if arm is None:
            self._held.enter_context(hold_name(self.port, f"{_BUSY} {self.port}"))
            try:
                arm = _open(self.port)
            except BaseException:
                self._held.close()
                raise
        self.arm = arm  # for rare questions
        self._serial = self.arm._serial_port
        self._serial.write_timeout = 1.0
        self._window, self._gap, self.now, self._sleep = window, gap, now, sleep
        self._busy_until = now()  # when the last reply came, or a command without one is done
        self.latencies: deque[float] = deque(maxlen=50_000)  # s, of requests that were answered
        self.answered = self.lost = 0
        self._owed = False  # a reply did not come in time, and may still come
        self._probes = deque(_PROBES)

    def ask(self, command: Command, payload: bytes = b"") -> bytes | None:
        """Send a question; returns the payload of its reply, or None. OSError if the port fails.

        A late reply could pass for this one: after a missing reply the line is first brought back in step.
        """
        if self._owed and not self._is_in_step():
            return None
        return self.request(command, payload)

    def request(self, command: Command, payload: bytes = b"", window: float | None = None) -> bytes | None:
        """Send a command; returns the payload of its reply, or None if none comes within the window (s).

        OSError if the port fails.
        """
        began = self.now()
        self._write(command, payload)
        parser, deadline = FrameParser(), began + (self._window if window is None else window)
        while self.now() < deadline or self._serial.in_waiting:  # this thread may be late itself
            for frame in parser.feed(self._serial.read(max(1, self._serial.in_waiting))):
                if frame.command == command:
                    self._busy_until = self.now()
                    self.latencies.append(self._busy_until - began)
                    self.answered += 1
                    return frame.payload
        self._busy_until = self.now()
        self.lost += 1
        self._owed = True
        return None

    def _is_in_step(self) -> bool:
        """Bring questions and replies back in step; returns whether that worked.

        The arm answers in order: after the reply to a probe, no older reply is on its way. Each probe is a
        different question, so that a late reply to the last one cannot pass for it. A slow line gets time.
        """
        self._probes.rotate()
        if self.request(self._probes[0], window=_PATIENCE * self._window) is not None:
            self._owed = False
        return not self._owed

    def tell(self, command: Command, payload: bytes = b"") -> None:
        """Send a command that nobody acknowledges. OSError if the port fails."""
        self._write(command, payload)
        self._busy_until = self.now() + SERVICE

    def quiet(self) -> None:
        """Wait until the line has been quiet for the gap."""
        left = self._busy_until + self._gap - self.now()
        if left > 0:
            self._sleep(left)

    def _write(self, command: Command, payload: bytes) -> None:
        self._serial.reset_input_buffer()  # drops replies that came too late
        self._serial.write(encode(command, payload))
        self._serial.flush()

    def lend(self, question: Callable[[Any], Any]) -> Any:
        """Call `question` with pymycobot's arm; returns or raises what it does."""
        self.quiet()
        try:
            return question(self.arm)
        finally:
            self._busy_until = self.now()

    def latency(self) -> tuple[float, float]:
        """Median and 99th percentile of a round trip, s; NaN before the first."""
        if not self.latencies:
            return float("nan"), float("nan")
        median, slowest = np.percentile(list(self.latencies), [50, 99])
        return float(median), float(slowest)

    def close(self) -> None:
        self._serial.close()
        self._held.close()
