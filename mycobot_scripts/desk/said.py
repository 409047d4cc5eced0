"""What a script prints, for a page: whole lines, and the line that is written over again and again."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import TextIO

KEPT, LONGEST = 30, 600  # lines, and characters of one


class Said:
    """The last lines of an output, and its status line: one that began with a carriage return."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._lock, self._begun = threading.Lock(), ""
        self._number, self._status = 0, ""

    def hear(self, text: str) -> None:
        """A part of the output."""
        with self._lock:
            *whole, self._begun = (self._begun + text).split("\n")
            for line in whole:
                if "\r" in line.rstrip("\r"):
                    continue  # a status line that is done
                self._keep(line)
            if "\r" in self._begun:
                self._begun = self._begun[self._begun.rindex("\r") :]
                self._status = self._begun.strip()[:LONGEST]
            elif whole:
                self._status = ""

    def _keep(self, line: str) -> None:
        if line.strip():
            self._number += 1
            self._lines.append((self._number, line.strip()[:LONGEST]))

    def lines(self) -> list[dict[str, object]]:
        """The last lines, each with its number from the beginning."""
        with self._lock:
            return [{"n": number, "text": text} for number, text in self._lines]

    @property
    def status(self) -> str:
        """The status line; "" where other lines came after it."""
        return self._status


class _Heard:
    """A stream whose output somebody else hears too."""

    def __init__(self, stream: TextIO, said: Said) -> None:
        self._stream, self._said = stream, said

    def write(self, text: str) -> int:
        self._said.hear(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def heard(said: Said) -> Iterator[None]:
    """Inside, `said` hears what is printed."""
    with contextlib.redirect_stdout(_Heard(sys.stdout, said)):
        yield
