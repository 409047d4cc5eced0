"""A phone that leads: what it says, what counts of it, its page's server, and the page in a browser."""

import http.client
import json
import math
import time

import numpy as np
import pytest
from browser import WAIT, chromium, wait_until

from teleop.devices import RATES, Input
from teleop.phone import LOST, WEB, Beat, Finger, Phone, heading, tilted
from teleop.registry import TeleopConfig, check_device

GRIPPER = RATES.index("gripper")


class Clock:
    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


class NoKeys:
    layouts, commands = (), {}

    def read(self, now):
        return Input()

    def close(self):
        pass


def said(number=0, grip=None, client="one", **changes):
    """A beat as a page sends it."""
    body = {"client": client, "number": number, "grip": grip, "position": [0, 0, 0], "angles": [0, 0, 0]}
    return {**body, "tilt": None, "gripper": 0, "commands": [], **changes}


def beat(*args, **changes):
    return Beat.of(said(*args, **changes))


# --- what counts


def test_a_finger_that_is_down_leads_and_each_touch_begins_anew():
    finger = Finger(Clock())
    assert finger.take().hand is None
    finger.hear(beat(0))
    assert finger.take().hand is None, "no finger is down"
    finger.hear(beat(1, grip=1, position=[0.01, 0.02, 0.03]))
    first = finger.take().hand
    np.testing.assert_allclose(first.position, [0.01, 0.02, 0.03])
    assert first.gripper is None and np.allclose(first.orientation, np.eye(3))
    finger.hear(beat(2))
    assert finger.take().hand is None
    finger.hear(beat(3, grip=2))
    assert finger.take().hand.grip > first.grip


def test_a_page_that_is_not_heard_leads_nothing_and_then_begins_anew():
    clock = Clock()
    finger = Finger(clock)
    finger.hear(beat(0, grip=1, gripper=1))
    before = finger.take()
    assert before.hand is not None and before.rates[GRIPPER] == 1
    clock.time += LOST + 0.01
    assert not finger.take().moves
    finger.hear(beat(1, grip=1, position=[1, 0, 0]))
    assert finger.take().hand.grip > before.hand.grip, "what was missed moves nothing"


def test_late_beats_do_not_count():
    finger = Finger(Clock())
    finger.hear(beat(5, grip=1, position=[0.2, 0, 0]))
    finger.hear(beat(4, grip=1, position=[0.1, 0, 0]))
    assert finger.take().hand.position[0] == 0.2


def test_one_phone_leads_at_a_time_and_any_stops():
    clock = Clock()
    finger = Finger(clock)
    assert finger.hear(beat(0, grip=1, position=[0.1, 0, 0]))
    assert not finger.hear(beat(0, grip=7, client="two", position=[0.9, 0, 0], commands=[[0, "keep"]]))
    asked = finger.take()
    assert asked.hand.position[0] == 0.1 and not asked.commands
    assert not finger.hear(beat(1, client="two", commands=[[1, "stop"]]))
    assert finger.take().commands == {"stop", "quit"}
    finger.hear(beat(1))  # the first lets go
    assert finger.hear(beat(2, grip=8, client="two"))
    assert finger.take().hand is not None


def test_commands_count_once_also_without_a_finger():
    finger = Finger(Clock())
    finger.hear(beat(0, commands=[[0, "keep"]]))
    assert finger.take().commands == {"keep"} and not finger.take().commands


def test_a_press_that_is_told_again_counts_once():
    """The page did not hear the answer, and tells it under the next beat's number."""
    finger = Finger(Clock())
    finger.hear(beat(0, commands=[[0, "keep"]]))
    assert finger.take().commands == {"keep"}
    finger.hear(beat(1, commands=[[0, "keep"]]))
    assert not finger.take().commands
    finger.hear(beat(2, commands=[[0, "keep"], [1, "redo"]]))
    assert finger.take().commands == {"redo"}


def test_pads_turn_about_the_persons_axes():
    finger = Finger(Clock())
    finger.hear(beat(0, grip=1, angles=[0, 0, math.pi / 2]))
    np.testing.assert_allclose(finger.take().hand.orientation @ [0, 1, 0], [-1, 0, 0], atol=1e-9)  # left
    finger.hear(beat(1, grip=1, angles=[math.pi / 2, 0, 0]))
    np.testing.assert_allclose(finger.take().hand.orientation @ [0, 1, 0], [0, 0, 1], atol=1e-9)  # tip up
    finger.hear(beat(2, grip=1, angles=[0, math.pi / 2, 0]))
    np.testing.assert_allclose(
        finger.take().hand.orientation @ [1, 0, 0], [0, 0, -1], atol=1e-9
    )  # roll right


# --- the phone's own turning


def test_tilt_is_that_of_the_specification():
    """https://www.w3.org/TR/orientation-event/: the matrix of its worked example, written out by hand."""
    alpha, beta_, gamma = np.radians([30, 40, 50])
    (cx, cy, cz), (sx, sy, sz) = np.cos([beta_, gamma, alpha]), np.sin([beta_, gamma, alpha])
    wanted = [
        [cz * cy - sz * sx * sy, -cx * sz, cy * sz * sx + cz * sy],
        [cy * sz + cz * sx * sy, cz * cx, sz * sy - cz * cy * sx],
        [-cx * sy, sx, cx * cy],
    ]
    np.testing.assert_allclose(tilted([30, 40, 50, 0]), wanted, atol=1e-12)


@pytest.mark.parametrize(("screen", "up"), [(0, [0, 1]), (90, [1, 0]), (180, [0, -1]), (270, [-1, 0])])
def test_the_screen_is_read_upright_however_the_phone_is_turned(screen, up):
    """Turned to the left by 90 degrees, a phone's right edge is the upper one of what it shows."""
    device, shown = tilted([30, 40, 50, 0]), tilted([30, 40, 50, screen])
    np.testing.assert_allclose(shown @ [0, 1, 0], device @ [*up, 0], atol=1e-12)
    np.testing.assert_allclose(shown @ [0, 0, 1], device @ [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize(("screen", "tip"), [(90, [0, 0, -40]), (270, [0, 0, 40])])
def test_held_across_a_phone_leads_about_the_persons_axes(screen, tip):
    """The upper edge of what it shows goes up: the tool tips up, about the person's right."""
    finger = Finger(Clock())
    flat = [(90 + screen) % 360 - 90, 0, 0, screen]  # what it shows is upright, away from the person
    finger.hear(beat(0, grip=1, tilt=flat))
    first = finger.take().hand
    np.testing.assert_allclose(first.orientation, np.eye(3), atol=1e-9)
    finger.hear(beat(1, grip=1, tilt=[*np.add(flat[:3], tip).tolist(), screen]))
    turn = finger.take().hand.orientation
    c, s = math.cos(math.radians(40)), math.sin(math.radians(40))
    np.testing.assert_allclose(turn, [[1, 0, 0], [0, c, -s], [0, s, c]], atol=1e-9)


def test_a_page_that_turns_itself_moves_nothing():
    finger = Finger(Clock())
    finger.hear(beat(0, grip=1, tilt=[10, 20, 30, 0]))
    before = finger.take().hand
    finger.hear(beat(1, grip=1, tilt=[10, 20, 30, 90]))
    assert finger.take().hand.grip > before.grip


@pytest.mark.parametrize("alpha", [0, 77, 200])
@pytest.mark.parametrize("beta_", [0, 45, 90])
def test_which_way_the_person_faces_does_not_matter(alpha, beta_):
    """Turning the phone to the left turns the tool to the left, wherever north is and however it is held."""
    assert heading(tilted([alpha, beta_, 0, 0])) == pytest.approx(
        math.remainder(math.radians(alpha), math.tau)
    )
    finger = Finger(Clock())
    finger.hear(beat(0, grip=1, tilt=[alpha, beta_, 0, 0]))
    first = finger.take().hand
    finger.hear(beat(1, grip=1, tilt=[(alpha + 20) % 360, beta_, 0, 0]))
    turn = finger.take().hand.orientation @ first.orientation.T
    c, s = math.cos(math.radians(20)), math.sin(math.radians(20))
    np.testing.assert_allclose(turn, [[c, -s, 0], [s, c, 0], [0, 0, 1]], atol=1e-9)
    finger.hear(beat(2, grip=1, tilt=[alpha, beta_ + 20, 0, 0]))
    tip = finger.take().hand.orientation @ first.orientation.T
    np.testing.assert_allclose(tip, [[1, 0, 0], [0, c, -s], [0, s, c]], atol=1e-9)


# --- bad input, and the server


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client": ""}, "client is ''"),
        ({"number": "3"}, "number is '3'; it must be a whole number"),
        ({"grip": 1.5}, "grip is 1.5"),
        ({"position": [0, 0]}, "position is .* it must be 3 numbers from -10 to 10"),
        ({"position": [0, 0, 1e9]}, "position is"),
        ({"angles": [True, 0, 0]}, "angles is"),
        ({"tilt": [0, 0, 999, 0]}, "tilt is"),
        ({"tilt": [0, 0, 0]}, "tilt is .* it must be 4 numbers"),
        ({"gripper": 2}, "gripper is"),
        ({"commands": [[0, "fly"]]}, "command 'fly'"),
        ({"commands": ["stop"]}, "a command is 'stop'; it must be the number of a press, and a name"),
        ({"commands": "stop"}, "commands is 'stop'"),
    ],
)
def test_strange_beats_are_refused_in_one_line(changes, words):
    with pytest.raises(ValueError, match=words):
        Beat.of({**said(), **changes})


@pytest.fixture
def phone():
    lines = []
    device = Phone("127.0.0.1", 0, NoKeys(), lines.append)
    device.said = lines
    yield device
    device.close()


def ask(phone, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", phone.server.server_address[1], timeout=20)
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, {"Content-Type": "application/json", **headers})
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, content


def test_the_address_is_told_once_and_beats_lead(phone):
    assert not phone.read(0.0).moves and not phone.read(0.1).moves
    assert phone.said == [f"open this on the phone, in the same network: {phone.server.address}"]
    token = {"X-Token": phone.server.token}
    status, answer = ask(phone, "POST", "/beat", said(0, grip=1), **token)
    assert (status, json.loads(answer)) == (200, {"mine": True})
    assert phone.read(0.2).hand is not None


def test_nobody_leads_without_the_token_or_from_another_site(phone):
    assert ask(phone, "POST", "/beat", said(0, grip=1))[0] == 403
    token = {"X-Token": phone.server.token}
    assert ask(phone, "POST", "/beat", said(0, grip=1), Origin="http://evil.example", **token)[0] == 403
    assert ask(phone, "POST", "/beat", said(0, grip=1), Host="evil.example", **token)[0] == 403
    assert ask(phone, "POST", "/beat", {"client": 1}, **token)[0] == 400
    assert ask(phone, "POST", "/other", said(), **token)[0] == 400
    assert not phone.read(0.0).moves


def test_it_serves_its_page_alone(phone):
    for name in ("", "phone.js", "phone.css", "page.css", "en.json", "ko.json"):
        assert ask(phone, "GET", f"/{name}")[0] == 200, name
    for name in ("phone.py", "../phone.py", "..%2fphone.py", "web/phone.js", "nothing"):
        assert ask(phone, "GET", f"/{name}")[0] == 404, name


def test_texts_are_the_same_in_both_languages():
    english, korean = (json.loads((WEB / f"{name}.json").read_text("utf-8")) for name in ("en", "ko"))
    assert list(english) == list(korean) and all(korean.values())


def test_a_port_that_is_taken_is_told(phone):
    taken = phone.server.server_address[1]
    with pytest.raises(ValueError, match=f"--phone_port {taken} at --phone_host 127.0.0.1 cannot be had"):
        check_device("phone", TeleopConfig(phone_host="127.0.0.1", phone_port=taken))


# --- the page

BOXES = """
const boxes = {};
for (const each of document.querySelectorAll("button, .pad")) {
  const { left, top, right, bottom } = each.getBoundingClientRect();
  boxes[each.id] = [left, top, right, bottom];
}
return boxes;
"""
DRAG = """
const [id, type, x, y] = arguments;
const pad = document.getElementById(id);
pad.setPointerCapture = () => {};
pad.dispatchEvent(new PointerEvent(type, { pointerId: 1, clientX: x, clientY: y, bubbles: true }));
"""


def led_to(phone):
    """Where the finger is (3,), m; None while nothing is led."""
    hand = phone.finger.take().hand
    return None if hand is None else [round(x, 6) for x in hand.position.tolist()]


def eventually(condition):
    deadline = time.monotonic() + WAIT
    while not (is_true := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_true


@pytest.mark.parametrize("size", [(390, 844), (320, 568), (844, 390), (667, 320), (568, 250)])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_button_is_in_sight_however_the_phone_is_held(phone, size, language):
    """STOP above all."""
    with chromium(*size) as driver:
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(phone.server.address)
        wait_until(driver, "document.getElementById('stop').textContent")
        if language == "ko":
            driver.execute_script("document.getElementById('language').click()")
            wait_until(driver, "document.documentElement.lang === 'ko'")
        boxes = driver.execute_script(BOXES)
    for name, (left, top, right, bottom) in boxes.items():
        assert left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1], (name, size)
        assert bottom - top >= 36 and right - left >= 36, (name, size)


def test_stop_is_told_at_the_first_touch(phone):
    with chromium(390, 844) as driver:
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        driver.get(phone.server.address)
        wait_until(driver, "document.getElementById('state').textContent.startsWith('Hold a finger')")
        box = driver.execute_script("return document.getElementById('stop').getBoundingClientRect().toJSON()")
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        touch = "Input.dispatchTouchEvent"
        driver.execute_cdp_cmd(touch, {"type": "touchStart", "touchPoints": [at]})
        assert eventually(lambda: phone.finger.take().commands == {"stop", "quit"})
        at["y"] -= 100  # it slides off
        driver.execute_cdp_cmd(touch, {"type": "touchMove", "touchPoints": [at]})
        driver.execute_cdp_cmd(touch, {"type": "touchEnd", "touchPoints": []})


def test_the_page_leads_while_a_finger_is_down(phone):
    with chromium() as driver:
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get(phone.server.address)
        wait_until(driver, "document.getElementById('state').textContent.startsWith('Hold a finger')")
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        assert driver.execute_script("return document.documentElement.scrollHeight") <= 844
        driver.execute_script(DRAG, "pad", "pointerdown", 100, 300)
        driver.execute_script(DRAG, "pad", "pointermove", 150, 200)
        wait_until(driver, "document.getElementById('state').textContent === 'The arm follows'")
        assert eventually(lambda: led_to(phone) == [0.02, 0.04, 0])
        driver.execute_script(DRAG, "pad", "pointerup", 150, 200)
        wait_until(driver, "document.getElementById('state').textContent.startsWith('Hold a finger')")
        assert eventually(lambda: led_to(phone) is None)  # the page tells first, the server hears after
        driver.execute_script("document.getElementById('stop').click()")
        assert eventually(lambda: phone.finger.take().commands == {"stop", "quit"})
        driver.execute_script("document.getElementById('language').click()")
        wait_until(driver, "document.documentElement.lang === 'ko'")
        wait_until(driver, "document.getElementById('open').textContent === '열기'")
