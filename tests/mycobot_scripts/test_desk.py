"""The desk: who has the control, what stops the arm, what pages are asked and told."""

import contextlib
import json
import os
import re
import stat
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus

import numpy as np
import pytest
from arm_rig import LIMITS, SERVO, make_rig
from emulated import emulated

from mycobot_scripts.checks.calibrating import MENU
from mycobot_scripts.demos.demonstrate import Guiding
from mycobot_scripts.demos.driving import Driver
from mycobot_scripts.demos.recorder import ANSWERS
from mycobot_scripts.desk import desk as desk_module
from mycobot_scripts.desk.control import Beat, Control, as_beat
from mycobot_scripts.desk.desk import Desk
from mycobot_scripts.desk.opening import open_person
from mycobot_scripts.desk.pictures import Pictures
from mycobot_scripts.desk.questions import Question, answer_words
from mycobot_scripts.desk.said import Said
from mycobot_scripts.desk.server import DeskServer
from mycobot_scripts.desk.state import describe
from mycobot_scripts.robot.arm_file import ArmFile
from mycobot_scripts.robot.operator.jog import TerminalPad
from mycobot_scripts.robot.operator.person import LOST, STOP, YES_NO
from mycobot_scripts.robot.session import RobotConfig, Setup
from mycobot_scripts.safety.guard import Guard
from mycobot_scripts.wire.protocol import Command
from mycobot_scripts.wire.servo import Servo

ABOUT = {"task": "a task", "robot": "mycobot320", "script": "test"}
PATIENCE = 60.0  # s; the machine may be busy
UP = [0, 0, 1, 0, 0, 0, 0]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def until(what, patience=PATIENCE):
    """Wait until something holds; AssertionError if it does not within a while (s)."""
    deadline = time.monotonic() + patience
    while not (result := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
    return result


# --- who has the control


def test_the_first_page_has_the_control_and_others_keys_do_not_count():
    control = Control(Clock())
    assert control.silence is None and not control.is_lost
    control.hear(Beat("one", 0, ("h",), (1, 0, 0, 0, 0, 0, 0)))
    control.hear(Beat("two", 0, ("q",), (0, 1, 0, 0, 0, 0, 0)))
    assert control.owner == "one" and control.poll() == ["h"] and control.rates.tolist() == [1] + [0] * 6
    control.take("two")
    assert control.owner == "two" and control.poll() == [] and not control.rates.any()
    control.hear(Beat("one", 1, ("h",)))
    assert control.poll() == [] and not control.is_owner("one") and control.is_owner("two")


def test_beats_that_come_late_or_twice_do_not_count():
    control = Control(Clock())
    control.hear(Beat("one", 5, ("a",)))
    for number in (4, 5):
        control.hear(Beat("one", number, ("b",), tuple(UP)))
    assert control.poll() == ["a"] and not control.rates.any()
    control.hear(Beat("one", 6, ("c",), tuple(UP), slow=True))
    assert control.poll() == ["c"] and 0 < control.rates[2] < 1


def test_what_is_held_down_ends_with_the_page_and_the_control_is_anybodys_later():
    clock = Clock()
    control = Control(clock)
    control.hear(Beat("one", 0, (), tuple(UP)))
    clock.now += 0.4
    assert control.rates.any() and not control.is_lost
    clock.now += 0.2
    assert not control.rates.any() and control.is_lost
    control.hear(Beat("two", 0))
    assert control.owner == "one"
    clock.now += 5
    control.hear(Beat("two", 1))
    assert control.owner == "two" and not control.is_lost


def test_a_page_that_goes_is_lost_at_once_and_the_next_one_need_not_wait():
    control = Control(Clock())
    control.hear(Beat("one", 0, ("a",), tuple(UP)))
    control.leave("two")
    assert control.rates.any() and not control.is_lost
    control.leave("one")
    assert not control.rates.any() and control.poll() == [] and control.is_lost
    control.hear(Beat("two", 0, (), tuple(UP)))
    assert control.owner == "two" and control.rates.any() and not control.is_lost


def test_numbers_of_many_clients_are_forgotten():
    control = Control(Clock())
    for n in range(300):
        control.hear(Beat(f"client {n}", 0, ()))
    assert len(control._numbers) <= 100
    for n in range(300):
        control.hear(Beat("client 0", 1 + n, ("h",)))
    assert len(control.poll()) <= 100


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"client": "", "number": 1},
        {"client": "x" * 101, "number": 1},
        {"client": 5, "number": 1},
        {"client": "x", "number": -1},
        {"client": "x", "number": True},
        {"client": "x", "number": 1, "keys": "q"},
        {"client": "x", "number": 1, "keys": [1]},
        {"client": "x", "number": 1, "keys": ["q"] * 51},
        {"client": "x", "number": 1, "rates": [0] * 6},
        {"client": "x", "number": 1, "rates": [0] * 6 + [1.1]},
        {"client": "x", "number": 1, "rates": [0] * 6 + [True]},
        {"client": "x", "number": 1, "rates": [[0]] * 7},
        {"client": "x", "number": 1, "rates": 1},
        {"client": "x", "number": 1, "slow": 1},
    ],
)
def test_strange_beats_are_refused_in_one_line(body):
    with pytest.raises(ValueError, match=r"(client|number|keys|rates|slow) is .*; it must be") as refused:
        as_beat(body)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 250


# --- what is asked


@pytest.mark.parametrize(
    ("question", "keys", "words"),
    [
        ("The arm moves. Go? [y/n]", YES_NO, {"y": "yes", "n": "no"}),
        (
            "episode 3: success; [k]eep, keep as a [f]ailure, [r]edo, [q]uit?",
            ANSWERS,
            {"k": "keep", "f": "keep as a failure", "r": "redo", "q": "quit"},
        ),
        (
            "stopped (STOP was pressed): [k]eep what there is, as a failure, [r]edo, [q]uit?",
            ANSWERS,
            {"k": "keep what there is", "r": "redo", "q": "quit"},
        ),
        (
            "put things to their places, then press enter (q: quit)",
            ("enter", "q"),
            {"enter": "go on", "q": "quit"},
        ),
        ("Hold it, then press enter (n: no)", ("enter", "escape", *YES_NO), {"enter": "go on", "n": "no"}),
        ("did it succeed? [y/n] (u: unknown)", "ynu", {"y": "yes", "n": "no", "u": "unknown"}),
        (
            MENU,
            "ghtzpsq",
            {
                "g": "set gripper mode",
                "h": "start pose",
                "t": "tip",
                "z": "table's height",
                "p": "reference pictures",
                "s": "save",
                "q": "quit without saving",
            },
        ),
        ("which?", "ab", {"a": "a", "b": "b"}),
    ],
)
def test_answers_have_the_words_of_the_question(question, keys, words):
    assert answer_words(question, keys) == words
    assert [one["key"] for one in Question(1, question, tuple(keys)).describe()["answers"]] == list(words)


def test_output_becomes_lines_and_a_status():
    said = Said()
    said.hear("first\nsec")
    said.hear("ond\n\n\rstep 1   ")
    assert [one["text"] for one in said.lines()] == ["first", "second"] and said.status == "step 1"
    said.hear("\rstep 2")
    assert said.status == "step 2"
    said.hear("\nthird\n")
    assert [one["text"] for one in said.lines()] == ["first", "second", "third"] and said.status == ""
    for n in range(100):
        said.hear(f"line {n} {'x' * 2000}\n")
    assert len(said.lines()) == 30 and said.lines()[-1]["n"] == 103
    assert all(len(one["text"]) <= 600 for one in said.lines())


def test_pictures_are_encoded_once_for_all_and_only_when_somebody_asks():
    image, looks = np.zeros((48, 64, 3), np.uint8), []

    def look():
        looks.append(1)
        return image, float(len(looks))

    pictures = Pictures(look)
    assert looks == []
    number, jpeg = pictures.newest()
    assert jpeg.startswith(b"\xff\xd8") and pictures.newest() == (number, jpeg) and len(looks) == 1
    others = []
    readers = [threading.Thread(target=lambda: others.append(pictures.next(number))) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(looks) == 2 and len({id(jpeg) for _, jpeg in others}) == 1


# --- on an arm


@contextlib.contextmanager
def a_desk(attended=True, **changes):
    """A desk with an emulated arm; `.session`."""
    desk = Desk(ABOUT, attended)
    page = Page(desk)
    try:
        page.beat()
        with make_rig(desk, pace=0.3, **changes) as rig:
            desk.meet(rig.session.robot)
            desk.session, desk.page = rig.session, page
            yield desk
    finally:
        page.close()
        desk.close()


class Page:
    """A page that beats, in a thread of its own, until it is closed."""

    def __init__(self, desk, name="page"):
        self.desk, self.name, self.rates, self._number = desk, name, None, 0
        self._ending, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def beat(self, *keys):
        with self._lock:
            self._number += 1
            self.desk.control.hear(Beat(self.name, self._number, keys, self.rates and tuple(self.rates)))

    def answer(self, key):
        question = until(lambda: self.desk.question)
        self.desk.answer(question.number, key)
        until(lambda: self.desk.question is not question)

    def _run(self):
        while not self._ending.wait(0.05):
            self.beat()

    def close(self):
        self._ending.set()
        self._thread.join()


def swing(robot, steps):
    """Drive to and fro; the last step."""
    step = robot.begin()
    robot._operator.show(doing="episode")
    for n in range(steps):
        if step.last():
            break
        target = robot.start.copy()
        target[0] += 0.3 * np.sin(n / 8)
        step = robot.step(target)
    return step


def in_thread(act):
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_stop_ends_a_run_whoever_asks():
    with a_desk() as desk:
        robot = desk.session.robot
        assert not robot.reset().last() and desk.facts["doing"] == "episode"
        runs = in_thread(lambda: swing(robot, 5000))
        until(lambda: len(robot.timing) > 3)
        desk.stop()
        runs.join(PATIENCE)
        assert robot.stopped == STOP and describe(desk)["stopped"] == STOP and not runs.is_alive()
        assert desk.stop_asked() is None and not desk.session.servo.halted, "the next run may begin"
        assert not swing(robot, 3).last()


def test_stop_between_two_runs_stops_the_next_one_unless_the_person_consents():
    with a_desk() as desk:
        robot = desk.session.robot
        desk.stop()
        assert robot.reset().last() and robot.stopped == STOP
        desk.stop()
        asked = []
        asks = in_thread(lambda: asked.append(desk.ask("go on? [y/n]", YES_NO)))
        desk.page.answer("y")
        asks.join(PATIENCE)
        assert asked == [True] and not robot.reset().last()
        desk.show(doing="episode")  # in a run, an answer is no consent
        desk.stop()
        asks = in_thread(lambda: asked.append(desk.ask("hold it? [y/n]", YES_NO)))
        desk.page.answer("y")
        asks.join(PATIENCE)
        assert desk.stop_asked() == STOP


def test_nothing_is_sent_after_stop():
    with emulated() as firmware, Servo(firmware.port, Guard(LIMITS), SERVO) as servo:
        sends, ending = servo.latest.target.copy(), threading.Event()

        def send():
            while not ending.is_set():
                sends[[0, 6]] += 0.002, -0.001
                servo.send(sends)
                time.sleep(0.005)

        sender = in_thread(send)
        until(lambda: len(firmware.sent(Command.SEND_ANGLES)) > 5)
        servo.halted = True
        servo.hold()
        count = len(firmware.frames)
        until(lambda: len(firmware.frames) > count + 20)
        after = [frame.command for _, frame in firmware.frames]
        after = after[max(n for n, command in enumerate(after) if command == Command.STOP) :]
        assert not {Command.SEND_ANGLES, Command.SET_GRIPPER_VALUE} & set(after)
        ending.set()
        sender.join()


@pytest.mark.parametrize("attended", [True, False])
def test_a_run_goes_on_without_its_page_only_if_nobody_has_to_attend(attended):
    with a_desk(attended) as desk:
        robot = desk.session.robot
        assert not robot.reset().last()
        runs = in_thread(lambda: swing(robot, 40))
        until(lambda: len(robot.timing) > 3)
        desk.page.close()
        runs.join(PATIENCE)
        assert not runs.is_alive() and robot.stopped == (LOST if attended else None)
        if attended:
            assert robot.reset().last() and robot.stopped == LOST, "nobody is there yet"


def test_the_arm_waits_for_its_page_before_it_moves(monkeypatch):
    monkeypatch.setattr(desk_module, "FIRST", 0.3)
    for attended in (True, False):
        desk = Desk(ABOUT, attended)
        refused = pytest.raises(
            RuntimeError, match="no page was heard for 0 s; open one, or give --unattended"
        )
        with make_rig(desk) as rig, refused if attended else contextlib.nullcontext():
            desk.meet(rig.session.robot)
        desk.close()


def test_a_page_drives_the_arm_and_stops_it_by_going():
    with a_desk() as desk:
        session, page = desk.session, desk.page
        driver = Driver(session, TerminalPad(desk))
        drives = in_thread(driver.run)

        def press_until(key, holds):
            until(lambda: page.beat(key) or holds())

        until(lambda: desk.facts["jog"])
        before = session.servo.sent.copy()
        page.rates = UP
        until(lambda: np.abs(session.servo.sent - before).max() > 0.02)
        assert desk.facts["doing"] == "jog" and describe(desk)["jog"] == {"space": "tool", "waits_for": ""}
        page.close()  # with something held down
        until(lambda: desk.facts["stopped"] == LOST)
        here = session.servo.sent.copy()
        desk.page = page = Page(desk, "opened anew")
        desk.control.take(page.name)
        until(lambda: page._number > 5)
        assert np.abs(session.servo.sent - here).max() < 0.01, "nothing moves by itself"
        assert session.robot.stopped == LOST
        press_until("h", lambda: session.robot.stopped is None)
        until(lambda: np.abs(session.servo.sent - session.robot.start).max() < 0.01)
        until(lambda: desk.facts["doing"] == "idle")
        page.beat("g")
        page.answer("enter")
        until(lambda: session.servo.released)
        until(lambda: describe(desk)["doing"] == "guide")
        page.beat("g")
        until(lambda: not session.servo.released)
        page.rates = UP
        until(lambda: desk.facts["doing"] == "jog")
        desk.stop()
        until(lambda: desk.facts["stopped"] == STOP)
        count = page._number
        until(lambda: page._number > count + 10)
        assert session.robot.stopped == STOP, "what is still held down does not go on"
        page.rates = None
        press_until("h", lambda: session.robot.stopped is None)
        until(lambda: desk.facts["doing"] == "idle")
        page.beat("t")
        until(lambda: describe(desk)["jog"]["space"] == "joint")
        page.beat("q")
        drives.join(PATIENCE)
        assert not drives.is_alive()


def test_ctrl_c_ends_driving():
    """As Stop of a job in the cockpit does; STOP of a page and q leave the script running."""
    ended = []
    with a_desk() as desk:

        def drive():
            with contextlib.suppress(KeyboardInterrupt):
                Driver(desk.session, TerminalPad(desk)).run()
                ended.append("by itself")
            ended.append("by Ctrl-C")

        drives = in_thread(drive)
        until(lambda: desk.facts["jog"])
        desk.session.robot.request_stop("Ctrl-C")
        drives.join(PATIENCE)
        assert not drives.is_alive() and ended == ["by Ctrl-C"]


def test_guiding_is_shown_with_its_keys():
    with a_desk() as desk:
        captured = []
        guiding = Guiding(desk.session.servo, desk.session.operator, 0.7)
        leads = in_thread(lambda: captured.append(guiding.capture()))
        desk.page.answer("enter")
        until(lambda: desk.facts["doing"] == "guide")
        assert {"key": "space", "word": "capture this pose"} in describe(desk)["keys"]
        desk.page.beat("space", "space", "enter")
        leads.join(PATIENCE)
        assert len(captured[0]) == 2 and desk.facts["doing"] == "idle"


def test_stop_while_the_arm_is_guided_makes_it_hold_itself():
    with a_desk() as desk:
        captured, servo = [], desk.session.servo
        guiding = Guiding(servo, desk.session.operator, 0.7)
        leads = in_thread(lambda: captured.append(guiding.capture()))
        desk.page.answer("enter")
        until(lambda: servo.released)
        desk.stop()
        until(lambda: not servo.released)
        leads.join(PATIENCE)
        assert captured == [None] and not leads.is_alive()


def test_the_state_is_json_and_as_agreed():
    with a_desk() as desk:
        desk.show(progress=lambda: {"episode": 1, "episodes": 2, "step": 3, "steps": 4}, keys=[("q", "stop")])
        state = json.loads(json.dumps(describe(desk), allow_nan=False))
    assert {
        "task",
        "robot",
        "script",
        "doing",
        "question",
        "keys",
        "said",
        "status",
        "progress",
    } <= state.keys()
    assert {"policy", "qpos", "sent", "temperatures", "currents", "released", "rate", "ages"} <= state.keys()
    assert {"clamps", "stopped", "jog", "cameras", "success", "reward", "owner", "heard"} <= state.keys()
    assert len(state["qpos"]) == len(state["sent"]) == 7 and state["progress"]["steps"] == 4
    assert set(state["ages"]) == {"state", *state["cameras"]} and state["attended"] is True
    with pytest.raises(TypeError, match="the desk shows no speed"):
        desk.show(speed=1)


# --- over HTTP


@pytest.fixture
def served():
    desk = Desk(ABOUT)
    desk.see({"top": lambda: (np.zeros((48, 64, 3), np.uint8), time.monotonic())})
    desk.see({"top against its reference": lambda: (np.full((48, 64, 3), 9, np.uint8), time.monotonic())})
    server = DeskServer(desk)
    yield server
    server.close()
    desk.close()


def ask(server, path, body=None, token=None):
    """(status, answer) of a GET, or of a POST with a body."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Token": server.token if token is None else token, "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{server.url}/{path}", data, headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.status, error.read()


def test_questions_are_answered_by_the_owner_alone(served):
    desk, answers = served.desk, []
    asks = in_thread(lambda: answers.append(desk.ask("keep it? [y/n]", YES_NO)))
    until(lambda: desk.question)
    state = json.loads(ask(served, "beat", {"client": "one", "number": 1})[1])
    assert state["doing"] == "waiting" and state["owner"] == "one"
    number = state["question"]["id"]
    assert ask(served, "answer", {"client": "two", "question": number, "key": "y"})[0] == HTTPStatus.CONFLICT
    for strange in ({"key": "x"}, {"key": 1}, {}, {"key": "y", "line": "y"}, {"line": "y" * 1001}):
        status, why = ask(served, "answer", {"client": "one", "question": number, **strange})
        assert status == HTTPStatus.BAD_REQUEST and b"\n" not in why
    late = {"client": "one", "question": number - 1, "key": "y"}
    assert ask(served, "answer", late)[0] == HTTPStatus.BAD_REQUEST
    assert ask(served, "own", {"client": "two"})[0] == HTTPStatus.OK
    assert ask(served, "answer", {"client": "two", "question": number, "key": "n"})[0] == HTTPStatus.OK
    asks.join(PATIENCE)
    assert answers == [False]
    types = in_thread(lambda: answers.append(desk.line("its name: ")))
    question = until(lambda: desk.question)
    assert question.describe() == {"id": number + 1, "text": "its name:", "answers": [], "takes_line": True}
    ask(served, "answer", {"client": "two", "question": number + 1, "line": "my task"})
    types.join(PATIENCE)
    assert answers[-1] == "my task"


def test_a_key_of_the_owner_answers_too_and_one_from_before_does_not(served):
    desk, answers = served.desk, []
    ask(served, "beat", {"client": "one", "number": 1, "keys": ["y"]})
    asks = in_thread(lambda: answers.append(desk.ask("keep it? [y/n]", YES_NO)))
    until(lambda: desk.question)
    ask(served, "beat", {"client": "two", "number": 1, "keys": ["y"]})
    ask(served, "beat", {"client": "one", "number": 2, "keys": ["x", "n"]})
    asks.join(PATIENCE)
    assert answers == [False]


def test_only_who_has_the_token_looks_or_acts(served):
    for path, body in (("state", None), ("top.jpg", None), ("beat", {"client": "x", "number": 1})):
        for token in ("", "wrong", "é".encode().decode("latin-1")):
            assert ask(served, path, body, token)[0] == HTTPStatus.FORBIDDEN
    assert served.desk.control.owner is None


@pytest.mark.parametrize("body", [{}, {"client": "x", "number": "1"}, {"client": ["x"]}, {"client": "x\n"}])
@pytest.mark.parametrize("name", ["beat", "answer", "own"])
def test_strange_bodies_get_one_line(served, name, body):
    status, why = ask(served, name, body)
    if (name, body.get("client")) != ("own", "x"):
        assert status in (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT)
        assert re.fullmatch(r"[^\n]{10,300}", json.loads(why)["error"])


def test_anybody_stops_even_without_a_name(served):
    assert ask(served, "stop", {})[0] == HTTPStatus.OK and served.desk.stop_asked() == STOP
    assert ask(served, "clock", {})[0] == HTTPStatus.BAD_REQUEST


def test_pictures_and_streams(served):
    status, jpeg = ask(served, "top.jpg")
    assert status == HTTPStatus.OK and jpeg.startswith(b"\xff\xd8")
    assert ask(served, "top%20against%20its%20reference.jpg")[1] != jpeg
    assert ask(served, "other.jpg")[0] == ask(served, "../top")[0] == HTTPStatus.NOT_FOUND
    request = urllib.request.Request(f"{served.url}/top", headers={"X-Token": served.token})
    with urllib.request.urlopen(request, timeout=PATIENCE) as stream:
        for _ in range(3):
            assert stream.readline() == b"--frame\r\n" and b"image/jpeg" in stream.readline()
            length = int(stream.readline().split()[1])
            stream.readline()
            assert stream.read(length).startswith(b"\xff\xd8") and stream.readline() == b"\r\n"


def test_the_file_tells_this_user_alone_where_the_desk_is(tmp_path, capsys):
    path = tmp_path / "desk.json"
    setup = Setup(RobotConfig(desk=str(path)), LIMITS, SERVO, ArmFile(), None)
    with open_person(setup, "drive_arm", "a task") as desk:
        about = json.loads(path.read_text())
        assert about["pid"] == os.getpid() and stat.S_IMODE(path.stat().st_mode) == 0o600
        request = urllib.request.Request(f"{about['url']}/state", headers={"X-Token": about["token"]})
        print("to whom it may concern", flush=True)
        with urllib.request.urlopen(request) as answer:
            state = json.load(answer)
        assert state["script"] == "drive_arm" and state["said"][-1]["text"] == "to whom it may concern"
        assert state["qpos"] is None and desk.poll() == []
    assert list(tmp_path.iterdir()) == [] and "to whom" in capsys.readouterr().out
