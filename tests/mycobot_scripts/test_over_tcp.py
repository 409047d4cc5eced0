"""The stand-in's port over TCP: for us, for pymycobot, one client after the other, and for the watchdog."""

import socket
import subprocess
import threading

import numpy as np
import pytest
import serial
from emulated import START, emulated, eventually, make_guard
from pymycobot import MyCobot320Socket
from test_watchdog import drive, is_gone, stops

from common import tcp_address
from mycobot_scripts import check_arm, twin
from mycobot_scripts.stand_in.faults import Faults
from mycobot_scripts.wire.link import Link
from mycobot_scripts.wire.protocol import Command
from mycobot_scripts.wire.servo import Servo

ANY = ("127.0.0.1", 0)


def test_the_servo_loop_drives_an_arm_over_tcp():
    with emulated(tcp=ANY) as firmware:
        assert firmware.port.startswith("socket://127.0.0.1:")
        goal = START + np.append(np.radians([5, 0, 0, 0, 0, 5]), -0.2)
        with Servo(firmware.port, make_guard()) as servo:
            servo.send(goal)
            assert eventually(lambda: np.abs(servo.latest.qpos - goal)[:6].max() < 0.01, 60)
        assert stops(firmware) >= 1


def test_pymycobot_connects_too():
    with emulated(tcp=ANY) as firmware:
        arm = MyCobot320Socket(*tcp_address(firmware.port))
        assert np.allclose(np.radians(arm.get_angles()), START[:6], atol=0.002)
        assert arm.send_angles([0, 0, 0, 0, -90, 0], 50) == 1
        assert eventually(lambda: np.abs(np.array(arm.get_angles()) - [0, 0, 0, 0, -90, 0]).max() < 0.2)
        arm.sock.close()


def test_rare_questions_go_through_pymycobot():
    with emulated(tcp=ANY) as firmware:
        link = Link(firmware.port)
        assert link.lend(lambda arm: arm.is_power_on()) == 1
        assert len(link.lend(lambda arm: arm.get_angles())) == 6
        link.close()


def test_small_frames_are_sent_at_once():
    with emulated(tcp=ANY) as firmware:
        link = Link(firmware.port)
        nodelay = socket.IPPROTO_TCP, socket.TCP_NODELAY
        assert link._serial._socket.getsockopt(*nodelay)
        assert eventually(lambda: firmware.pty._wire._client)
        assert firmware.pty._wire._client.getsockopt(*nodelay)
        link.close()


def test_one_client_after_the_other():
    with emulated(tcp=ANY) as firmware:
        for _ in range(3):
            link = Link(firmware.port, window=2.0)
            assert link.ask(Command.GET_ANGLES)
            link.close()
        with socket.create_connection(tcp_address(firmware.port)) as first:
            assert eventually(lambda: firmware.pty._wire._client)
            first.close()
        link = Link(firmware.port, window=2.0)
        assert link.ask(Command.GET_ANGLES), "a client that went away without a word"
        link.close()


def test_a_second_driver_is_told_who_has_it(tmp_path, monkeypatch):
    with emulated(tcp=ANY) as firmware:
        link = Link(firmware.port)
        monkeypatch.chdir(tmp_path)  # an address is the same from every folder
        with pytest.raises(RuntimeError, match=f"has the arm, on {firmware.port}: process "):
            Link(firmware.port)
        link.close()


def test_a_driver_that_is_killed():
    with emulated(tcp=ANY) as firmware:
        process, watchdog = drive(firmware, stderr=subprocess.DEVNULL)
        process.kill()
        assert eventually(lambda: stops(firmware) >= 2, 30)
        process.communicate()
        assert eventually(lambda: is_gone(watchdog), 30)


def test_a_cable_that_is_pulled():
    with emulated(Faults(disconnect_after=0.3), tcp=ANY) as firmware:
        link = Link(firmware.port)
        with pytest.raises(OSError):  # noqa: PT011 (what pyserial says differs)
            eventually(lambda: link.ask(Command.GET_ANGLES) is None and False)
        link.close()
        with pytest.raises(RuntimeError, match="cannot be opened .* does a twin listen there"):
            Link(firmware.port)


def test_it_ends_with_its_threads():
    with emulated(tcp=ANY) as firmware:
        names = {thread.name for thread in threading.enumerate()}
        assert {"tcp receive", "tcp serve"} <= names
        port = firmware.port
    assert not {"tcp receive", "tcp serve"} & {thread.name for thread in threading.enumerate()}
    with pytest.raises(serial.SerialException):
        serial.serial_for_url(port)


def test_addresses():
    assert tcp_address("socket://127.0.0.1:9000") == ("127.0.0.1", 9000)
    assert (
        tcp_address("/dev/ttyACM0") is None and tcp_address("COM11") is None and tcp_address("auto") is None
    )


@pytest.mark.parametrize(
    "port", ["socket://robot", "socket://:9000", "socket://robot:70000", "tcp://robot:9000", "socket://a:1/b"]
)
def test_an_address_of_another_form_is_refused_before_anything_is_opened(port):
    with pytest.raises(ValueError, match=f"--port is '{port}'; .* socket://HOST:PORT"):
        check_arm.parse_flags(["--port", port])


@pytest.mark.parametrize("address", ["9000", ":9000", "robot:", "robot:x", "robot:70000"])
def test_a_twin_is_told_where_to_listen(address):
    config, _ = twin.parse_flags(["--tcp", address])
    with pytest.raises(ValueError, match="--tcp is .*; it must be HOST:PORT"):
        twin.check(config)


def test_a_twin_listens_where_it_is_told_and_without_pseudo_terminals_anyway(monkeypatch):
    flags = {(): None, ("--tcp",): ("127.0.0.1", 9000), ("--tcp", "0.0.0.0:0"): ("0.0.0.0", 0)}
    for words, address in flags.items():
        assert twin.tcp_of(twin.parse_flags(words)[0]) == address
    monkeypatch.delattr("os.openpty")
    assert twin.tcp_of(twin.parse_flags([])[0]) == ANY


def test_a_place_to_listen_that_is_taken_is_told():
    with emulated(tcp=ANY) as firmware:
        host, number = tcp_address(firmware.port)
        with pytest.raises(OSError, match=f"--tcp {host}:{number}: "), emulated(tcp=(host, number)):
            pass
