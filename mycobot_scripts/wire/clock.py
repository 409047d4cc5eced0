"""The clock that drives an arm; its seconds take longer while a twin moves in slow motion.

Every time stamp and deadline of an arm comes from here, in the twin's simulation and in whoever drives it.
Waiting for this computer itself (a port, a thread, a disk) takes real time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

SLOWEST = 0.1

_pace = 1.0  # of this process, which drives one arm


def pace() -> float:
    """Seconds of this clock in a real one."""
    return _pace


@contextlib.contextmanager
def slowed(factor: float) -> Iterator[None]:
    """Inside, the clock goes slower: at 0.5 half as fast as real time."""
    global _pace
    before, _pace = _pace, factor
    try:
        yield
    finally:
        _pace = before


def now() -> float:
    """Seconds since a fixed moment. `time.monotonic` would advance by 15.6 ms at a time on Windows."""
    return time.perf_counter() * _pace


def real(seconds: float) -> float:
    """Real seconds that so many of this clock take: how long to wait."""
    return seconds / _pace


def sleep(seconds: float) -> None:
    """Wait for so many seconds of this clock."""
    time.sleep(real(seconds))
