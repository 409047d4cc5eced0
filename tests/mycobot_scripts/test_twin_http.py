"""What the twin's server takes and refuses, without a simulation; and its page in a browser."""

import json
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
from browser import chromium, wait_until
from emulated import eventually

from constants import MYCOBOT, Stream, get_task
from mycobot_scripts.kinematics.geometry import forward
from mycobot_scripts.stand_in.faults import Faults
from mycobot_scripts.stand_in.twin.feeds import CameraFeed
from mycobot_scripts.stand_in.twin.server import TwinServer
from mycobot_scripts.stand_in.twin.state import TwinState

TASK = get_task("sim_mycobot320_choose_scripted")
STATE = TwinState(0, 0, 3, False, None, 0, None, None, [0.0] * 7, 0.7, False, [0.0] * 14, 1.5, 0.0, 0.0, 0)
HOME = [*map(float, MYCOBOT.start), 0.7]
CUBE = [0.2, 0.1, 0.02, 1, 0, 0, 0]


class TwinWorld:
    """Notes what is asked of it."""

    task = TASK
    has_looks = False

    def __init__(self):
        self.asked, self.state = [], STATE
        self.feeds = {name: CameraFeed(name, 10, Faults()) for name in ("top", "right_wrist")}

    def now(self):
        return 0.0

    def tell(self):
        return self.state

    def reset(self, start, case, rng, arm, changes):
        self.asked.append(("reset", start, case, rng.random(), arm, changes))
        return STATE

    def knock_loose(self, rng):
        self.asked.append(("knock_loose", rng.random()))
        return STATE

    def guide(self, joints):
        self.asked.append(("guide", joints))
        return STATE


@pytest.fixture
def twin():
    world = TwinWorld()
    server = TwinServer(world, SimpleNamespace(placed=lambda at: None))
    yield server
    server.close()
    for feed in world.feeds.values():
        feed.close()


def publish(twin):
    """A picture of each camera."""
    for feed in twin.world.feeds.values():
        feed.publish(np.full((48, 64, 3), 200, np.uint8), 0.0)


def post(twin, path, body, **headers):
    """(status, JSON) of a POST as the page sends it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    own = {"Content-Type": "application/json", "X-Token": twin.token}
    request = urllib.request.Request(f"{twin.url}/{path}", content, {**own, **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_what_can_be_asked(twin):
    asked = twin.world.asked
    assert post(twin, "reset", {})[1]["time"] == 1.5 and asked[-1][1] is None and asked[-1][4] is True
    assert post(twin, "reset", {"env_state": CUBE * 2, "arm": False})[0] == 200
    assert asked[-1][1].tolist() == CUBE * 2 and asked[-1][4] is False
    assert post(twin, "reset", {"seed": 1, "index": 3})[0] == 200
    *_, case, drawn, _, _ = asked[-1]
    assert case == TASK.case_number(3) and drawn == np.random.default_rng([1, 2, 3]).random()
    assert post(twin, "reset", {"seed": 1, "index": 3, "stream": "RECORD", "case": 0})[0] == 200
    assert asked[-1][2] == 0 and asked[-1][3] == np.random.default_rng([1, 0, 3]).random()
    assert post(twin, "guide", {"qpos": [0.1] * 7})[0] == 200 and asked[-1][1].tolist() == [0.1] * 6
    assert post(twin, "guide", {})[0] == 200 and asked[-1][1] is None
    assert post(twin, "knock_loose", {})[0] == 200 and asked[-1][0] == "knock_loose"
    assert post(twin, "knock_loose", {"seed": 1, "index": 3})[0] == 200
    assert asked[-1][1] == np.random.default_rng([1, Stream.KNOCK, 3]).random()
    disturb = {"words": ["mass=strong", "friction=mild"], "seed": 3, "rollout": 7}
    assert post(twin, "reset", {"disturb": disturb})[0] == 200
    changes = asked[-1][5]
    assert list(map(str, changes.applied)) == ["mass=strong", "friction=mild"]
    assert (changes.seed, changes.rollout) == (3, 7)
    assert post(twin, "reset", {})[0] == 200 and asked[-1][5].applied == ()


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("reset", {"env_state": [1e300] * 14}, "at most"),
        ("reset", {"env_state": [*CUBE, 3.0, *CUBE[1:]]}, "3 m away"),
        ("reset", {"env_state": [*CUBE, *CUBE[:3], 0, 0, 0, 0]}, "quaternion"),
        ("reset", {"env_state": [*CUBE, *CUBE[:3], 50, 0, 0, 0]}, "quaternion"),
        ("reset", {"env_state": CUBE}, "14 numbers"),
        ("reset", {"env_state": {"a": 1}}, "list of numbers"),
        ("reset", {"env_state": [CUBE, CUBE]}, "list of numbers"),
        ("reset", {"env_state": [True] * 14}, "list of numbers"),
        ("reset", {"env_state": "x"}, "list of numbers"),
        ("reset", {"env_state": []}, "list of numbers"),
        ("reset", {"seed": -1}, "seed is -1"),
        ("reset", {"seed": 1.5}, "seed is 1.5"),
        ("reset", {"seed": True}, "seed is True"),
        ("reset", {"seed": [1]}, "seed is"),
        ("reset", b'{"seed": 1e400}', "too large"),
        ("reset", b'{"seed": 0, "index": 1e400}', "too large"),
        ("reset", {"seed": 0, "index": -3}, "index is -3"),
        ("reset", {"seed": 0, "stream": "NOPE"}, "unknown stream"),
        ("reset", {"seed": 0, "stream": 99}, "99"),
        ("reset", {"seed": 0, "stream": [1]}, ""),
        ("reset", {"case": True}, "case is True"),
        ("reset", {"case": 99}, "case is 99"),
        ("reset", {"arm": "false"}, "arm is 'false'"),
        ("reset", {"disturb": "mass=strong"}, "it must have words"),
        ("reset", {"disturb": {"words": ["mass"]}}, "it takes a strength too"),
        ("reset", {"disturb": {"words": ["mas=strong"]}}, "did you mean 'mass'"),
        ("reset", {"disturb": {"words": ["noise=mild"]}}, "changes neither physics nor look"),
        ("reset", {"disturb": {"words": ["camera=mild"]}}, "started with --randomize takes it"),
        ("reset", {"disturb": {"words": [], "seed": -1}}, "seed is -1"),
        ("reset", {"disturb": {"words": [], "seeds": 1}}, "unknown entry"),
        ("reset", {"x" * 5000: 1}, "unknown entry"),
        ("guide", {"qpos": 5}, "list of numbers"),
        ("guide", {"qpos": [0.0] * 5}, "5 entries"),
        ("guide", {"qpos": [0.0, 4.0, 0, 0, 0, 0]}, "joint 2 to 229.2"),
        ("guide", {"qpos": [10**400] * 6}, ""),
        ("guide", {"qpos": [None] * 6}, "list of numbers"),
        ("guide", {"pos": [0.0] * 6}, "unknown entry"),
        ("guide", {"along": [0.0, 0.0]}, "3 lengths"),
        ("guide", {"along": [0.2, 0.0, 0.0]}, "at most"),
        ("guide", {"along": "up"}, "list of numbers"),
        ("knock_loose", {"seed": -1}, "seed is -1"),
        ("knock_loose", {"prop": 1}, "unknown entry"),
        ("other", {}, "unknown request"),
        ("reset", b"[" * 90_000, "RecursionError|recursion"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(twin, path, body, why):
    status, answer = post(twin, path, body)
    assert status == 400 and not twin.world.asked
    assert any(each in answer["error"] for each in why.split("|"))
    assert answer["error"] and "\n" not in answer["error"] and len(answer["error"]) <= 300


def test_the_page_shows_cameras_and_state_and_may_post(twin):
    publish(twin)
    send = """const done = arguments[arguments.length - 1];
        fetch("/guide", {method: "POST", body: "{}", headers: {"Content-Type": "application/json",
            "X-Token": new URLSearchParams(location.search).get("token")}}).then(a => done(a.status))"""
    with chromium() as driver:
        driver.get(twin.address)
        wait_until(driver, "document.getElementById('state').textContent.includes('1.50 s')")
        wait_until(driver, "document.querySelector('img').naturalWidth === 64")
        assert driver.execute_async_script(send) == 200
    assert [what for what, *_ in twin.world.asked] == ["guide"]


def test_a_hand_moves_the_tool_as_the_picture_shows_it(twin):
    twin.world.state = replace(STATE, qpos=HOME, released=True)
    before, orientation = forward(np.array(HOME[:6]))
    for along, axis in (([0.0, 0.0, -0.02], -twin.axes[:, 2]), ([0.0, 0.02, 0.0], twin.axes[:, 1])):
        assert post(twin, "guide", {"along": along})[0] == 200
        flange, turned = forward(twin.world.asked[-1][1])
        np.testing.assert_allclose(flange - before, 0.02 * axis, atol=1e-3)
        np.testing.assert_allclose(turned, orientation, atol=0.02)
    for _ in range(40):
        twin.world.state = replace(STATE, qpos=[*twin.world.asked[-1][1], 0.7], released=True)
        status, answer = post(twin, "guide", {"along": [0.0, 0.0, 0.05]})
    assert (status, answer["error"]) == (400, "the arm cannot go further that way")


def test_the_page_holds_a_released_arm_and_leads_it(twin):
    publish(twin)
    with chromium() as driver:
        driver.get(twin.address)
        wait_until(driver, "document.querySelector('#moves button').disabled")
        twin.world.state = replace(STATE, qpos=HOME, released=True)
        wait_until(driver, "!document.querySelector('#moves button').disabled")
        assert eventually(lambda: twin.world.asked)
        np.testing.assert_allclose(twin.world.asked[0][1], HOME[:6])
        driver.execute_script("dispatchEvent(new KeyboardEvent('keydown', {key: 'r'}))")
        higher = forward(np.array(HOME[:6]))[0][2] + 0.004
        assert eventually(lambda: forward(twin.world.asked[-1][1])[0][2] > higher)
        driver.execute_script("dispatchEvent(new KeyboardEvent('keyup', {key: 'r'}))")


class Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another site</title>")

    def log_message(self, *_):
        pass


def test_a_page_of_another_site_can_do_nothing(twin):
    site = HTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=site.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    send = """const [url, options, done] = arguments;
        fetch(url, options).then(answer => done(answer.type + answer.status), error => done("failed"))"""
    try:
        with chromium(complaints=True) as driver:
            driver.get(f"http://localhost:{site.server_port}/")
            for options in ({"mode": "no-cors"}, {"headers": {"Content-Type": "application/json"}}):
                url = f"{twin.url}/reset?token={twin.token}"  # even if it knew the token
                driver.execute_async_script(send, url, {"method": "POST", "body": "{}", **options})
            assert driver.execute_async_script(send, f"{twin.url}/state", {}) == "failed"
    finally:
        site.shutdown()
        thread.join()
        site.server_close()
    assert twin.world.asked == []
