"""Signals that end a script run every `finally`, as Ctrl-C does, so that the arm is stopped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# told to end; the terminal is closed, or a ssh connection lost; Ctrl-\\; a console is closed (Windows)
SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK") if hasattr(signal, name)
]


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Inside, such a signal raises SystemExit with the shell's status for it; further ones are ignored.

    A signal that was ignored before (`nohup`) stays ignored. Outside the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    terminals = [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]
    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    earlier = {
        number: handler for number, handler in earlier.items() if handler not in (signal.SIG_IGN, None)
    }

    def end(number: int, _frame: FrameType | None) -> None:
        for other in earlier:
            signal.signal(other, signal.SIG_IGN)
        _leave(terminals)
        raise SystemExit(128 + number)

    for number in earlier:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _leave(terminals: list[int]) -> None:
    """Discard output to a terminal that is gone: it would be an error on the way out."""
    for descriptor in terminals:
        if not os.isatty(descriptor):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
