"""However the driving process ends, the arm is told to stop: by its own hand, or by the watchdog's."""

import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from emulated import START, emulated, eventually, make_guard
from repository import ROOT

from mycobot_scripts.wire.protocol import Command
from mycobot_scripts.wire.servo import Servo

DRIVER = """
    import os, signal, sys, time
    sys.path[:0] = [{root!r}, {tests!r}]
    {before}
    import numpy as np
    from emulated import START, make_guard
    from mycobot_scripts.robot.operator.keys import open_keys
    from mycobot_scripts.wire.servo import Servo
    with open_keys(), Servo({port!r}, make_guard()) as servo:
        servo.send(START + np.append(np.radians([15, 0, 0, 0, 0, 15]), 0))
        while not servo.is_up_to_date:
            time.sleep(0.01)
        os.write({ready}, b"%d" % servo._watchdog.process.pid)
        time.sleep(60)
"""


def drive(firmware, before="", **options):
    """A process that has told the arm to move, and the number of its watchdog."""
    read, write = os.pipe()
    facts = {"root": str(ROOT), "tests": str(ROOT / "tests"), "port": firmware.port, "ready": write}
    code = textwrap.dedent(DRIVER).format(before=before, **facts)
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[write], **options)
    os.close(write)
    number = os.read(read, 20)
    os.close(read)
    assert number, process.communicate()[1]
    return process, int(number)


def is_gone(number):
    """Whether a process is, or is but waited for."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def stops(firmware):
    return len(firmware.sent(Command.STOP))


def end(process):
    process.wait(30)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def test_a_driver_that_is_killed():
    with emulated() as firmware:
        process, watchdog = drive(firmware)
        assert stops(firmware) == 0 and not is_gone(watchdog)
        process.kill()
        assert eventually(lambda: stops(firmware) >= 2)
        end(process)
        assert eventually(lambda: is_gone(watchdog)), "no orphan stays"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_a_driver_that_is_told_to_end(number):
    with emulated() as firmware:
        process, watchdog = drive(firmware)
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
        if number != signal.SIGINT:
            assert process.returncode == 128 + number, said
        assert eventually(lambda: stops(firmware)) and is_gone(watchdog)
        assert stops(firmware) <= 3, "its own"


def test_signals_that_come_twice():
    """As from a shell and from the kernel, when a terminal is closed."""
    with emulated() as firmware:
        process, watchdog = drive(firmware)
        for _ in range(5):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.002)
        end(process)
        assert process.returncode == 128 + signal.SIGHUP
        assert eventually(lambda: stops(firmware)) and is_gone(watchdog)


def test_a_terminal_that_is_closed():
    person, terminal = pty.openpty()
    with emulated() as firmware:
        leads = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
        streams = {"stdin": terminal, "stdout": terminal, "stderr": subprocess.PIPE}
        process, watchdog = drive(firmware, leads, start_new_session=True, **streams)
        os.close(terminal)
        os.close(person)
        end(process)
        assert process.returncode == 128 + signal.SIGHUP
        assert eventually(lambda: stops(firmware)) and eventually(lambda: is_gone(watchdog))


def test_nohup_is_respected():
    with emulated() as firmware:
        process, watchdog = drive(firmware, "signal.signal(signal.SIGHUP, signal.SIG_IGN)")
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None and stops(firmware) == 0
        process.send_signal(signal.SIGTERM)
        end(process)
        assert process.returncode == 128 + signal.SIGTERM and is_gone(watchdog)


def test_a_watchdog_that_is_not_needed_sends_nothing():
    with emulated() as firmware:
        with Servo(firmware.port, make_guard()) as servo:
            servo.send(START)
            watchdog = servo._watchdog.process
            assert watchdog.poll() is None
        assert watchdog.returncode == 0
        assert eventually(lambda: stops(firmware))
        time.sleep(0.3)
        assert stops(firmware) <= 3, "its own"


def test_a_line_that_fails_is_left_to_the_watchdog(monkeypatch):
    with emulated() as firmware:
        servo = Servo(firmware.port, make_guard()).start()
        servo.send(START + np.append(np.radians([15, 0, 0, 0, 0, 0]), 0))
        assert eventually(lambda: servo.is_up_to_date)

        def fail(*_):
            raise OSError("the line is broken")

        monkeypatch.setattr(servo._arm.link, "_write", fail)
        assert eventually(lambda: servo.error is not None)
        servo.close()
        assert eventually(lambda: stops(firmware) >= 2)
