"""The desk's HTTP, for the cockpit alone: it brings the token of the desk's file to every request.

POST /beat    {"client", "number", "keys": [...], "rates": [7] or null, "slow"}: about ten times a second
POST /answer  {"client", "question": id, "key": "k" or "line": "text"}: of the owner
POST /own     {"client"}: takes the control over
POST /leave   {"client"}: the page goes; the arm holds, and the next page that is heard has the control
POST /stop    {"client"}: of anybody
GET /state, /<camera> (MJPEG), /<camera>.jpg

All POSTs answer the state (`state.describe`).
"""

from __future__ import annotations

import hmac
import urllib.parse
from http import HTTPStatus
from typing import Any

from common import LocalHandler, LocalServer, Refused, choose
from mycobot_scripts.desk.control import as_beat, as_client
from mycobot_scripts.desk.desk import Desk
from mycobot_scripts.desk.pictures import Pictures
from mycobot_scripts.desk.state import describe

BOUNDARY = "frame"
LONGEST_LINE = 1000  # characters that a person types


class DeskServer(LocalServer):
    """Serves a desk on 127.0.0.1, in threads, until `close`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        super().__init__(_Handler)


class _Handler(LocalHandler):
    server: DeskServer

    def get(self, name: str) -> None:
        token = self.headers.get("X-Token", "")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "the desk is for the cockpit; it brings the token as X-Token")
        desk, name = self.server.desk, urllib.parse.unquote(name)
        if name == "state":
            self.send_json(describe(desk))
        elif name in desk.pictures:
            self._stream(desk.pictures[name])
        elif name.removesuffix(".jpg") in desk.pictures:
            self.send(desk.pictures[name.removesuffix(".jpg")].newest()[1], "image/jpeg")
        else:
            listed = ", ".join(["state", *desk.pictures])
            raise Refused(HTTPStatus.NOT_FOUND, f"no {name!r:.60} here; there is {listed}")

    def post(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        actions = {"beat": _beat, "answer": _answer, "own": _own, "leave": _leave, "stop": _stop}
        actions[choose("request", name, actions)](self.server.desk, body)
        return describe(self.server.desk)

    def _stream(self, pictures: Pictures) -> None:
        number, jpeg = pictures.newest()  # an error is answered; later it ends the stream
        self.begin(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        while True:
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            number, jpeg = pictures.next(number)


def _beat(desk: Desk, body: dict[str, Any]) -> None:
    desk.control.hear(as_beat(body))


def _own(desk: Desk, body: dict[str, Any]) -> None:
    desk.control.take(as_client(body.get("client")))


def _leave(desk: Desk, body: dict[str, Any]) -> None:
    desk.control.leave(as_client(body.get("client")))


def _stop(desk: Desk, body: dict[str, Any]) -> None:
    desk.stop()


def _answer(desk: Desk, body: dict[str, Any]) -> None:
    client, given = as_client(body.get("client")), [body[name] for name in ("key", "line") if name in body]
    if not desk.control.is_owner(client):
        raise Refused(HTTPStatus.CONFLICT, "another page has the control; take it over first")
    if len(given) != 1 or not isinstance(given[0], str) or len(given[0]) > LONGEST_LINE:
        raise ValueError(f"an answer has a key, or a line of {LONGEST_LINE} characters at most")
    desk.answer(body.get("question"), given[0])
