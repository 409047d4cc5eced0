"""Stops the arm when the process that drives it dies, however it dies: `kill -9`, out of memory, a crash.

A small process of its own, which no Ctrl-C and no closed terminal reaches, waits at a pipe that only the
driver holds. If the pipe ends without a goodbye, it opens the port, which is free by then, and sends STOP.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

BAUD = 115200
TIMES, PAUSE = 4, 0.08  # times that STOP is sent, and s between: the first may complete a torn frame
LOOK = 0.25  # s between checks that the driver is still the parent: another process may hold its pipe
GOODBYE = b"."
PATIENCE = 5.0  # s
ALONE = (  # options of a process that no Ctrl-C and no closed terminal reaches
    {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    if sys.platform == "win32"
    else {"start_new_session": True}
)


class Watchdog:
    """The driver's side.

    Args:
        port: of the arm.
        stop: the bytes to send.
    """

    def __init__(self, port: str, stop: bytes) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), port, stop.hex()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **ALONE,
        )

    def close(self, is_stopped: bool = True) -> None:
        """Call this once the port is closed; it stops the arm, if possible, unless that is done."""
        try:
            if is_stopped:
                self.process.stdin.write(GOODBYE)
            self.process.stdin.close()
            self.process.wait(PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def is_orphaned(parent: int) -> bool:
    """Wait at standard input; returns whether it ended without a goodbye, or `parent` is gone."""
    if sys.platform == "win32":  # select takes sockets only
        return os.read(0, 1) != GOODBYE
    while not select.select([0], [], [], LOOK)[0]:
        if os.getppid() != parent:
            return True
    return os.read(0, 1) != GOODBYE


def stop(port: str, frame: bytes) -> None:
    """Send the bytes of STOP a few times. OSError if the port is gone, or another program has it."""
    import serial

    line = serial.serial_for_url(port, BAUD, do_not_open=True, timeout=PAUSE, write_timeout=1.0)
    line.rts = False  # as pymycobot opens it: raising RTS restarts the Basic
    if sys.platform != "win32":
        line.exclusive = True
    with line:
        for _ in range(TIMES):
            line.write(frame)
            line.flush()
            time.sleep(PAUSE)


def main() -> None:
    del sys.path[0]  # this folder: nothing here imports its modules
    parent = os.getppid()
    for name in ("SIGINT", "SIGHUP", "SIGQUIT", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    port, frame = sys.argv[1], bytes.fromhex(sys.argv[2])
    if is_orphaned(parent):
        stop(port, frame)


if __name__ == "__main__":
    main()
