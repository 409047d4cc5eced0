"""Workers end with their command; what the dead left in memory goes, what the living have stays."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from repository import ROOT

from common.processes import began, has_ended, sweep_shared_memory, who_opened

posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and /dev/shm")
MAIN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tqdm import tqdm
from common.work.parallel import Workers, spread
calls = [(float(sys.argv[2]),)] * 8
with tqdm(total=8, disable=True) as bar, spread(time.sleep, calls, Workers(2), bar) as results:
    print("working", flush=True)
    for result in results:
        print("one", flush=True)
"""


def start_main(seconds):
    """A command with two workers, each call of which takes a while; in a group of its own."""
    command = [sys.executable, "-c", MAIN, str(ROOT), str(seconds)]
    main = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert main.stdout.readline() == "working\n"
    return main


@posix_only
@pytest.mark.parametrize("seconds", [0.2, 300], ids=["calls that end", "a call that does not"])
def test_workers_end_with_their_command(seconds):
    main = start_main(seconds)
    if seconds < 1:
        assert main.stdout.readline() == "one\n"
    deadline = time.monotonic() + 30
    while len(family := psutil.Process(main.pid).children(recursive=True)) < 3:  # two, and joblib's tracker
        assert time.monotonic() < deadline
        time.sleep(0.02)
    main.kill()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == [], "loky's own patience is 300 s"
    main.communicate()


@posix_only
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="Linux")
def test_shared_memory_of_a_dead_run_is_swept_by_the_next():
    main = start_main(300)
    theirs = Path("/dev/shm")
    while not (entries := list(theirs.glob(f"sem.loky-{main.pid}-*"))):
        time.sleep(0.02)
    sweep_shared_memory()
    assert set(theirs.glob(f"sem.loky-{main.pid}-*")) >= set(entries), "it lives"
    os.killpg(main.pid, signal.SIGKILL)  # with joblib's own tracker, which otherwise cleans up
    main.communicate()
    again = start_main(0)
    assert again.wait(60) == 0
    assert not list(theirs.glob(f"sem.loky-{main.pid}-*"))
    again.communicate()


@posix_only
def test_folders_that_joblib_shares_arrays_by_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        folder = tmp_path / f"joblib_memmapping_folder_{pid}_a_b"
        folder.mkdir()
        (folder / "array.pkl").touch()
    (tmp_path / "joblib_memmapping_folder_of_mine").mkdir()
    sweep_shared_memory()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"joblib_memmapping_folder_{os.getpid()}_a_b", "joblib_memmapping_folder_of_mine"]
    )


def test_zombies_have_ended_and_numbers_come_again():
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    child.stdout.read()
    deadline = time.monotonic() + 30
    while began(child.pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.communicate()
    assert has_ended(child.pid, "", time.time())
    assert not has_ended(os.getpid(), "", time.time()) and has_ended(os.getpid(), "", 0.0)
    assert not has_ended(child.pid, "another machine", time.time()), "that cannot be told from here"


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_setting_the_clock_changes_nothing_about_when_a_process_began(monkeypatch):
    before = began(os.getpid())
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: 0.0)
    assert began(os.getpid()) == before


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_who_has_a_file_open(tmp_path):
    path = tmp_path / "port"
    path.touch()
    assert who_opened(path) == ""
    code = "import sys, time; file = open(sys.argv[1]); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert who_opened(path).startswith(f"process {other.pid}, ")
        other.kill()
