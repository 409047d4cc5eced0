"""The process that runs the sections: started, asked for one after the other, and ended when it hangs.

What breaks it (a crash, a lost CUDA context, a section that does not end) costs that section alone: the next
one gets a new process.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

Message = dict[str, Any]  # a row; or {"done": ...}, the last; or {"broken": why}, before it ends


class Broken(Exception):
    """The process has ended, or does not answer."""


class Worker:
    """One such process.

    Args:
        command: that starts it; it answers each line of its input, a section's name and time, with messages
            of a line each, the last of which is `done`.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait(self, seconds: float) -> None:
        """Return when it has started; `Broken` if it cannot, or takes longer than `seconds`."""
        for _ in self._messages(seconds):
            pass

    def run(self, section: str, seconds: float) -> Iterator[Message]:
        """The rows of a section, as they come; `Broken` if it takes longer than `seconds`, or breaks."""
        try:
            self._process.stdin.write(json.dumps({"section": section, "seconds": seconds}) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Broken(f"its process has ended ({error})") from error
        yield from self._messages(seconds)

    def _messages(self, seconds: float) -> Iterator[Message]:
        """Messages up to the one that says `done`."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise Broken(f"took longer than {seconds:.0f} s") from None
            if line is None:
                raise Broken(f"its process ended with status {self._process.wait()}")
            message = json.loads(line)
            if "broken" in message:
                raise Broken(message["broken"])
            if "done" in message:
                return
            yield message

    def close(self) -> None:
        """End it, and what it started."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
