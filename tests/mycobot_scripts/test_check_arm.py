"""Checks say what is wrong, and only that; calibration finds what is there."""

import contextlib
import itertools
import json
import os
import re
import struct
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from arm_rig import LIMITS, SERVO, SIZE, Person, make_rig
from emulated import emulated, make_guard, our_threads
from kinematic_body import KinematicBody
from test_calibration import POINT, touching

from constants import get_task
from mycobot_scripts import check_arm
from mycobot_scripts.check_arm import CheckArmConfig, Checker, connect, move, picking_pose
from mycobot_scripts.checks import arm_checks, camera_checks
from mycobot_scripts.checks.arm_checks import (
    check_firmware,
    check_gripper,
    check_health,
    check_limits,
    check_line,
    check_motion,
    read_gripper,
)
from mycobot_scripts.checks.calibrating import MENU, Calibration
from mycobot_scripts.checks.camera_checks import check_camera, check_same, check_visibility
from mycobot_scripts.checks.findings import Finding, summary
from mycobot_scripts.demos.waypoints import Motion
from mycobot_scripts.robot import session
from mycobot_scripts.robot.arm_file import DEFAULT_PATH, ArmFile
from mycobot_scripts.robot.cameras.camera import Camera
from mycobot_scripts.robot.session import RobotConfig, Setup
from mycobot_scripts.safety.limits import Limits
from mycobot_scripts.stand_in.faults import Faults
from mycobot_scripts.stand_in.firmware import Firmware, serve_port
from mycobot_scripts.wire.protocol import Command, encode_angles
from mycobot_scripts.wire.servo import Servo


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    for name, value in {"WAVE_TIME": 1.0, "PAUSE": 0.8, "STEPS": 1, "GRIPPER_TIME": 1.8}.items():
        monkeypatch.setattr(arm_checks, name, value)


def levels(findings) -> dict[str, str]:
    return {finding.what: finding.level for finding in findings}


def test_a_sound_arm_is_ok():
    with make_rig(Person()) as rig:
        servo = rig.session.servo
        found = [*check_firmware(servo), *check_limits(servo), *check_health(servo, LIMITS)]
        (line,) = check_line(servo, 1.0)
    assert {f.level for f in found} == {"ok"}, found
    told = {f.what: f for f in found}
    assert "-168 to 168" in told["joint limits"].text and "acknowledged" in told["commands"].text
    assert "0.0% lost" in line.text


class Saying:
    """A servo loop whose arm says the same to every question, or raises it."""

    stats = SimpleNamespace(acknowledged=True)

    def __init__(self, answer):
        self._answer = answer

    def ask(self, question):
        return question(self)

    def __getattr__(self, name):
        if isinstance(self._answer, Exception):
            raise self._answer
        return lambda *_, **__: self._answer


ODD = [
    *(None, 1, 2.5, -1, True, "x", "", b"\x01", [], [1], [1] * 5, [1] * 7, [[1, 2], 3, 4, 5, 6, 7], {"a": 1}),
    *([None] * 6, ["1"] * 6, [float("nan")] * 6, [float("inf")] * 6, float("nan"), 10**400, [10**400] * 6),
    *(TypeError("'int' object"), IndexError(), struct.error("unpack"), KeyError("x"), ZeroDivisionError()),
]  # fmt: skip


@pytest.mark.parametrize("answer", ODD)
def test_a_reply_of_any_kind_is_a_finding_and_the_other_checks_go_on(answer):
    servo = Saying(answer)
    found = [*check_firmware(servo), *check_limits(servo), *check_health(servo, LIMITS)]
    names = [finding.what for finding in found]
    assert names[:5] == ["firmware", "power", "servos", "error state", "commands"]
    assert names[5:8] == ["joint limits", "temperatures", "currents"]
    told = levels(found)
    assert told["temperatures"] != "ok" and told["currents"] != "ok"
    if answer not in (None, -1, 1):
        assert told["power"] == told["servos"] == "bad"
    assert all("\n" not in finding.text and len(finding.text) < 300 for finding in found)
    assert read_gripper(servo) in (None, 1, 2)


def test_a_torn_reply_on_the_wire_is_one_finding(tmp_path):
    torn = {Command.GET_SERVO_VOLTAGES: b"\x01", Command.GET_JOINT_MIN_ANGLE: b"\x01\x00"}
    with emulated() as firmware:
        firmware.alter = {command: lambda _, reply=reply: reply for command, reply in torn.items()}
        servo = Servo(firmware.port, make_guard(), SERVO).start()
        checker = Checker()
        for check in (check_firmware, check_limits, lambda servo: check_health(servo, LIMITS)):
            assert checker.attempt("arm", lambda check=check: check(servo))
        servo.close()
    told = levels(checker.findings)
    assert told["voltages"] == told["joint limits"] == "look"
    assert {told[name] for name in ("firmware", "power", "servos", "temperatures", "currents")} == {"ok"}


def angles_reply(*degrees):
    return encode_angles(degrees)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (None, "nothing answers on .*Transponder"),
        (angles_reply(300, 0, 0, 0, 0, 0), "answers with angles of 300 0 0 0 0 0 degrees.*Atom firmware"),
        (angles_reply(1, 2, 3, 4, 5, 6, 7), "answers with 7 angles, where it has 6 joints"),
        (angles_reply(1, 2), "answers with 2 angles"),
        (b"\x01", "answers with 1 bytes, which are no angles"),
        (b"", "answers with 0 angles"),
    ],
)
def test_an_arm_that_answers_nonsense_is_told_from_one_that_is_silent(reply, why):
    with emulated() as firmware:
        firmware.alter[Command.GET_ANGLES] = lambda _: reply
        checker = Checker()
        assert connect(firmware.port, make_guard(), Setup(None, LIMITS, SERVO, None, None), checker) is None
    (found,) = checker.findings
    assert found.level == "bad" and re.search(why, f"{found.text}; {found.advice}")


@pytest.mark.parametrize(
    ("degrees", "level"),
    [((10, 20, 30, 0, -80, 180.08), "ok"), ((180.08,) * 6, "bad"), ((0, 0, -146.5, 0, 0, 0), "bad")],
)
def test_angles_beyond_the_joints_limits_are_bad_and_nothing_moves(degrees, level):
    with emulated() as firmware:
        firmware.alter[Command.GET_ANGLES] = lambda _: angles_reply(*degrees)
        checker = Checker()
        servo = connect(firmware.port, make_guard(), Setup(None, LIMITS, SERVO, None, None), checker)
        servo.close()
    (found,) = checker.findings
    assert found.level == level and checker.may_move == (level == "ok")
    assert ("Atom firmware" in found.advice) == (level == "bad")


def test_no_script_drives_an_arm_that_cannot_be_where_it_says():
    with emulated() as firmware:
        firmware.alter[Command.GET_ANGLES] = lambda _: angles_reply(*[180.08] * 6)
        config = RobotConfig(port=firmware.port, cameras="top=x,right_wrist=y")
        setup = Setup(config, LIMITS, SERVO, ArmFile(), None)
        with pytest.raises(RuntimeError, match="joint 1 turns 168 degrees at most.*Atom firmware"):  # noqa: SIM117
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(session, "open_cameras", lambda sources: {})
                with session.open_session(setup, get_task("mycobot320_move_cube"), Person()):
                    pass
        assert firmware.sent(Command.SEND_ANGLES) == []
    assert our_threads() == []


def test_on_the_twin_the_advice_is_about_the_computer(tmp_path, capsys):
    slow = Finding("line", "look", "5.0 readings a second", "try another USB cable and port")
    with Camera("top", "x", size=SIZE, opener=lambda *_: Scene(lambda t: noisy(120, t), 4)) as camera:
        found = [slow, *check_camera(camera, 10, tmp_path, seconds=1.0)]
    for is_twin in (False, True):
        Checker(is_twin).add(found)
        said = capsys.readouterr().out
        assert ("USB" in said) != is_twin and ("this computer is too busy" in said) == is_twin
    (table,) = check_arm.check_table(
        Setup(RobotConfig(robot="twin"), Limits(), SERVO, ArmFile(), None),
        picking_pose(Motion.load("pickandmove")),
    )
    assert table.level == "ok", "the defaults are the twin's own"


def test_a_check_that_fails_in_any_way_is_a_finding():
    checker = Checker()

    def failing(error):
        yield Finding("first", "ok", "done")
        raise error

    for error in (
        TypeError("'int' object is not iterable"),
        IndexError(),
        RuntimeError("the line"),
        ValueError(),
    ):
        assert not checker.attempt("what", lambda error=error: failing(error))
    texts = [finding.text for finding in checker.findings if finding.level == "bad"]
    assert texts == ["TypeError: 'int' object is not iterable", "IndexError: ", "the line", "ValueError: "]


def test_what_is_wrong_is_said():
    with make_rig(Person(), faults=Faults(hot_joint=2, gripper_255=True)) as rig:
        hot = levels(check_health(rig.session.servo, LIMITS))
        assert hot["temperatures"] == "bad" and hot["currents"] == "ok"
    with make_rig(Person(), faults=Faults(gripper_255=True)) as rig:
        assert not rig.session.robot.reset().last()
        (found,) = [f for f in check_gripper(rig.session.robot) if f.what == "gripper"]
        assert found.level == "look" and "cannot be read" in found.text and "last command" in found.advice


def test_a_joint_that_does_not_move_is_noticed(monkeypatch):
    monkeypatch.setattr(arm_checks, "PATIENCE", 0.6)
    with make_rig(Person(), faults=Faults(stuck_joint=6)) as rig:
        robot = rig.session.robot
        assert not robot.reset(start=rig.session.servo.latest.qpos).last()
        found = levels(check_motion(robot))
    assert found["motion"] == "bad"


def test_lost_replies_are_counted():
    with make_rig(Person(), faults=Faults(lose_replies=0.2)) as rig:
        (found,) = check_line(rig.session.servo, 2.0)
    assert found.level == "look" and float(found.text.split(", ")[-1].split("%")[0]) > 5


class Scene:
    """A camera whose picture depends on what is asked for."""

    def __init__(self, look, fps: float = 30.0) -> None:
        self._look, self._period, self._count = look, 1 / fps, itertools.count()
        self.locked = {"exposure": True, "focus": False}

    def read(self) -> np.ndarray:
        time.sleep(self._period)
        return self._look(next(self._count))

    def close(self) -> None:
        pass


def noisy(mean: float, t: int) -> np.ndarray:
    rng = np.random.default_rng(t)
    return np.clip(mean + rng.normal(0, 3, (*SIZE, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("look", "fps", "wrong"),
    [
        (lambda t: noisy(120, t), 30, {}),
        (lambda t: noisy(120, 0), 30, {"camera top: live": "bad"}),
        (lambda t: noisy(10, t), 30, {"camera top: exposure": "look"}),
        (lambda t: noisy(100 + 3 * (t % 10), t), 30, {"camera top: light": "look"}),
        (lambda t: noisy(120, t), 4, {"camera top": "bad"}),
    ],
    ids=["sound", "frozen", "dark", "exposes itself", "slow"],
)
def test_cameras(tmp_path, look, fps, wrong):
    with Camera("top", "0", size=SIZE, opener=lambda *_: Scene(look, fps)) as camera:
        found = levels(check_camera(camera, 10, tmp_path, seconds=1.5))
    assert found.pop("camera top: auto") == "look"  # the focus that could not be locked
    found.pop("camera top: name", None)
    assert {what: level for what, level in found.items() if level != "ok"} == wrong
    assert (tmp_path / "top.png").read_bytes().startswith(b"\x89PNG")


def test_a_twins_pictures_have_no_noise(tmp_path):
    with Camera("top", "0", size=SIZE, opener=lambda *_: Scene(lambda t: noisy(120, 0))) as camera:
        assert "camera top: live" not in levels(
            check_camera(camera, 10, tmp_path, has_noise=False, seconds=1.0)
        )


def test_the_size_that_a_camera_gives_is_told(tmp_path):
    wide = lambda t: np.repeat(noisy(120, t), 2, axis=1)  # noqa: E731
    with Camera("top", "x", size=SIZE, opener=lambda *_: Scene(wide)) as camera:
        found = {f.what: f for f in check_camera(camera, 10, tmp_path, seconds=1.0)}
    height, width = SIZE
    assert f"{2 * width}x{height}, squashed to {width}x{height}" in found["camera top"].text
    assert (
        found["camera top: shape"].level == "look"
        and f"{width}x{height}" in found["camera top: shape"].advice
    )


def test_one_camera_for_two_names_is_a_finding():
    def opened(name, source, seed):
        return Camera(name, source, size=SIZE, opener=lambda *_: Scene(lambda t: noisy(120, seed + t)))

    with opened("top", "x", 0) as top, opened("wrist", "y", 0) as wrist, opened("other", "z", 10**6) as other:
        deadline = time.monotonic() + 60
        while min(camera.count for camera in (top, wrist, other)) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        (found,) = check_same({"top": top, "wrist": wrist, "other": other})
        assert found.level == "bad" and "top and wrist give the same pictures" in found.text
        top.source = wrist.source = "http://me:hush@cam/"
        assert not list(check_same({"top": top, "wrist": wrist})), "its source has told it already"


def test_sources_that_are_the_same_are_a_finding_without_their_password(monkeypatch):
    checker, task = Checker(), get_task("mycobot320_move_cube")
    monkeypatch.setattr(check_arm.Camera, "wait", lambda self: self)
    with contextlib.ExitStack() as stack:
        sources = {"top": "http://me:hush@127.0.0.1:9/a", "right_wrist": "http://me:hush@localhost:9/a"}
        check_arm.connect_cameras(sources, task, checker, stack)
    (found,) = checker.findings
    assert found.level == "bad" and "top and right_wrist are the same camera" in found.text
    assert "hush" not in found.line()


@pytest.mark.parametrize("seen", [True, False])
def test_whether_a_camera_sees_the_gripper(tmp_path, seen):
    with make_rig(Person()) as rig:
        body = rig.body

        def look(t: int) -> np.ndarray:
            picture = noisy(120, t)
            if seen and body.state(body.now()).gripper > 0.6:
                picture[10:30, 10:40] = 20
            return picture

        with Camera("top", "0", size=SIZE, opener=lambda *_: Scene(look)) as camera:
            assert not rig.session.robot.reset().last()
            found = {f.what: f for f in check_visibility(rig.session.robot, {"top": camera}, tmp_path)}
    assert found["gripper in top"].level == ("ok" if seen else "look")
    assert found["gripper visible"].level == ("ok" if seen else "bad")
    assert ("no camera sees the gripper where it picks" in found["gripper visible"].advice) != seen
    assert (tmp_path / "gripper_top.png").exists()


def test_all_that_moves(tmp_path, monkeypatch):
    """To the start pose, to where it picks and back; a stop ends it, and is a finding."""
    monkeypatch.setattr(camera_checks, "PATIENCE", 1.0)
    pick = picking_pose(Motion.load("pickandmove"))
    np.testing.assert_allclose(np.degrees(pick[:2]), [-3.95, 66.53], atol=1e-6)
    person = Person()
    with make_rig(person) as rig:
        checker, session = Checker(), rig.session
        move(session.robot, pick, session.robot.cameras, tmp_path, checker)
        told = {f.what: f for f in checker.findings}
        assert told["gripper"].level == "ok" and told["gripper"].text.startswith("reads ")
        lag = float(told["lag"].text.split("after ")[1].split(" s")[0])
        assert lag > 0.2  # this body's delay is 0.205 s
        assert [f.what for f in checker.findings if f.level == "bad"] == ["gripper visible"]  # it sees noise
        assert checker.findings[-1] == Finding("start pose", "ok", "reached")
        np.testing.assert_allclose(np.degrees(rig.joints()), ArmFile().home_degrees, atol=4)
        person.press = lambda: ["q"]
        checker = Checker()
        move(session.robot, pick, session.robot.cameras, tmp_path, checker)
        assert [(f.what, f.level, f.text) for f in checker.findings] == [
            ("start pose", "bad", "q was pressed")
        ]


def test_the_script_without_cameras(tmp_path, monkeypatch, capsys):
    """The arm is there, cameras are not given: bad, and nothing moves."""
    body = KinematicBody()
    with serve_port(Firmware(body, Faults()), delays=False) as port, open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        before = body.state(body.now()).joints
        with pytest.raises(SystemExit) as ended:
            check_arm.main(["--port", port.port, "--still", "--output_dir", str(tmp_path / "out")])
        np.testing.assert_allclose(body.state(body.now()).joints, before, atol=1e-3)
    said = capsys.readouterr().out
    assert ended.value.code == 1
    assert "bad   cameras" in said and "not given: top, right_wrist" in said and "--cameras top=" in said
    assert "the arm holds its pose" in said and "1 bad" in said
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {"what", "level", "text", "advice"} == set(report[0])


def test_the_script_without_an_arm(tmp_path, monkeypatch, capsys):
    with open(os.devnull) as nothing, pytest.raises(SystemExit):
        monkeypatch.setattr(sys, "stdin", nothing)
        check_arm.main(["--port", str(tmp_path / "none"), "--output_dir", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert "bad   port" in said and "--port auto looks for the arm" in said
    assert summary([]) == "nothing bad, 0 to look at, 0 ok"


@pytest.mark.slow
def test_the_script_on_the_twin(tmp_path, monkeypatch, capsys):
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        check_arm.main(["--robot", "twin", "--yes", "--output_dir", str(tmp_path), "--stale", "20"])
    said = capsys.readouterr().out
    assert "gripper visible" in said and "by top, right_wrist" in said and "nothing bad" in said


# --- calibration


def guided(rig, poses, first: list[str], last: str = "enter"):
    """Keys of a person who leads the arm through poses (6,), capturing each."""
    moves = iter([*first, *itertools.chain.from_iterable((pose, "space") for pose in poses), last])

    def press() -> list[str]:
        if not rig.session.servo.released:
            return []
        wish = next(moves, None)
        if wish is None or isinstance(wish, str):
            return [wish] if wish else []
        rig.body.place(wish, rig.body.now())
        deadline = time.monotonic() + 60
        while np.abs(rig.session.servo.latest.qpos[:6] - wish).max() > 0.002:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return []

    return press


def test_tip_and_table_are_measured_and_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    person = Person("y")
    with make_rig(person, faults=Faults(gripper_deaf=True)) as rig:
        assert rig.session.servo.ask(lambda arm: arm.get_gripper_mode()) == 1
        work = Calibration(rig.session.servo, rig.session.operator, ArmFile())
        turns = [(0, 0, 0), (25, 0, 0), (-25, 0, 0), (0, 15, 0), (-35, 0, 0)]
        person.press = guided(rig, touching(POINT, 0.165, turns), ["c"])
        work.tip()
        assert work.arm.tool_length_m == pytest.approx(0.165, abs=0.004)  # angles are whole encoder steps
        height = -0.008
        places = [np.array([x, y, height]) for x, y in ((-0.26, -0.05), (-0.24, 0.0), (-0.25, -0.1))]
        poses = [touching(place, work.arm.tool_length_m, [(0, 0, 0)])[0] for place in places]
        person.answers, person.press = ["y"], guided(rig, poses, [])
        work.table()
        assert work.arm.table_height_m == pytest.approx(height, abs=0.002)
        person.answers, person.press = ["y"], guided(rig, [np.radians((1, 30, 40, 5, -85, 2))], [])
        work.home()
        np.testing.assert_allclose(work.arm.home_degrees, (1, 30, 40, 5, -85, 2), atol=0.1)
        person.answers = ["0"]
        work.gripper_mode()
        assert rig.session.servo.ask(lambda arm: arm.get_gripper_mode()) == work.arm.gripper_mode == 0
        assert not rig.session.servo.released
    assert "165 mm" in work.text() or "16" in work.text()
    work.arm.save()
    assert ArmFile.load(DEFAULT_PATH) == work.arm and work.arm.is_calibrated


def test_the_table_s_height_follows_a_tip_that_is_measured_later():
    person, height = Person("y"), -0.008
    with make_rig(person) as rig:
        work = Calibration(rig.session.servo, rig.session.operator, ArmFile())
        places = [np.array([x, y, height]) for x, y in ((-0.26, -0.05), (-0.24, 0.0), (-0.25, -0.1))]
        poses = [touching(place, 0.165, [(0, 0, 0)])[0] for place in places]
        person.press = guided(rig, poses, [])
        work.table()
        assert work.arm.table_height_m == pytest.approx(height + 0.165 - ArmFile().tool_length_m, abs=0.003)
        turns = [(0, 0, 0), (25, 0, 0), (-25, 0, 0), (0, 15, 0), (-35, 0, 0)]
        person.answers, person.press = ["y"], guided(rig, touching(POINT, 0.165, turns), [])
        work.tip()
        assert work.arm.table_height_m == pytest.approx(height, abs=0.005)


def test_touches_of_two_heights_are_taken_only_if_the_person_says_so():
    person = Person("y", "n")
    with make_rig(person) as rig:
        work = Calibration(rig.session.servo, rig.session.operator, ArmFile())
        places = [np.array([-0.25, y, z]) for y, z in ((-0.05, 0.0), (0.0, 0.02), (-0.1, 0.0))]
        poses = [touching(place, work.arm.tool_length_m, [(0, 0, 0)])[0] for place in places]
        person.press = guided(rig, poses, [])
        work.table()
        assert work.arm.table_height_m == 0 and "not sure" in person.questions[-1]


def test_what_cannot_be_taken_does_not_end_the_calibration(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    person = Person("h", "s")
    with make_rig(person) as rig:
        monkeypatch.setattr(Calibration, "home", lambda self: replace(self.arm, home_degrees=(169.0,) * 6))
        check_arm.calibrate(rig.session.servo, rig.session.operator, rig.session.setup, {"top": "1"})
    said = capsys.readouterr().out
    assert "not taken: home_degrees is" in said and "saved mycobot320.json" in said


def test_the_menu_saves_only_when_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    person = Person("g", "l", "q")
    with make_rig(person) as rig:
        check_arm.calibrate(rig.session.servo, rig.session.operator, rig.session.setup, {"top": "1"})
        assert not list(tmp_path.iterdir()) and person.questions[0] == MENU
        person.answers = ["s"]
        check_arm.calibrate(rig.session.servo, rig.session.operator, rig.session.setup, {"top": "1"})
        twin = replace(rig.session.setup, config=RobotConfig(robot="twin"))
        person.answers = ["s"]
        check_arm.calibrate(
            rig.session.servo, rig.session.operator, twin, {"top": "http://me:hush@127.0.0.1:1/top"}
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mycobot320.json", "mycobot320_twin.json"]
    assert ArmFile.load(DEFAULT_PATH).cameras == {"top": "1"}
    said = capsys.readouterr().out
    assert "saved mycobot320.json" in said and "cameras       top=http://me:***@127.0.0.1:1/top" in said
    assert "start pose" in said + MENU and "home" not in said + MENU, "one word for it"
    assert CheckArmConfig().output_dir == "check_arm"
