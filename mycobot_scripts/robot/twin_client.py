"""Starts a twin as a process of its own, and sends it requests. No simulator is imported here."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import cli
from mycobot_scripts.wire import ALONE

TWIN = Path(__file__).resolve().parents[1] / "twin.py"
START_TIMEOUT, END_TIMEOUT, HTTP_TIMEOUT = 120.0, 30.0, 30.0  # s
_NEAR = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a twin is behind no proxy
_READY = re.compile(r"twin port=(\S+) cameras=(\S+) page=((\S+?)/\?token=(\S+))")


def room_flag() -> Any:
    """The flag that puts a twin into a room."""
    return cli.flag(
        None,
        "number of a room that the twin stands in: other light, table, walls and things beside the work, and "
        "cameras that stand a little elsewhere, as with --looks real; the plain scene if not given",
        least=0,
        most=cli.MOST_SEED,
    )


def drift_flag() -> Any:
    """The flag that lets a twin's light change."""
    return cli.flag(False, "let light and exposure of the twin's room change slowly, as by a cloud or a lamp")


def start_twin(task_name: str, **flags: Any) -> TwinHandle:
    """Start `twin.py` for a task with flags of its own by name, e.g. `legacy=True, drop_camera={"top": 5.0}`.

    RuntimeError, with its own message, if it does not start.
    """
    return TwinHandle([sys.executable, str(TWIN), "--task_name", task_name, *_as_words(flags)])


def _as_words(flags: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in flags.items():
        if value is None or value is False:
            continue
        words.append(f"--{name}")
        if isinstance(value, dict):
            words += [f"{key}={_joined(entry)}" for key, entry in value.items()]
        elif isinstance(value, (list, tuple)):
            words += map(str, value)
        elif value is not True:
            words.append(str(value))
    return words


def _joined(entry: Any) -> str:
    return ",".join(map(str, entry)) if isinstance(entry, (list, tuple)) else str(entry)


class TwinHandle:
    """A running twin; `close` it, or use it as a context manager. It ends when this process does."""

    port: str  # serial port
    cameras: dict[str, str]  # URL by name
    page: str  # URL of the page that shows it, with the token that lets it do things
    url: str  # without the token, and without a slash at its end

    def __init__(self, command: Sequence[str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the twin)
        self.process = subprocess.Popen(
            [*command, "--end_with_stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            encoding="utf-8",
            errors="replace",
            **ALONE,  # a Ctrl-C is for the driver, who then needs the arm to hold
        )
        lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._reader.start()
        try:
            ready = self._first(lines)
        except BaseException:
            self.close()
            raise
        self.port = ready[1]
        self.cameras = dict(pair.split("=", 1) for pair in ready[2].split(","))
        self.page, self.url, self._token = ready[3], ready[4], ready[5]

    def _read(self, lines: queue.Queue[str]) -> None:
        for line in self.process.stdout:
            lines.put(line)
        lines.put("")

    def _first(self, lines: queue.Queue[str]) -> re.Match:
        try:
            while line := lines.get(timeout=START_TIMEOUT):
                if ready := _READY.match(line):
                    return ready
        except queue.Empty:
            raise RuntimeError(f"the twin was not ready after {START_TIMEOUT:.0f} s") from None
        errors = self._errors()
        raise RuntimeError(
            errors[-1].removeprefix("error: ") if errors else "the twin ended, and did not say why"
        )

    def _errors(self) -> list[str]:
        """Lines of its standard error."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip().splitlines()

    def __enter__(self) -> TwinHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def state(self) -> dict[str, Any]:
        """How the episode stands: reward, success, case, choice, qpos and so on (`TwinState`)."""
        return self._request("state")

    def reset(self, **start: Any) -> dict[str, Any]:
        """Begin an episode (`POST /reset` of twin/server.py); returns the state. ValueError if refused."""
        return self._request("reset", {name: _plain(value) for name, value in start.items()})

    def knock_loose(self, seed: int, index: int) -> dict[str, Any]:
        """A hand takes the first prop away in run `index`, and puts it where an episode could start; returns
        the state.
        """
        return self._request("knock_loose", {"seed": seed, "index": index})

    def guide(self, qpos: Any = None) -> dict[str, Any]:
        """A hand brings the joints whose motors are off to angles (rad); None lets go."""
        return self._request("guide", {} if qpos is None else {"qpos": _plain(qpos)})

    def _request(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.headers = {"Content-type": "application/json", "X-token": self._token}
        try:
            with _NEAR.open(request, timeout=HTTP_TIMEOUT) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise ValueError(f"twin: {json.load(error)['error']}") from None
        except OSError as error:
            ended = self.process.poll() is not None and not self._log.closed
            errors = self._errors()[-1:] if ended else []
            raise RuntimeError(f"the twin does not answer ({(errors or [error])[0]})") from None

    def close(self) -> None:
        """End it; its port and cameras are gone afterwards."""
        self.process.stdin.close()
        try:
            self.process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        self._log.close()


def _plain(value: Any) -> Any:
    """Arrays as lists."""
    return value.tolist() if hasattr(value, "tolist") else value
