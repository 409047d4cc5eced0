"""A cockpit in a process of its own, and somebody who uses it over HTTP, as its pages do."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from _harness import ROOT

PATIENCE = 180.0  # s until a job's desk is open
BEAT = 0.1  # s


class Visitor:
    """Starts a cockpit in an empty folder and uses it; a context manager.

    Args:
        flags: of the cockpit.
    """

    def __init__(self, *flags: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench_")
        command = [sys.executable, str(ROOT / "cockpit.py"), "--port", "0", "--no_browser", *flags]
        self.process = subprocess.Popen(command, cwd=self._folder.name, stdout=subprocess.PIPE, text=True)
        found = re.search(r"http://([\d.]+):(\d+)/\?token=(\S+)", self.process.stdout.readline())
        self._host, self._port, self._token = found[1], int(found[2]), found[3]
        self._cookie = f"cockpit_{self._port}={self._token}"
        self.job: str | None = None

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        if self.job is not None:
            self.act("stop", job=self.job)
            self._until(lambda: self.ask("jobs")[0]["ended"])
        self.process.terminate()
        self.process.communicate()
        self._folder.cleanup()

    def open(self, path: str, timeout: float = 60.0) -> http.client.HTTPResponse:
        """The answer to a GET, unread."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        connection.request("GET", path, headers={"Cookie": self._cookie})
        return connection.getresponse()

    def ask(self, question: str) -> Any:
        return json.loads(self.open(f"/api/{question}").read())

    def act(self, action: str, **body: Any) -> dict[str, Any]:
        """The answer to a POST; RuntimeError if it is refused."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60.0)
        headers = {"Content-Type": "application/json", "X-Token": self._token}
        connection.request("POST", f"/api/{action}", json.dumps(body), headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def say(self, name: str, **body: Any) -> dict[str, Any]:
        """Say something to the desk of the job; its state."""
        return self.act("desk", job=self.job, name=name, body=body)

    def drive(self, **values: str) -> dict[str, Any]:
        """Start to drive the arm, and wait until it may be driven; the desk's state."""
        answer = self.act("start", program="drive", values=values)
        if answer["problems"]:
            raise RuntimeError(str(answer["problems"]))
        self.job = answer["job"]["number"]

        page = Page(self, "opener")
        try:
            return self._until(lambda: page.state if page.state.get("jog") else None)
        finally:
            page.close()

    def _until(self, what: Any) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := what()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"nothing after {PATIENCE:.0f} s: {self.ask('jobs')[0]['last']}")
            time.sleep(BEAT)
        return found

    def processes(self) -> tuple[int, int]:
        """Process numbers of the cockpit and of the script at the desk."""
        folder = f"{self._folder.name}/runs/.cockpit/jobs/{self.job}"
        with open(f"{folder}/desk.json", encoding="ascii") as file:
            return self.process.pid, json.load(file)["pid"]


class Page:
    """An open page: beats ten times a second in a thread of its own, until `close`.

    Args:
        visitor: whose it is.
        client: its name.
    """

    def __init__(self, visitor: Visitor, client: str) -> None:
        self._visitor, self._client = visitor, client
        self.rates: list[float] | None = None  # that are held down
        self.state: dict[str, Any] = {}
        self.beaten = 0.0  # when the last beat was sent, s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._ending.wait(BEAT):
            number += 1
            self.beaten = time.monotonic()
            try:
                body = {"client": self._client, "number": number, "rates": self.rates}
                self.state = self._visitor.say("beat", **body)
            except (RuntimeError, OSError):
                continue  # not open yet

    def own(self) -> Page:
        """Take the control over; returns itself."""
        self._visitor.say("own", client=self._client)
        return self

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
