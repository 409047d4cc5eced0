"""An arm whose serial line comes over TCP: a twin without a pseudo-terminal, or on another computer."""

from __future__ import annotations

import socket
import threading
from typing import Any


def arm_over_tcp(port: str, timeout: float) -> Any:
    """pymycobot's arm on a line like `socket://127.0.0.1:9000`, which that opens serial ports only for.

    Args:
        port: the address, as pyserial takes it.
        timeout: s that one read waits.

    Raises:
        serial.SerialException: nobody listens there.
    """
    from pymycobot import MyCobot320
    from pymycobot.error import calibration_parameters
    from serial import serial_for_url

    class ArmOverTcp(MyCobot320):
        def __init__(self) -> None:
            super(MyCobot320, self).__init__()  # its own would open a serial port
            self.calibration_parameters = calibration_parameters
            self.thread_lock, self.lock = True, threading.Lock()
            self._serial_port = serial_for_url(port, timeout=timeout)

    arm = ArmOverTcp()
    arm._serial_port._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # frames are small
    return arm
