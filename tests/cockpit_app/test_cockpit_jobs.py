"""Jobs are processes of their own: they outlive the cockpit, stop as by Ctrl-C, and tell how they ended."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from repository import ROOT

from cockpit_app import jobs as jobs_module
from cockpit_app.jobs import Jobs, plain, read_progress
from cockpit_app.runner import STARTED

PATIENCE = 60  # s


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path / "jobs")


@pytest.fixture
def start(jobs, tmp_path):
    """Start a script that is given as a text."""

    def start(text, *words):
        script = tmp_path / "script.py"
        script.write_text(text, encoding="utf-8")
        return jobs.start("train", [str(script), *words], "runs/x", {"a": "1"}, tmp_path)

    return start


def wait(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.05)


def ended(job):
    wait(lambda: job.ended() is not None)
    return job.state()


def test_a_job_runs_where_it_should_and_says_so(start, jobs, tmp_path):
    job = start("import os, sys; print(os.getcwd(), *sys.argv[1:], sys.stdin.read() == '')", "a b", "--c")
    assert ended(job) == "done"
    assert job.output()[0] == f"{os.path.realpath(tmp_path)} a b --c True\n"
    about = jobs.get(job.number).describe()
    assert (about["title"], about["values"], about["last"]) == ("runs/x", {"a": "1"}, job.output()[0].strip())
    assert about["shown"].startswith("python3 ") and about["shown"].endswith("'a b' --c")
    text, end = job.output()
    assert job.output(end) == ("", end) and job.output(end - 2)[0] == text[-2:]
    assert job.output(10**9) == ("", end)


def test_a_job_that_fails_says_its_last_line(start):
    job = start("raise SystemExit('error: --lr is 0')")
    assert ended(job) == "failed"
    assert job.describe()["last"] == "error: --lr is 0"


WAITS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("saved")
    raise SystemExit(130)
"""


def test_stop_is_ctrl_c(start, jobs):
    job = start(WAITS)
    wait(lambda: "ready" in job.output()[0])
    assert job.state() == "running"
    with pytest.raises(ValueError, match="still runs; stop it first"):
        jobs.forget(job.number)
    jobs.stop(job.number)
    assert ended(job) == "stopped" and job.output()[0].endswith("saved\n")
    jobs.stop(job.number)  # of one that has ended does nothing
    jobs.forget(job.number)
    assert jobs.all() == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_what_does_not_heed_a_stop_can_be_ended_at_once(start, jobs):
    job = start(WAITS.replace("signal.default_int_handler", "signal.SIG_IGN"))
    wait(lambda: "ready" in job.output()[0])
    jobs.stop(job.number)
    time.sleep(0.5)
    assert job.state() == "stopping"
    jobs.stop(job.number, at_once=True)
    assert ended(job) == "stopped"


def test_what_runs_is_listed_however_many_came_later(start, jobs, monkeypatch):
    monkeypatch.setattr(jobs_module, "LISTED", 2)
    runs = start(WAITS)
    wait(lambda: "ready" in runs.output()[0])
    for _ in range(3):
        ended(start("pass"))
    assert [job.number for job in jobs.listed()] == ["4", "3", runs.number]
    jobs.stop(runs.number)
    ended(runs)
    assert [job.number for job in jobs.listed()] == ["4", "3"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_stop_twice_is_stop(start, jobs):
    """A double click, or two browsers: what is being saved is saved all the same."""
    job = start(WAITS)
    wait(lambda: "ready" in job.output()[0])
    jobs.stop(job.number)
    jobs.stop(job.number)
    assert ended(job) == "stopped" and job.output()[0].endswith("saved\n")


LEADS = """
import subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
while worker.poll() is None:
    try:
        worker.wait()
    except KeyboardInterrupt:
        pass
"""
WORKS = """
import time
try:
    print("working", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("told")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_workers_are_told_too(start, jobs):
    job = start(LEADS, WORKS)
    wait(lambda: "working" in job.output()[0])
    jobs.stop(job.number)
    ended(job)
    assert job.output()[0] == "working\ntold\n"


STARTS = """
import sys
from pathlib import Path
from cockpit_app.jobs import Jobs
Jobs(Path(sys.argv[1])).start("train", [sys.argv[2]], "x", {}, Path(sys.argv[1]))
"""


def test_a_job_outlives_the_cockpit_that_started_it(jobs, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import time\ntime.sleep(1)\nprint('whole')", encoding="utf-8")
    command = [sys.executable, "-c", STARTS, str(jobs.folder), str(script)]
    jobs.folder.mkdir()
    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE)  # ends at once, and is no parent any more
    (job,) = jobs.all()
    assert ended(job) == "done" and job.output()[0] == "whole\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_one_that_was_killed_is_lost_and_not_running_for_ever(start):
    job = start("import time\nprint('ready', flush=True)\ntime.sleep(60)")
    wait(lambda: "ready" in job.output()[0])
    processes = json.loads((job.folder / STARTED).read_text())
    os.kill(processes["runner"]["pid"], signal.SIGKILL)
    time.sleep(0.2)
    assert job.state() == "running"  # the script itself goes on
    os.kill(processes["script"]["pid"], signal.SIGKILL)
    assert ended(job) == "lost"


def test_damaged_folders_are_passed_over(start, jobs):
    ended(start("print(1)"))
    for name in ("7", "8", "x"):
        (jobs.folder / name).mkdir()
    (jobs.folder / "8/job.json").write_text("{")
    assert [job.number for job in jobs.all()] == ["1"]
    assert start("print(2)").number == "2"


@pytest.mark.parametrize("number", ["2", "../1", "1/", "", None, 1, "x", "１"])
def test_numbers_of_no_job_are_refused(jobs, start, number):
    ended(start("print(1)"))
    with pytest.raises(ValueError, match="job"):
        jobs.get(number)


BAR = "training:  41%|####      | 574/1400 [01:10<01:40,  8.19step/s, loss=0.0461]"


def test_progress_is_what_the_last_bar_says():
    progress = read_progress(f"x\ntraining:   0%|  | 0/1400 [00:00<?, ?step/s]\r{BAR}\r\nsaved\n")
    assert (progress.what, progress.done, progress.total) == ("training", 574, 1400)
    assert (progress.elapsed, progress.left, progress.rate) == ("01:10", "01:40", "8.19step/s")
    assert read_progress("no bar at 5%") is None


def test_an_output_is_shown_as_a_terminal_shows_it():
    assert plain("a\rbc\nd\r\n\x1b[31me\x1b[0m\r") == "bc\nd\ne"
