"""Work that a program hands to a thread of its own, so as not to wait for the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

MOST_WAITING = 4  # jobs; each may hold a copy of all weights


class Background:
    """Does one job after the other, in a thread. The error of a job is raised by a later call."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._jobs: deque[Future] = deque()

    def do(self, job: Callable[..., object], *arguments: Any) -> None:
        """Add a job; waits while too many others do."""
        while self._jobs and (self._jobs[0].done() or len(self._jobs) >= MOST_WAITING):
            self._jobs.popleft().result()
        self._jobs.append(self._pool.submit(job, *arguments))

    def wait(self) -> None:
        """Return when all is done."""
        while self._jobs:
            self._jobs.popleft().result()

    def __enter__(self) -> Background:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()  # waits; what is begun is finished also after an error
        if kind is None:
            self.wait()
