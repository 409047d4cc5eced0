"""The cockpit and the arm: one job at a time drives it, and its desk is reached through the cockpit alone."""

import os
import time
from http import HTTPStatus

import numpy as np
import pytest
from test_cockpit_server import ask, do, look, tell

from cockpit_app.arm import access as arm_module
from cockpit_app.arm.access import ARM_PROGRAMS, ArmDefaults, describe, make_free
from cockpit_app.arm.relay import DESK
from cockpit_app.jobs import Jobs
from cockpit_app.network import keep_token
from cockpit_app.places import Places
from cockpit_app.programs import PROGRAMS
from cockpit_app.runner import ENDED, STARTED, STOP, write_json
from cockpit_app.server import FOLDER, Cockpit
from common import began
from mycobot_scripts.desk.desk import Desk
from mycobot_scripts.desk.opening import write_address
from mycobot_scripts.desk.server import DeskServer
from mycobot_scripts.robot import STOP as STOP_PRESSED

ME = {"pid": os.getpid(), "began": began(os.getpid())}


@pytest.fixture
def cockpit(tmp_path):
    (tmp_path / "runs").mkdir()
    places = Places.of("data", "runs", tmp_path)
    real = ArmDefaults("mycobot320", "/dev/ttyUSB7", "top=/dev/v4l/by-id/usb-1", str(tmp_path / "mine.json"))
    cockpit = Cockpit(places, keep_token(tmp_path / "runs" / FOLDER), arm=real)
    yield cockpit
    cockpit.close()


@pytest.fixture
def desk():
    desk = Desk({"task": "a task", "robot": "twin", "script": "drive_arm"})
    desk.see({"top": lambda: (np.zeros((48, 64, 3), np.uint8), time.monotonic())})
    desk.server = DeskServer(desk)
    yield desk
    desk.server.close()
    desk.close()


def a_job(jobs, program="drive", desk=None):
    """A job that seems to run: this process."""
    folder = jobs.folder / str(len(jobs.all()) + 1)
    folder.mkdir(parents=True)
    about = {"program": program, "values": {}, "title": "", "shown": "", "at": time.time(), "command": []}
    write_json(folder / "job.json", about)
    write_json(folder / STARTED, {"script": ME})
    if desk is not None:
        server = desk.server
        write_address(folder / DESK, {"url": server.url, "token": server.token, "pid": os.getpid()})
    return folder


def end(folder):
    write_json(folder / ENDED, {"status": 0, "at": time.time()})


def say(cockpit, job, name, **body):
    return do(cockpit, "desk", {"job": job, "name": name, "body": body})


# --- the desk of a job


def test_pages_reach_the_desk_of_a_job(cockpit, desk):
    folder = a_job(cockpit.jobs, desk=desk)
    status, state = say(cockpit, folder.name, "beat", client="page", number=1, keys=["h"])
    assert status == HTTPStatus.OK and state["owner"] == "page" and state["cameras"] == ["top"]
    assert desk.poll() == ["h"]
    status, headers, jpeg = look(cockpit, f"/desk/{folder.name}/top.jpg")
    assert status == HTTPStatus.OK and headers["Content-Type"] == "image/jpeg" and jpeg[:2] == b"\xff\xd8"
    assert tell(cockpit, "overview")[1]["arm"]["job"] == folder.name
    assert say(cockpit, folder.name, "stop", client="another")[1]["stopped"] == STOP_PRESSED
    status, why = say(cockpit, folder.name, "answer", client="another", question=1, key="y")
    assert status == HTTPStatus.CONFLICT and "take it over" in why["error"]


def test_a_stream_is_passed_on_until_the_page_leaves(cockpit, desk):
    import http.client

    folder = a_job(cockpit.jobs, desk=desk)
    connection = http.client.HTTPConnection("127.0.0.1", cockpit.server_address[1], timeout=60)
    connection.request(
        "GET", f"/desk/{folder.name}/top", headers={"Cookie": f"{cockpit.cookie}={cockpit.token}"}
    )
    answer = connection.getresponse()
    assert answer.getheader("Content-Type").startswith("multipart/x-mixed-replace")
    assert answer.readline() == b"--frame\r\n"
    connection.close()


def test_nobody_looks_through_the_relay_without_the_token(cockpit, desk):
    folder = a_job(cockpit.jobs, desk=desk)
    body = {"job": folder.name, "name": "stop", "body": {"client": "x"}}
    assert ask(cockpit, f"/desk/{folder.name}/top.jpg")[0] == HTTPStatus.FORBIDDEN
    assert do(cockpit, "desk", body, X_Token=None)[0] == HTTPStatus.FORBIDDEN
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        assert look(cockpit, f"/desk/{folder.name}/top.jpg", **headers)[0] == HTTPStatus.FORBIDDEN
        assert do(cockpit, "desk", body, **headers)[0] == HTTPStatus.FORBIDDEN
    assert desk.stop_asked() is None


@pytest.mark.parametrize(
    "camera", ["state", "..", "../state", "%2e%2e/state", "beat", "", "top.jpg?x", "%0d%0aX"]
)
def test_only_cameras_are_passed_on(cockpit, desk, camera):
    folder = a_job(cockpit.jobs, desk=desk)
    status, _, body = look(cockpit, f"/desk/{folder.name}/{camera}")
    if camera != "top.jpg?x":
        assert status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN) and b"token" not in body.lower()


@pytest.mark.parametrize("job", ["../1", "1/..", "", "x", "99", 1, None, ["1"]])
def test_a_job_is_named_by_its_number(cockpit, desk, job):
    a_job(cockpit.jobs, desk=desk)
    assert say(cockpit, job, "stop", client="x")[0] == HTTPStatus.BAD_REQUEST
    assert desk.stop_asked() is None
    if isinstance(job, str):
        assert look(cockpit, f"/desk/{job}/top.jpg")[0] in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)


def test_strange_requests_get_one_line(cockpit, desk):
    folder = a_job(cockpit.jobs, desk=desk)
    for name, body in (("state", {}), (None, {}), ("beat", None), ("beat", []), ("../stop", {})):
        status, why = do(cockpit, "desk", {"job": folder.name, "name": name, "body": body})
        assert status == HTTPStatus.BAD_REQUEST and "\n" not in why["error"]
    assert say(cockpit, folder.name, "beat", client=5)[0] == HTTPStatus.BAD_REQUEST


def test_a_job_without_a_desk_says_so(cockpit, desk):
    without, ended, lost = (a_job(cockpit.jobs, desk=each) for each in (None, desk, desk))
    end(ended)
    (lost / DESK).write_text('{"url": "http://example.org:80", "token": "x"}')
    for folder in (without, ended, lost):
        status, why = say(cockpit, folder.name, "beat", client="page", number=1)
        assert status == HTTPStatus.NOT_FOUND and "has no desk" in why["error"]
    (lost / DESK).write_text('{"url": "http://127.0.0.1:9", "token": "x"}')
    status, why = say(cockpit, lost.name, "beat", client="page", number=1)
    assert status == HTTPStatus.BAD_GATEWAY and "does not answer" in why["error"]


def test_to_stop_a_job_stops_its_arm_first(cockpit, desk):
    folder = a_job(cockpit.jobs, desk=desk)
    assert do(cockpit, "stop", {"job": folder.name})[0] == HTTPStatus.OK
    assert desk.stop_asked() == STOP_PRESSED and (folder / STOP).exists()


# --- one arm, one job


def test_one_job_at_a_time_drives_the_arm(tmp_path, monkeypatch):
    monkeypatch.setattr(arm_module, "PATIENCE", 0.3)
    jobs = Jobs(tmp_path)
    other = a_job(jobs, "train")
    make_free(jobs, "arm_run")
    records = a_job(jobs, "arm_record")
    for program in ARM_PROGRAMS:
        with pytest.raises(
            ValueError, match=rf"job {records.name} \(arm_record\) drives the arm; stop it first"
        ):
            make_free(jobs, program)
    make_free(jobs, "train")
    end(records)
    drives = a_job(jobs, "drive")
    with pytest.raises(ValueError, match="does not end"):
        make_free(jobs, "arm_run")
    assert (drives / STOP).exists() and not (other / STOP).exists()
    end(drives)
    make_free(jobs, "arm_run")
    assert describe(jobs, ArmDefaults("twin")) == {"robot": "twin", "job": None, "defaults": {}}


# --- forms


def test_the_arms_forms_have_the_cockpits_defaults(cockpit, tmp_path):
    assert {name for name, program in PROGRAMS.items() if program.is_arm} == set(ARM_PROGRAMS)
    words, problems = cockpit.programs.command("drive", {})
    assert not problems and words[1:] == [
        *("--robot", "mycobot320", "--port", "/dev/ttyUSB7", "--cameras", "top=/dev/v4l/by-id/usb-1"),
        *("--arm_file", str(tmp_path / "mine.json")),
    ]
    told = {flag["name"]: flag for flag in cockpit.programs.told("arm_record", {})["flags"]}
    assert told["port"]["default"] == "/dev/ttyUSB7" and not {"robot", "desk", "recover"} & told.keys()
    assert "unattended" in told
    words, problems = cockpit.programs.command("arm_check", {"cameras": "top=1", "port": "COM3"})
    assert not problems and words[words.index("--cameras") + 1] == "top=1"
    assert words[words.index("--output_dir") + 1] == "runs/check_arm"
    assert tell(cockpit, "overview")[1]["arm"]["defaults"]["cameras"] == "top=/dev/v4l/by-id/usb-1"


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("port", "/etc/passwd"),
        ("port", "/dev/../etc/passwd"),
        ("port", "/dev/ttyUSB0/../../etc/x"),
        ("cameras", "top=/etc/passwd"),
        ("cameras", "top=file:///etc/passwd"),
        ("cameras", "top=1,wrist=../x"),
        ("arm_file", "/etc/passwd"),
        ("desk", "/etc/passwd"),
    ],
)
def test_no_form_names_other_files(cockpit, flag, value):
    words, problems = cockpit.programs.command("arm_check", {flag: value})
    assert flag in problems and value not in words


@pytest.mark.slow
def test_a_page_drives_the_twin_through_the_cockpit(cockpit, tmp_path):
    twin = Cockpit(cockpit.places, cockpit.token, arm=ArmDefaults("twin"))
    try:
        slow = {"pace": "0.2", "stale": "20", "frozen": "60"}
        status, answer = do(twin, "start", {"program": "drive", "values": slow})
        assert status == HTTPStatus.OK and "--desk" not in answer["job"]["shown"]
        job, beats = answer["job"]["number"], 0

        def beat(**body):
            nonlocal beats
            beats += 1
            time.sleep(0.05)
            return say(twin, job, "beat", client="page", number=beats, **body)[1]

        def until(holds, **body):
            deadline = time.monotonic() + 180
            while not holds(state := beat(**body)):
                assert time.monotonic() < deadline, state
            return state

        state = until(lambda state: state.get("jog"))
        assert state["robot"] == "twin" and state["cameras"] == ["top", "right_wrist"]
        before = state["qpos"]
        until(lambda state: abs(np.subtract(state["qpos"], before)).max() > 0.02, rates=[0, 0, 1, 0, 0, 0, 0])
        assert say(twin, job, "stop", client="a tablet")[1]["stopped"] == STOP_PRESSED
        assert look(twin, f"/desk/{job}/top.jpg")[2][:2] == b"\xff\xd8"
        do(twin, "stop", {"job": job})
        deadline = time.monotonic() + 60
        while twin.jobs.get(job).ended() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert twin.jobs.get(job).state() == "stopped" and not (twin.jobs.get(job).folder / DESK).exists()
    finally:
        twin.close()
