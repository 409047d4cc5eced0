"""Keys from a terminal, which is as before afterwards, however the script ends."""

import os
import pty
import signal
import subprocess
import sys
import termios
import textwrap
import threading
import time

import pytest
from repository import ROOT

from mycobot_scripts.robot.operator.keys import TerminalKeys, decode, legend


@pytest.fixture
def terminal():
    """Both ends of a pseudo-terminal: what a person types into, and what the script reads."""
    person, script = pty.openpty()
    with os.fdopen(script, "r", closefd=True) as stream:
        yield person, stream
    os.close(person)


def mode(stream) -> list:
    return termios.tcgetattr(stream.fileno())


def test_names():
    assert decode("qQ \r\n\x7f\t") == ["q", "q", "space", "enter", "enter", "backspace", "tab"]
    assert decode("a\x1b[A\x1b[D\x1bOB\x1b") == ["a", "up", "left", "down", "escape"]
    assert decode("\x1bq") == ["escape", "q"] and decode("\x1b\x1b[A") == ["escape", "up"]
    assert decode("ㅂㅏ") == ["q", "k"]  # the same keys, typed in Hangul
    assert legend([("q", "stop"), ("space", "capture")]) == "q: stop   space: capture"


def test_keys_without_a_name_do_nothing():
    """Home, End, PageDown, arrows with Control or Shift, F1 to F5, Delete in between."""
    sent = "\x1b[H \x1b[F \x1b[6~ \x1b[1;5C \x1b[1;2B \x1bOP \x1b[[A \x1b[15~ \x1b[3~"
    assert decode(sent) == [*["space"] * 8, "delete"]


def test_a_sequence_that_comes_in_two_pieces_is_one_key(terminal):
    person, stream = terminal
    with TerminalKeys(stream) as keys:
        os.write(person, b"k\x1b")
        rest = threading.Timer(0.005, os.write, (person, b"[A"))
        rest.start()
        assert keys.poll() == ["k", "up"]
        rest.join()
        os.write(person, b"\x1b")
        assert keys.poll() == ["escape"]


def test_keys_come_one_by_one_and_at_once(terminal):
    person, stream = terminal
    before = mode(stream)
    with TerminalKeys(stream) as keys:
        assert mode(stream)[3] & (termios.ICANON | termios.ECHO) == 0
        assert mode(stream)[3] & termios.ISIG  # Ctrl-C is still that
        assert keys.poll() == []
        os.write(person, b"k\x1b[C")
        assert keys.poll() == ["k", "right"]
        assert keys.poll() == []
    assert mode(stream) == before


def test_the_terminal_is_put_back_after_an_error(terminal):
    _, stream = terminal
    before = mode(stream)
    with pytest.raises(ValueError, match="some error"), TerminalKeys(stream):
        raise ValueError("some error")
    assert mode(stream) == before


def test_questions_take_only_their_answers(terminal, capsys):
    person, stream = terminal
    with TerminalKeys(stream) as keys:
        os.write(person, b"n")  # before the question
        polled, typed = keys.poll, iter([b"", b"x", b"y"])  # once the question stands there

        def poll_then_type():
            os.write(person, next(typed, b""))
            return polled()

        keys.poll = poll_then_type
        assert keys.ask("keep it?", {"y": "yes", "n": "no"}) == "yes"
    assert capsys.readouterr().out == "keep it? y\n"


def test_enter_answers_only_where_it_is_offered(terminal, capsys):
    person, stream = terminal
    with TerminalKeys(stream) as keys:
        with pytest.raises(ValueError, match="enter answers .keep it"):
            keys.ask("keep it? [y/n]", {"y": 1, "enter": 1, "n": 0})
        polled, typed = keys.poll, iter([b"", b"\n", b"\r\n", b"n"])

        def poll_then_type():
            os.write(person, next(typed, b""))
            return polled()

        keys.poll = poll_then_type
        assert keys.ask("keep it? [y/n]", {"y": 1, "n": 0}) == 0


def test_nobody_there():
    read, write = os.pipe()
    os.write(write, b"q")
    os.close(write)
    with os.fdopen(read) as stream, TerminalKeys(stream) as keys:  # no terminal: nothing to put back
        assert keys.poll() == ["q"]
        with pytest.raises(RuntimeError, match="standard input is closed; run this in a terminal"):
            keys.ask("keep it?", {"y": 1})


WAITING = """
    import sys, time
    sys.path.insert(0, {root!r})
    from mycobot_scripts.robot.operator.keys import open_keys
    with open_keys() as keys:
        print("ready", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_terminal_is_put_back_when_the_process_is_told_to_end(terminal, number):
    _, stream = terminal
    before = mode(stream)
    code = textwrap.dedent(WAITING).format(root=str(ROOT))
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=stream, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        assert mode(stream) != before
        process.send_signal(number)
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.returncode not in (None, 0)
    assert mode(stream) == before
