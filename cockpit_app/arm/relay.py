"""Between pages and the desk of a job that drives an arm: pages never talk to it themselves."""

from __future__ import annotations

import http.client
import json
import re
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from cockpit_app.jobs import Job
from common import LocalHandler, Refused

DESK = "desk.json"  # in a job's folder: where its desk is (mycobot_scripts/desk)
NAMES = ("beat", "answer", "own", "leave", "stop")  # what pages ask of one
PATIENCE = 15.0  # s; the arm's line may take ten to tell that it is gone
BLOCK = 1 << 16  # bytes
_URL = re.compile(r"http://127\.0\.0\.1:(\d{1,5})", re.ASCII)


def has_desk(job: Job) -> bool:
    """Whether a job runs, and has a desk by now."""
    return job.ended() is None and (job.folder / DESK).is_file()


def ask_desk(job: Job, name: str, body: Mapping[str, Any]) -> Any:
    """What the desk of a job answers to a POST; `Refused` as it refuses, or if there is none."""
    with _Answer(job, "POST", name, json.dumps(body).encode()) as answer:
        return json.loads(answer.read())


def pass_on(job: Job, name: str, handler: LocalHandler) -> None:
    """Send a camera's picture of the desk of a job, or its stream until somebody ends it."""
    with _Answer(job, "GET", urllib.parse.quote(name)) as answer:
        length = answer.getheader("Content-Length")
        content_type = answer.getheader("Content-Type", "")
        if not content_type.startswith(("image/jpeg", "multipart/x-mixed-replace")):
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no camera {name!r:.60}")
        handler.begin(content_type, length=None if length is None else int(length))
        while handler.command != "HEAD" and (data := answer.read1(BLOCK)):
            handler.wfile.write(data)


class _Answer:
    """The desk's answer to one request, as a context manager."""

    def __init__(self, job: Job, method: str, name: str, body: bytes | None = None) -> None:
        try:
            desk = json.loads((job.folder / DESK).read_text(encoding="ascii"))
            port, token = _URL.fullmatch(desk["url"])[1], desk["token"]
        except (OSError, ValueError, LookupError, TypeError):
            port = token = None
        if token is None or job.ended() is not None:
            raise Refused(HTTPStatus.NOT_FOUND, f"job {job.number} has no desk, or not any more")
        self._job, self._request = job, (method, f"/{name}", body)
        self._headers = {"X-Token": token, "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=PATIENCE)

    def __enter__(self) -> http.client.HTTPResponse:
        try:
            self._connection.request(*self._request, self._headers)
            answer = self._connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise Refused(HTTPStatus(answer.status), json.loads(answer.read())["error"])
        except Refused:
            self._connection.close()
            raise
        except (OSError, ValueError, LookupError, http.client.HTTPException):
            self._connection.close()
            why = f"the desk of job {self._job.number} does not answer"
            raise Refused(HTTPStatus.BAD_GATEWAY, why) from None
        return answer

    def __exit__(self, *_: object) -> None:
        self._connection.close()
