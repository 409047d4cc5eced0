"""The page of cameras beside their references: what is drawn, what is told, and that it follows."""

import contextlib
import json
import time
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest
from arm_rig import Person
from scenery import SIZE, make_scene, seen

from cameras.placement import PlacementLimits, judge_placement
from cameras.reference import make_reference
from mycobot_scripts import check_arm
from mycobot_scripts.checks import placement_page
from mycobot_scripts.checks.placement_page import Ghost, PlacementServer, blended
from mycobot_scripts.robot.cameras.camera import Camera

SCENE = make_scene()
REFERENCE = make_reference([SCENE])
MOVED = {"shift": (9.0, 0.0)}
LIMITS = PlacementLimits()


class Pushed:
    """A camera that somebody may push."""

    def __init__(self) -> None:
        self.picture = SCENE

    def read(self) -> np.ndarray:
        time.sleep(0.01)
        return self.picture

    def close(self) -> None:
        pass


@contextlib.contextmanager
def serving(source: Pushed):
    with Camera("top", "", size=SIZE, opener=lambda *_: source) as camera:
        server = PlacementServer({"top": Ghost("top", camera, REFERENCE, LIMITS)})
        try:
            yield server, camera
        finally:
            server.close()


def get(server, name: str) -> str:
    with urllib.request.urlopen(f"{server.url}/{name}", timeout=30) as reply:
        return reply.read().decode()


def until_newer(camera: Camera) -> None:
    before = camera.count
    while camera.count < before + 2:
        time.sleep(0.01)


def test_the_arrow_points_where_the_camera_is_to_be_turned():
    picture = seen(SCENE, **MOVED)
    mixed = blended(picture, REFERENCE, judge_placement("top", REFERENCE, picture, LIMITS))
    plain = cv2.addWeighted(picture, 0.5, SCENE, 0.5, 0.0)
    rows, columns = np.nonzero((mixed != plain).any(axis=2))
    assert abs(np.median(rows) - SIZE[0] / 2) < 3
    assert columns.min() >= SIZE[1] / 2 - 4 and columns.max() > SIZE[1] / 2 + 45, "to the right"
    well = judge_placement("top", REFERENCE, SCENE, LIMITS)
    assert (blended(SCENE, REFERENCE, well) == SCENE).all(), "no arrow where it stands well"
    other = judge_placement("top", REFERENCE, make_scene(3), LIMITS)
    assert blended(make_scene(3), REFERENCE, other).shape == SCENE.shape


def test_the_page_follows_while_the_camera_is_pushed():
    source = Pushed()
    with serving(source) as (server, camera):
        assert "<strong>" in get(server, "") and 'src="/top"' in get(server, "")
        assert "fetch" in get(server, "placement.js") and "figure" in get(server, "placement.css")
        assert json.loads(get(server, "state"))["top"]["moved"] is False
        source.picture = seen(SCENE, **MOVED)
        until_newer(camera)
        time.sleep(placement_page.PERIOD)  # what is younger is told again
        state = json.loads(get(server, "state"))
        assert (
            list(state) == ["top"]
            and state["top"]["moved"]
            and state["top"]["advice"].startswith("turn it right")
        )
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(server, "other")


def test_the_stream_is_of_blended_pictures(monkeypatch):
    monkeypatch.setattr(placement_page, "PERIOD", 0.0)
    with serving(Pushed()) as (server, _), urllib.request.urlopen(f"{server.url}/top", timeout=30) as stream:
        for _ in range(2):
            assert stream.readline() == b"--frame\r\n" and b"image/jpeg" in stream.readline()
            length = int(stream.readline().split()[1])
            stream.readline()
            picture = cv2.imdecode(np.frombuffer(stream.read(length), np.uint8), cv2.IMREAD_COLOR)
            assert np.abs(picture[:, :, ::-1].astype(int) - SCENE).mean() < 6
            stream.readline()


def test_a_reference_of_another_size_is_told():
    source = Pushed()
    source.picture = make_scene(size=(48, 64))
    with Camera("top", "", size=(48, 64), opener=lambda *_: source) as camera:
        server = PlacementServer({"top": Ghost("top", camera, REFERENCE, LIMITS)})
        try:
            assert "64x48" in json.loads(get(server, "state"))["top"]["text"]
            with pytest.raises(urllib.error.HTTPError, match="400"):
                get(server, "top")
        finally:
            server.close()


def test_enter_ends_it(monkeypatch):
    shown: list[str] = []
    monkeypatch.setattr(check_arm, "open_page", shown.append)
    person = Person("enter")
    with Camera("top", "", size=SIZE, opener=lambda *_: Pushed()) as camera:
        operator = check_arm.Operator(person)
        check_arm.follow({"top": camera}, {"top": REFERENCE}, check_arm.CheckArmConfig(), operator)
    assert shown[0] in person.questions[0] and "press enter" in person.questions[0]
    with pytest.raises(ValueError, match="--view shows cameras beside references; give --against too"):
        check_arm.main(["--view"])
