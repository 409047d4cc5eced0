"""One at a time: the second is told who is there, a dead one holds nothing, a lock is never in the way."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from repository import ROOT

from common.storage import locks
from common.storage.locks import Held, hold, hold_briefly, hold_name

HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from common.storage.locks import hold
with hold(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


def is_held(folder: Path) -> bool:
    """Whether a command is at work in a folder."""
    try:
        with hold(folder):
            return False
    except Held:
        return True


@pytest.fixture
def other(tmp_path):
    """Another process that holds tmp_path / "data"."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, ROOT, tmp_path / "data"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_is_told_who_holds_a_folder_and_changes_nothing(other, tmp_path):
    with (
        pytest.raises(Held, match=f"at work in .*data: process {other.pid}, .*, since 20") as caught,
        hold(tmp_path / "data"),
    ):
        pytest.fail("let in")
    assert "wait until it is done, or end it" in str(caught.value) and "\n" not in str(caught.value)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert is_held(tmp_path / "link") and is_held(tmp_path / "data" / ".." / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_lock_that_a_dead_process_left_is_taken_over(other, tmp_path):
    other.send_signal(signal.SIGKILL)
    other.wait()
    with hold(tmp_path / "data"):
        assert is_held(tmp_path / "data")
    assert not is_held(tmp_path / "data")


def test_a_folder_is_made_and_removed_again_unless_something_is_in_it(tmp_path):
    with hold(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with hold(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["file"]


def test_other_folders_are_free_meanwhile(other, tmp_path):
    with hold(tmp_path / "others"), hold(tmp_path):
        pass


def test_an_old_note_does_not_speak_for_the_holder(other, tmp_path):
    note = locks._note(tmp_path / "data")
    note.write_text(note.read_text().replace('"began": ', '"began": 1'))
    with pytest.raises(Held, match="an unknown process"), hold(tmp_path / "data"):
        pass


def test_names_are_held_like_folders():
    name = f"/dev/no-such-port-{os.getpid()}"
    with (
        hold_name(name, "busy"),
        pytest.raises(Held, match=f"^busy: process {os.getpid()}, "),
        hold_name(name, "busy"),
    ):
        pytest.fail("let in")
    with hold_name(name, "busy"):
        pass
    assert not locks._note(name).exists()


def test_where_locks_do_not_work_everybody_is_let_in(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks, "_lock", refuse)
    with hold(tmp_path), hold(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_left_to_whoever_writes_there(tmp_path):
    (tmp_path / "file").touch()
    with hold(tmp_path / "file" / "data"), hold(tmp_path / "file" / "data"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_held_for_a_moment_is_waited_for(tmp_path):
    name, order = tmp_path / "list.json", []
    first, waiting = threading.Event(), threading.Thread(target=lambda: second())

    def second() -> None:
        first.set()
        with hold_briefly(name):
            order.append("second")

    with hold_briefly(name):
        waiting.start()
        first.wait()
        with (
            pytest.raises(Held, match="another command writes .*list.json"),
            hold_briefly(name, patience=0.1),
        ):
            order.append("neither")
        order.append("first")
    waiting.join()
    assert order == ["first", "second"] and not name.exists()
