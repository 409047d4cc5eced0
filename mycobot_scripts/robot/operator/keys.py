"""What scripts ask of the person at the arm: single key presses, answers, lines.

Here from the terminal that a script runs in; no window, so that it works over ssh too. `desk/` asks a page.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO, TypeVar

import numpy as np

from mycobot_scripts.robot.ending import ends_in_order
from teleop import RATES

Answer = TypeVar("Answer")
Look = Callable[[], tuple[np.ndarray, float]]  # newest picture (H, W, 3) uint8 RGB, and its time (s)

_NAMES = {
    "\x1b": "escape", "\r": "enter", "\n": "enter", "\t": "tab", " ": "space", "\x7f": "backspace",
    "\x08": "backspace",
}  # fmt: skip
_SEQUENCES = {"\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left", "\x1b[3~": "delete"}
_SEQUENCES |= {sequence.replace("[", "O"): name for sequence, name in _SEQUENCES.items()}
# What keys without a character send, also those without a name here (Home, F1, Control with an arrow ...): it
# ends in a letter, which is no key of its own.
_SEQUENCE = re.compile(r"\x1b(?:\[\[.|\[[0-?]*[ -/]*[@-~]|O[ -~])")
_BEGUN = re.compile(r"\x1b(?:\[\[?[0-?]*[ -/]*|O)?$")  # escape, or a sequence that is still on its way
_WINDOWS = {"H": "up", "P": "down", "M": "right", "K": "left", "S": "delete"}  # after 00 or E0
# The same keys while a Korean keyboard is set to Hangul: `q` must stop the arm then too.
_HANGUL = dict(
    zip("ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴㅇㄹㅎㅗㅓㅏㅣㅋㅌㅊㅍㅠㅜㅡ", "qwertyuiopasdfghjklzxcvbnm", strict=True)
)
NOBODY = "nobody can answer: standard input is closed; run this in a terminal"
POLL = 0.02  # s between looks while waiting
SEQUENCE_TIME = 0.03  # s that the rest of a sequence may take: over ssh it may come in two pieces


class Keys:
    """What scripts ask of the person at the arm, and what they show; a terminal shows what is printed."""

    def poll(self) -> list[str]:
        """Names of the keys pressed since the last call: a character in lower case, or a word (`enter`)."""
        raise NotImplementedError

    def ask(self, question: str, answers: Mapping[str, Answer]) -> Answer:
        """Print a question, wait for one of the keys in `answers`, and return its answer.

        Enter is easily pressed once too often: it answers only a question that names it (`check_question`).
        """
        raise NotImplementedError

    def line(self, prompt: str) -> str:
        """A line of text that the person types."""
        raise NotImplementedError

    @property
    def rates(self) -> np.ndarray:
        """(7,) of `teleop.RATES` that are held down beside the keys; zero where nothing can be held."""
        return np.zeros(len(RATES))

    def stop_asked(self) -> str | None:
        """Why the person wants the arm to stop, by other means than a key; None to go on."""
        return None

    def meet(self, robot: Any) -> None:
        """The arm (`MyCobotRobot`) is ready, and has not moved; RuntimeError if it must not."""

    def see(self, looks: Mapping[str, Look]) -> bool:
        """Show further pictures by name; whether the person sees them here."""
        return False

    def show(self, **facts: Any) -> None:
        """How it stands (`desk.desk.FACTS`). A function is called whenever somebody looks."""


def decode(text: str) -> list[str]:
    """Key names of what a terminal sent; keys without a name are left out."""
    names, at = [], 0
    while at < len(text):
        if found := _SEQUENCE.match(text, at):
            names += filter(None, [_SEQUENCES.get(found[0])])
            at = found.end()
        else:
            plain = _NAMES.get(text[at]) or text[at].lower()
            names.append(_HANGUL.get(plain, plain))
            at += 1
    return names


def check_question(question: str, answers: Mapping[str, object]) -> None:
    """ValueError where Enter would answer a question that does not offer it."""
    if "enter" in answers and "enter" not in question:
        raise ValueError(f"enter answers {question!r}, which does not say so")


class _Asking(Keys):
    """`ask` for any keyboard that can be polled."""

    is_open = True  # whether anybody is there to press keys

    def ask(self, question: str, answers: Mapping[str, Answer]) -> Answer:
        """See `Keys.ask`; RuntimeError where nobody can answer. What was typed before does not count."""
        check_question(question, answers)
        self.poll()
        print(question, end=" ", flush=True)
        while True:
            for name in self.poll():
                if name in answers:
                    print(name, flush=True)
                    return answers[name]
            if not self.is_open:
                print(flush=True)
                raise RuntimeError(NOBODY)
            time.sleep(POLL)


class TerminalKeys(_Asking):
    """The keyboard of a terminal, unbuffered and without echo while this is open (a context manager).

    Ctrl-C works as usual. The terminal is restored on every exit, also when a signal ends the process.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdin
        self._descriptor = self._stream.fileno()
        self._saved: list[Any] | None = None
        self._ending = ends_in_order()

    def __enter__(self) -> TerminalKeys:
        if self._stream.isatty():
            import termios
            import tty

            self._saved = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        self._ending.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        self._ending.__exit__(None, None, None)

    def _restore(self) -> None:
        if self._saved is not None:
            import termios

            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)

    def poll(self) -> list[str]:
        text = ""
        while self.is_open and select.select([self._descriptor], [], [], self._patience(text))[0]:
            try:
                data = os.read(self._descriptor, 1024)
            except OSError:  # a terminal that is gone
                data = b""
            self.is_open = bool(data)
            text += data.decode(errors="replace")
        return decode(text)

    @staticmethod
    def _patience(text: str) -> float:
        """Seconds to wait for more than the text that came."""
        return SEQUENCE_TIME if _BEGUN.search(text) else 0.0

    def line(self, prompt: str) -> str:
        self._restore()
        try:
            return input(prompt)
        except EOFError:
            raise RuntimeError(NOBODY) from None
        finally:
            if self._saved is not None:
                import tty

                tty.setcbreak(self._descriptor)


class ConsoleKeys(_Asking):
    """The keyboard of a Windows console."""

    def __init__(self) -> None:
        self._ending = ends_in_order()
        self.is_open = sys.stdin is not None and sys.stdin.isatty()

    def __enter__(self) -> ConsoleKeys:
        self._ending.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.__exit__(None, None, None)

    def poll(self) -> list[str]:
        import msvcrt

        names: list[str] = []
        while msvcrt.kbhit():
            character = msvcrt.getwch()
            if character in "\x00\xe0":
                names += filter(None, [_WINDOWS.get(msvcrt.getwch())])
            else:
                names += decode(character)
        return names

    def line(self, prompt: str) -> str:
        try:
            return input(prompt)
        except EOFError:
            raise RuntimeError(NOBODY) from None


def open_keys() -> TerminalKeys | ConsoleKeys:
    """The keyboard of this machine, to be used in a `with` statement."""
    return ConsoleKeys() if os.name == "nt" else TerminalKeys()


def legend(bindings: Sequence[tuple[str, str]]) -> str:
    """`q: stop   space: capture`."""
    return "   ".join(f"{key}: {meaning}" for key, meaning in bindings)
