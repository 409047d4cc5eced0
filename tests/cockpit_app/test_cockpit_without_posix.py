"""Where POSIX is absent (`no_posix/sitecustomize.py`): the cockpit, its jobs, and the desk of an arm."""

import re
import subprocess
import time
from http import HTTPStatus
from types import SimpleNamespace

import pytest
from browser import wait_until
from repository import ROOT
from synthetic import make_dataset
from test_cockpit_server import do, look, tell
from test_without_posix import masked

PATIENCE = 300  # s; masked processes are slow, and the machine may be busy


@pytest.fixture(scope="module")
def cockpit(tmp_path_factory):
    """A masked cockpit in a process of its own, with a dataset."""
    here = tmp_path_factory.mktemp("조종석")
    make_dataset(here / "data/set", 2)
    words = (ROOT / "cockpit.py", "--port", 0, "--no_browser", "--robot", "twin")
    process = subprocess.Popen(**masked(here, words), stdout=subprocess.PIPE, text=True)
    url, port, token = re.search(r"(http://[\d.]+:(\d+))/\?token=(\S+)", process.stdout.readline()).groups()
    yield SimpleNamespace(url=url, cookie=f"cockpit_{port}", token=token, address=f"{url}/?token={token}")
    process.terminate()
    process.communicate(timeout=60)


def until(what):
    deadline = time.monotonic() + PATIENCE
    while not (result := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return result


def start(cockpit, program, **values):
    """The number of a job that is started."""
    _, answer = do(cockpit, "start", {"program": program, "values": values})
    assert not answer["problems"], answer
    return answer["job"]["number"]


def job(cockpit, number):
    return next(one for one in tell(cockpit, "jobs")[1] if one["number"] == number)


def ended(cockpit, number):
    return until(lambda: (one := job(cockpit, number))["ended"] and one)


def test_pages_are_served_and_a_job_runs_to_its_end(cockpit):
    page = look(cockpit, "/")[2].decode("utf-8")
    names = [path.name for path in (ROOT / "cockpit_app/web").iterdir() if path.suffix != ".html"]
    assert {name for name in names if look(cockpit, f"/web/{name}")[0] != HTTPStatus.OK} == set()
    told = tell(cockpit, "overview")[1]
    assert [one["path"] for one in told["datasets"]] == ["data/set"] and told["tasks"] and told["presets"]
    assert tell(cockpit, "flags", program="train")[1]["flags"]
    change = {"dataset_dir": "data/set", "output_dir": "data/short", "steps": "20"}
    done = ended(cockpit, start(cockpit, "change_truncate", **change))
    assert done["state"] == "done" and done["shown"].startswith("python "), done
    film = tell(cockpit, "takes", path="data/set")[1]["takes"][0]["film"]
    key = re.search(r'key"? content="([^"]+)"', page)[1]
    assert look(cockpit, f"/view/{key}/{film}")[2][4:8] == b"ftyp"


def test_the_pages_work_in_a_browser(cockpit, driver):
    driver.get(cockpit.address)
    for name in ("home", "record", "data", "train", "run", "results", "arm"):
        driver.get(f"{cockpit.url}/?{name}#{name}")
        wait_until(driver, "document.querySelector('main > div')")
    assert driver.get_log("browser") == []
    driver.get("about:blank")


@pytest.mark.slow
def test_the_twin_is_driven_at_the_desk_until_it_is_stopped(cockpit):
    number = start(cockpit, "drive", pace="0.5", stale="20", frozen="60")
    beats = iter(range(10**6))

    def say(name, **body):
        body = {"job": number, "name": name, "body": {"client": "page", **body}}
        status, state = do(cockpit, "desk", body)
        return state if status == HTTPStatus.OK else {}

    until(lambda: say("beat", number=next(beats)).get("jog") or job(cockpit, number)["ended"])
    state = say("beat", number=next(beats), rates=[0, 0, 0, 0, 0, 1, 0])
    assert state.get("owner") == "page" and state["cameras"], tell(cockpit, "output", job=number)
    assert look(cockpit, f"/desk/{number}/{state['cameras'][0]}.jpg")[2][:2] == b"\xff\xd8"
    do(cockpit, "stop", {"job": number})
    assert ended(cockpit, number)["state"] == "stopped"
