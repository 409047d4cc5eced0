"""A thread in simulated time, for `BackgroundExecution`: time passes only when somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Protocol


class Timed(Protocol):
    """Something with a time (s)."""

    time: float


class Due(Future):
    """What will be there at a time (s)."""

    def __init__(self, body: Timed, value: Any, due: float) -> None:
        super().__init__()
        self._body, self._value, self._due = body, value, due

    def done(self) -> bool:
        return self._body.time >= self._due

    def result(self, timeout: float | None = None) -> Any:
        self._body.time = max(self._body.time, self._due)
        return self._value


class SimulatedThread(Executor):
    """Computes at once, and has results when the body's time has gone on by the work that they took."""

    def __init__(self, body: Timed) -> None:
        self.body, self._work = body, 0.0

    def work(self, seconds: float) -> None:
        """What runs now takes so long."""
        self._work += seconds

    def now(self) -> float:
        return self.body.time + self._work

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        value = function(*args, **kwargs)
        due, self._work = self.now(), 0.0
        return Due(self.body, value, due)
