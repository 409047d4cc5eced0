"""The servo loop against the emulated arm: what goes over the wire, what comes back, and how it all ends."""

import itertools
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from emulated import MOVES, START, emulated, eventually, make_guard, our_threads

from constants import MYCOBOT
from mycobot_scripts.safety.limits import SafetyStop
from mycobot_scripts.stand_in.faults import Faults
from mycobot_scripts.wire import link as link_module
from mycobot_scripts.wire.arm import ServoConfig
from mycobot_scripts.wire.link import Link, find_port
from mycobot_scripts.wire.protocol import Command, encode_angles, int16s, to_int16s
from mycobot_scripts.wire.servo import Servo

HOME = bytes.fromhex("fecd0d0b0cce02b6dd7fff62")  # as pymycobot sends it
FAST = {"command_gap": 0.0, "gripper_period": 0.0, "state_period": 5.0, "health_period": 1000.0}


def make_servo(firmware, guard=None, **config):
    return Servo(firmware.port, guard or make_guard(), ServoConfig(**{**FAST, **config}))


def turned(degrees, joint=0):
    target = START.copy()
    target[joint] += np.radians(degrees)
    return target


def stream(servo, targets, period=0.1):
    """Send targets on a grid of time; how far each was from the grid does not matter."""
    began = time.monotonic()
    for n, target in enumerate(targets, start=1):
        servo.send(target)
        time.sleep(max(0.0, began + n * period - time.monotonic()))


# --- commands


def test_a_target_goes_out_in_the_arms_own_bytes():
    with emulated() as firmware, make_servo(firmware) as servo:
        servo.send(START)
        assert eventually(lambda: firmware.told_grippers())
        assert firmware.sent(Command.SEND_ANGLES)[0] == HOME + bytes([20])
        assert firmware.sent(Command.SET_GRIPPER_VALUE) == [bytes([70, 20, 1])]
        assert firmware.sent(Command.SET_FRESH_MODE) == [b"\x01"], "the latest target wins"
        assert np.array_equal(servo.latest.target, START)


def test_nothing_moves_before_the_first_command():
    with emulated() as firmware, make_servo(firmware) as servo:
        assert eventually(lambda: servo.stats.round_trips > 30)
        assert not [frame for _, frame in firmware.frames if frame.command in MOVES]
        assert np.degrees(np.abs(servo.latest.qpos - START)[:6].max()) < 0.1


def test_the_gripper_is_told_when_its_target_changed_and_not_otherwise():
    with emulated() as firmware, make_servo(firmware) as servo:
        for n in range(10):
            servo.send(turned(n))
            assert eventually(lambda n=n: servo.stats.arm_commands > n)
        assert eventually(lambda: firmware.told_grippers() == [70])
        servo.send(np.append(START[:6], 0.65))
        assert eventually(lambda: firmware.told_grippers() == [70, 65])


def test_the_newest_target_wins():
    with emulated(delays=True) as firmware, make_servo(firmware) as servo:
        for n in range(200):
            servo.send(turned(n / 20))
        assert eventually(lambda: np.array_equal(servo.latest.target, servo.guard.clamp(turned(9.95), START)))
        assert len(firmware.told_angles()) < 100


@pytest.mark.parametrize("acks", [True, False])
def test_commands_keep_their_distance(acks):
    """20 ms from the last reply to a command to arm or gripper; 50 from the last one that gets no reply."""
    with emulated(acks=acks, delays=True) as firmware:
        log = []
        with make_servo(firmware, command_gap=20.0) as servo:
            link = servo._arm.link
            write, request = link._write, link.request

            def noted_write(command, payload):
                log.append((time.monotonic(), command))
                write(command, payload)

            def noted_request(*args, **kwargs):
                reply = request(*args, **kwargs)
                log.append((time.monotonic(), "reply"))
                return reply

            link._write, link.request = noted_write, noted_request
            stream(servo, [np.append(turned(n / 5)[:6], 0.7 - n / 100) for n in range(25)])
    waits = [
        1000 * (at - before) - (20 if last == "reply" else 50)
        for (before, last), (at, what) in itertools.pairwise(log)
        if what in MOVES
    ]
    assert len(waits) > 20 and min(waits) > -0.01
    assert {command for _, command in log} >= set(MOVES)


@pytest.mark.parametrize("acks", [True, False])
def test_nothing_is_garbled_on_an_arm_that_needs_its_time(acks):
    with (
        emulated(Faults(corrupt_ms=15), acks, delays=True) as firmware,
        make_servo(firmware, command_gap=20.0) as servo,
    ):
        assert servo.stats.acknowledged == acks
        for n in range(20):
            stream(servo, [np.append(turned(n / 5)[:6], 0.7 - n / 100)])
            assert eventually(lambda n=n: servo.stats.arm_commands > n)
        assert eventually(lambda: servo.stats.gripper_commands == len(firmware.told_grippers()))
        angles = firmware.told_angles()
        assert np.abs(angles - np.degrees(START[:6]))[:, 1:].max() < 0.006, "none was made up"


def test_silent_firmware_is_found_out_and_nothing_is_awaited_from_it():
    with emulated(acks=False) as firmware, make_servo(firmware) as servo:
        assert not servo.stats.acknowledged and "writes silent" in servo.stats.text()
        lost = servo.stats.lost
        for n in range(20):
            servo.send(turned(n / 2))
            assert eventually(lambda n=n: servo.stats.arm_commands > n)
        assert servo.stats.lost == lost
        assert eventually(lambda: len(firmware.told_angles()) == 20), "each once, none again"


def test_acknowledgements_that_stop_coming_are_no_longer_awaited():
    with emulated() as firmware, make_servo(firmware) as servo:
        assert servo.stats.acknowledged
        firmware.alter = {command: lambda payload: None for command in MOVES}
        for n in range(12):
            servo.send(turned(n))
            time.sleep(0.02)
        assert eventually(lambda: not servo.stats.acknowledged)
        servo.send(turned(15))
        assert eventually(lambda: abs(firmware.told_angles()[-1, 0] - (-3.07 + 15)) < 0.01)


def test_a_command_whose_reply_is_lost_is_sent_again():
    with emulated() as firmware, make_servo(firmware) as servo:
        lost = iter([None])
        firmware.alter = {Command.SEND_ANGLES: lambda payload: next(lost, payload)}
        servo.send(turned(5))
        assert eventually(lambda: len(firmware.told_angles()) == 2)
        assert (np.diff(firmware.told_angles(), axis=0) == 0).all()


# --- readings


def test_the_state_is_what_the_arm_measures():
    with emulated() as firmware, make_servo(firmware, speed=60) as servo:
        for _ in range(6):
            servo.send(turned(20))
            time.sleep(0.05)
        assert eventually(lambda: abs(servo.latest.qpos[0] - turned(20)[0]) < np.radians(0.2))
        assert eventually(lambda: np.abs(servo.latest.qvel).max() < 1e-9)
        state = servo.latest
        assert state.qpos[6] == state.target[6] == 0.7 and time.monotonic() - state.time < 5


def test_velocities_are_the_joints_own():
    speeds = []

    def passed():
        servo.send(turned(60))
        turn = np.degrees((servo.latest.qpos - START)[0])
        if 10 < turn < 45:  # under way at full speed, however late the targets came
            speeds.append(np.degrees(servo.latest.qvel[0]))
        return turn > 45

    with emulated(delays=True) as firmware, make_servo(firmware, speed=8) as servo:
        assert eventually(passed)
    assert np.median(speeds) == pytest.approx(8 / 20 * np.degrees(MYCOBOT.max_speed), rel=0.3)


def test_a_gripper_that_was_moved_by_itself_is_told_its_next_target_again():
    """As when the arm is guided: closed at the last pose, and open at the first that is played."""
    with emulated() as firmware, make_servo(firmware, read_gripper=False) as servo:
        servo.send(START)
        assert eventually(lambda: firmware.told_grippers() == [70])
        servo.release()
        servo.grip(0.2)
        servo.focus()
        assert eventually(lambda: servo.latest.qpos[6] == pytest.approx(0.2))
        servo.send(START)
        assert eventually(lambda: firmware.told_grippers() == [70, 20, 30]), "a step on the way to 70"


@pytest.mark.parametrize(
    ("faults", "read_gripper", "seen"),
    [(Faults(), True, 0.7), (Faults(gripper_255=True), True, 0.65), (Faults(), False, 0.65)],
)
def test_a_gripper_that_cannot_be_read_reports_its_command(faults, read_gripper, seen):
    with emulated(faults) as firmware, make_servo(firmware, read_gripper=read_gripper) as servo:
        if read_gripper and not faults.gripper_255:  # it stays where it is
            firmware.alter = {Command.GET_GRIPPER_VALUE: lambda payload: b"\x46"}
        servo.send(np.append(START[:6], 0.65))
        assert eventually(lambda: firmware.told_grippers())
        before = servo.latest.time
        assert eventually(lambda: servo.latest.time > before + 0.02)
        assert servo.latest.qpos[6] == seen


@pytest.mark.parametrize(
    "nonsense",
    [
        encode_angles([250, 0, 0, 0, 0, 0]),
        encode_angles([100, 100, 100, 100, 100, 100]),  # elsewhere within a moment
        b"\xff",
        b"",
    ],
)
def test_readings_that_cannot_be_are_left_out(nonsense):
    with emulated() as firmware, make_servo(firmware) as servo:
        turn = itertools.count()
        firmware.alter = {Command.GET_ANGLES: lambda payload: nonsense if next(turn) % 5 == 0 else payload}
        seen = []
        assert eventually(lambda: seen.append(servo.latest.qpos) or servo.stats.rejected >= 3)
        assert np.degrees(np.abs(np.array(seen) - START)[:, :6].max()) < 0.1


def test_lost_replies_make_no_wrong_state_and_no_stop():
    guard = make_guard()
    with (
        emulated(Faults(lose_replies=0.05)) as firmware,
        make_servo(firmware, guard, reply_window=30.0) as servo,
    ):
        for n in range(150):
            servo.send(turned(8 * np.sin(n / 20)))
            time.sleep(0.01)
            assert np.abs(np.degrees(servo.latest.qpos - START))[1:6].max() < 0.1
            assert abs(np.degrees(servo.latest.qpos[0] - START[0])) < 8.5
        assert servo.stats.lost > 0 and servo.error is None


def test_late_replies_do_not_pile_up():
    """After replies that came too late the line is in step again, and no queue of commands has built up."""
    with emulated(Faults(late_share=0.1, late_ms=80, fault_seed=1), delays=True) as firmware:
        link = Link(firmware.port, window=0.06)
        for _ in range(40):
            link.ask(Command.GET_ANGLES)
        assert eventually(lambda: link.ask(Command.GET_ANGLES) is not None)
        served = firmware.pty.served
        time.sleep(0.3)
        assert firmware.pty.served <= served + 1 and link.lost > 0
        link.close()


@pytest.mark.parametrize(
    ("trips", "delays"),
    [
        (1500, False),
        pytest.param(50_000, False, marks=pytest.mark.slow),
        pytest.param(5_000, True, marks=pytest.mark.slow),
    ],
)
def test_no_wrong_value_is_accepted_where_replies_get_lost(trips, delays):
    """Each answer tells how many there were before: what is accepted must be the newest."""
    served = itertools.count(1)

    def numbered(payload):
        n = next(served)
        return int16s(n // 10_000, n % 10_000, 0, -2, 100, 0)

    with emulated(Faults(lose_replies=0.01, fault_seed=3), delays=delays) as firmware:
        firmware.alter = {Command.GET_ANGLES: numbered}
        link = Link(firmware.port, window=0.1 if delays else 0.02)
        write, asked, accepted, n = link._write, itertools.count(1), [], 0

        def counted(command, payload):
            nonlocal n
            n = next(asked) if command == Command.GET_ANGLES else n
            write(command, payload)

        link._write = counted
        for _ in range(trips):
            reply = link.ask(Command.GET_ANGLES)
            if reply is not None:
                high, low, *rest = to_int16s(reply)
                assert rest == [0, -2, 100, 0]
                accepted.append((n, high * 10_000 + low))
        link.close()
    wanted, got = np.array(accepted).T
    assert np.array_equal(wanted, got), "the n-th answer to the n-th question"
    assert link.lost > 0.001 * trips and len(accepted) > 0.8 * trips


def test_health_is_read_between_commands():
    faults = Faults(hot_joint=3, overload_joint=5)
    with emulated(faults) as firmware, make_servo(firmware, health_period=0.05) as servo:
        assert eventually(lambda: servo.temperatures and servo.currents)
        assert servo.temperatures == [38, 38, 80, 38, 38, 38] and servo.currents[4] == 3000


# --- stop, release, questions


def test_hold_stops_the_arm_where_it_is():
    with emulated() as firmware, make_servo(firmware, make_guard(max_step=160.0), speed=20) as servo:
        servo.send(turned(80))
        assert eventually(lambda: servo.latest.qpos[0] > START[0] + 0.1)
        servo.hold()
        where = servo.latest.qpos
        assert where[0] < START[0] + 1.3 and np.allclose(servo.latest.target[:6], where[:6], atol=1e-4)
        time.sleep(0.6)
        assert np.degrees(np.abs(servo.latest.qpos - where)[:6].max()) < 1
        assert len(firmware.told_angles()) == 1 and len(firmware.sent(Command.STOP)) == 1
        servo.send(servo.latest.target + np.radians([2, 0, 0, 0, 0, 0, 0]))
        assert eventually(lambda: servo.latest.qpos[0] > where[0] + np.radians(1.5)), "it goes on from there"


def test_a_stop_that_is_not_acknowledged_is_sent_again():
    with emulated() as firmware, make_servo(firmware, reply_window=50.0) as servo:
        lost = iter([None])
        firmware.alter = {Command.STOP: lambda payload: next(lost, payload)}
        servo.hold()
        assert len(firmware.sent(Command.STOP)) >= 2


def test_firmware_that_ignores_stop_is_told_to_stay():
    with emulated(acks=False) as firmware, make_servo(firmware, make_guard(max_step=160.0)) as servo:
        firmware._writes[Command.STOP] = lambda payload, at: True
        servo.send(turned(80))
        assert eventually(lambda: servo.latest.qpos[0] > START[0] + 0.1)
        servo.hold()
        assert eventually(lambda: len(firmware.told_angles()) == 2)
        assert eventually(
            lambda: np.allclose(servo.latest.qpos[:6], servo.latest.target[:6], atol=np.radians(1))
        )
        assert servo.latest.target[0] < START[0] + np.radians(78)


def test_a_released_arm_can_be_moved_and_then_holds():
    with emulated() as firmware, make_servo(firmware) as servo:
        servo.release()
        assert servo.released
        with pytest.raises(RuntimeError, match="the servos are released"):
            servo.send(START)
        moved = START[:6] + [0.4, -0.2, 0.2, 0.0, 0.4, 0.4]
        firmware.body.place(moved, firmware.body.now())
        assert eventually(lambda: np.allclose(servo.latest.qpos[:6], moved, atol=0.01))
        servo.focus()
        assert not servo.released and np.allclose(servo.latest.target[:6], moved, atol=0.01)
        servo.send(servo.latest.target + 0.05)
        assert eventually(lambda: servo.latest.qpos[0] > moved[0] + 0.03)
        assert np.abs(np.diff(firmware.told_angles(), axis=0)).max() < 4


def test_questions_are_answered_on_the_servo_thread():
    with emulated() as firmware, make_servo(firmware) as servo:
        assert servo.ask(lambda arm: arm.get_system_version()) == 6.2
        assert servo.ask(lambda arm: arm.get_servo_temps()) == [38] * 6
        with pytest.raises(ZeroDivisionError):
            servo.ask(lambda arm: 1 / 0)
        with pytest.raises(RuntimeError, match="the servo loop does not answer"):
            servo.ask(lambda arm: time.sleep(0.3), timeout=0.05)
        servo.send(turned(3))
        assert eventually(lambda: servo.stats.arm_commands == 1), "and the loop goes on"


@pytest.mark.parametrize("bad", [np.full(7, np.nan), np.zeros(6), np.append(np.zeros(6), np.inf)])
def test_what_is_no_target_is_refused_by_the_one_who_sends(bad):
    with emulated() as firmware, make_servo(firmware) as servo:
        with pytest.raises(SafetyStop, match="must be 7 finite numbers"):
            servo.send(bad)
        assert not len(firmware.told_angles())


# --- beginnings and ends


def test_power_is_switched_on():
    with emulated() as firmware:
        firmware.is_powered = False  # then it answers little else
        with make_servo(firmware) as servo:
            assert firmware.is_powered and firmware.sent(Command.POWER_ON) == [b""]
            assert np.degrees(np.abs(servo.latest.qpos - START)[:6].max()) < 0.1


def test_the_grippers_mode_is_set_if_one_is_given():
    with emulated(Faults(gripper_deaf=True)) as firmware:
        with make_servo(firmware, gripper_mode=0):
            assert firmware.sent(Command.SET_GRIPPER_MODE) == [b"\x00"]
        with make_servo(firmware):
            assert len(firmware.sent(Command.SET_GRIPPER_MODE)) == 1


def test_the_arm_is_left_holding_and_everything_is_closed():
    with emulated() as firmware:
        servo = make_servo(firmware).start()
        servo.send(turned(5))
        assert eventually(lambda: servo.stats.arm_commands)
        port = servo._arm.link._serial
        servo.close()
        servo.close()  # once is enough
        assert not port.is_open and our_threads() == []
        assert not firmware.sent(Command.RELEASE_ALL_SERVOS) and firmware.sent(Command.STOP)
        with pytest.raises(RuntimeError, match="not running"):
            servo.send(START)
        with make_servo(firmware):  # the port is free again
            pass


def test_release_on_closing_is_only_done_when_asked_for():
    with emulated() as firmware:
        make_servo(firmware).start().close(release=True)
        assert len(firmware.sent(Command.RELEASE_ALL_SERVOS)) == 1


def test_an_exception_closes_everything():
    with emulated() as firmware:
        with pytest.raises(KeyboardInterrupt), make_servo(firmware) as servo:
            port = servo._arm.link._serial
            raise KeyboardInterrupt
        assert not port.is_open and our_threads() == [] and firmware.sent(Command.STOP)


def test_a_pulled_cable_is_noticed():
    with emulated(Faults(disconnect_after=0.5)) as firmware:
        servo = make_servo(firmware).start()
        assert eventually(lambda: servo.error is not None)
        with pytest.raises(RuntimeError, match="the line to the arm has failed"):
            servo.send(START)
        with pytest.raises(RuntimeError, match="the line to the arm has failed"):
            servo.hold()
        port = servo._arm.link._serial
        servo.close()
        assert not port.is_open and our_threads() == []


def test_a_silent_port_is_no_arm():
    with emulated() as firmware:
        firmware.is_powered = False
        firmware._basic = set()
        servo = make_servo(firmware, reply_window=20.0)
        with pytest.raises(RuntimeError, match=f"nothing answers on {firmware.port}; is the arm on"):
            servo.start()
        assert our_threads() == []
        servo.close()


def test_a_port_that_is_none_says_so():
    with pytest.raises(RuntimeError, match="port /dev/nowhere cannot be opened .* --port auto"):
        Servo("/dev/nowhere", make_guard()).start()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"speed": 0}, "--speed is 0; it must be 1 to 100"),
        ({"command_gap": -1.0}, "--command_gap is -1.0"),
        ({"reply_window": 0.0}, "--reply_window is 0.0; it must be above 0"),
    ],
)
def test_flags_are_checked(flags, message):
    with pytest.raises(ValueError, match=message):
        ServoConfig(**flags)


# --- finding the port


def ports(monkeypatch, *found):
    listed = [SimpleNamespace(device=device, vid=vid, pid=pid) for device, vid, pid in found]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: listed)


def test_the_arm_is_found_by_its_usb_chip(monkeypatch):
    ports(monkeypatch, ("/dev/ttyS0", None, None), ("/dev/ttyACM0", 0x1A86, 0x55D4))
    assert find_port() == "/dev/ttyACM0"
    ports(monkeypatch, ("COM3", 0x046D, 0xC077), ("COM11", 0x10C4, 0xEA60))
    assert find_port() == "COM11"


def test_two_arms_or_none_are_told(monkeypatch):
    ports(monkeypatch, ("COM3", 0x1A86, 0x55D4), ("COM4", 0x1A86, 0x55D4))
    with pytest.raises(RuntimeError, match="COM3, COM4; choose one by --port"):
        find_port()
    ports(monkeypatch, ("/dev/ttyS0", None, None))
    monkeypatch.setattr(link_module, "_is_raspberry_pi", lambda: False)
    with pytest.raises(
        RuntimeError, match="no serial port looks like .* name it by --port; other ports: /dev/ttyS0"
    ):
        find_port()


def test_a_raspberry_pi_has_its_arm_on_the_uart(monkeypatch, tmp_path):
    uart = tmp_path / "ttyAMA0"
    uart.touch()
    ports(monkeypatch)
    monkeypatch.setattr(link_module, "_is_raspberry_pi", lambda: True)
    monkeypatch.setattr(link_module, "_PI_UARTS", (str(tmp_path / "none"), str(uart)))
    assert find_port() == str(uart)


# --- one at a time

OTHER = """
import serial, sys, time
port = serial.Serial(sys.argv[1], exclusive=True)
print(1, flush=True)
time.sleep(60)
"""


def test_the_second_driver_is_told_who_has_the_arm_and_writes_nothing():
    with emulated() as firmware:
        with make_servo(firmware) as servo:
            asked = servo.stats.round_trips
            with pytest.raises(
                RuntimeError, match=f"has the arm, on {firmware.port}: process {os.getpid()}, "
            ):
                make_servo(firmware).start()
            assert eventually(lambda: servo.stats.round_trips > asked + 5) and servo.error is None
            assert servo.stats.lost == 0, "the first was not disturbed"
        with make_servo(firmware) as servo:
            assert eventually(lambda: servo.stats.round_trips > 3), "free again"


@pytest.mark.skipif(sys.platform == "win32", reason="ports of Windows are one program's anyway")
def test_a_program_that_is_not_ours_has_the_arm_too():
    with (
        emulated() as firmware,
        subprocess.Popen([sys.executable, "-c", OTHER, firmware.port], stdout=subprocess.PIPE) as other,
    ):
        other.stdout.readline()
        with pytest.raises(RuntimeError, match="another program has the arm, on .*: process") as caught:
            make_servo(firmware).start()
        if sys.platform == "linux":
            assert f"process {other.pid}, " in str(caught.value)
        assert firmware.frames == []
        other.kill()
        other.wait()
        with make_servo(firmware) as servo:
            assert eventually(lambda: servo.stats.round_trips > 3)
