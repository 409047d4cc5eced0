"""A server for this machine alone: pages, streams and JSON on 127.0.0.1, which no other site can use.

Any site that a person visits may send requests to 127.0.0.1. So the server refuses requests that name another
host (DNS rebinding) or come from another origin. A POST, which does something, must be JSON and carry the
token: `X-Token: ...`, or `?token=...` as in `LocalServer.address`, the person's address. Reading needs no
token, so that any program can open a stream.

Pages load scripts and styles from this server only, and run none inside their HTML (`_CLOSED`).
"""

from __future__ import annotations

import contextlib
import hmac
import io
import json
import math
import os
import secrets
import socket
import sys
import threading
import time
import urllib.parse
import webbrowser
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE_STYLE = Path(__file__).parent / "page.css"  # what all pages look like
MAX_BODY = 100_000  # bytes
REQUEST_TIME = 10.0  # s that a client may take to send its request, head and body
LINGER = 1.0  # s for which a refused request is still read, so that the answer arrives
MAX_LINGER = 16_000_000  # bytes, likewise
LONGEST_ERROR = 300  # characters
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_CLOSED = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the token stands in the page's address
    "Cache-Control": "no-store",
}
_MISTAKES = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)


class Refused(Exception):
    """A request that is answered with an error: its status, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class LocalServer(ThreadingHTTPServer):
    """Serves in threads of its own until `close`; OSError if the port cannot be had.

    Args:
        handler: answers requests.
        port: 0 takes any that is free.
        host: the address to listen at; requests may name it besides those of this machine itself.
        token: what a POST must bring; a new one if not given.
        names: more names and addresses by which requests may call this machine.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        handler: type[LocalHandler],
        port: int = 0,
        host: str = "127.0.0.1",
        token: str | None = None,
        names: Collection[str] = (),
    ) -> None:
        super().__init__((host, port), handler)
        self.token = token or secrets.token_urlsafe(16)
        port = self.server_address[1]
        self.url = f"http://{host}:{port}"
        names = {*LOOPBACK, host.lower(), *map(str.lower, names)}
        self.hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="http", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The page's address for a person, with the token."""
        return f"{self.url}/?token={self.token}"

    def close(self) -> None:
        """Take no more requests."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that is gone is no error."""


def open_page(url: str) -> None:
    """Open a page in a browser, if there is a screen for one."""
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if (sys.platform.startswith("linux") and not has_display) or not webbrowser.open(url):
        print(f"no browser could be opened here; open {url} yourself", flush=True)


class _Timed(io.RawIOBase):
    """A socket's bytes up to a deadline (s, monotonic); TimeoutError after it, however slowly they come."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self.deadline = connection, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(max(self.deadline - time.monotonic(), 1e-3))
        try:
            return self._connection.recv_into(buffer)
        except TimeoutError:
            raise TimeoutError("the request took too long") from None


class LocalHandler(BaseHTTPRequestHandler):
    """One request. A server's own handler defines `get`, and `post` if clients can do anything.

    ValueError, TypeError, LookupError and ArithmeticError from either are the client's mistakes (400),
    `Refused` has a status of its own. Any request gets an answer, and any error is JSON: {"error": one line}.
    """

    server: LocalServer
    server_version, sys_version = "local", ""
    request_time = REQUEST_TIME
    max_body = MAX_BODY
    body_type = "application/json"
    no_token = "a POST needs the token of the address that was printed, as X-Token or ?token="

    def get(self, name: str) -> None:
        """Send what stands at a path (no slashes at its ends): `send`, `send_json`, or `begin` a stream."""
        raise Refused(HTTPStatus.NOT_FOUND, f"there is no {name!r} here")

    def post(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do what `name` asks, with a JSON object of finite numbers; the JSON to answer."""
        raise Refused(HTTPStatus.NOT_FOUND, f"there is no {name!r} here")

    # --- for `get` and `post` to answer with

    def send(
        self,
        content: bytes,
        content_type: str,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send bytes of a content type; `headers` as for `begin`."""
        self.begin(content_type, status, len(content), headers)
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send(json.dumps(value).encode(), "application/json", status)

    def begin(
        self,
        content_type: str,
        status: HTTPStatus = HTTPStatus.OK,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send the head of an answer; what follows is written to `wfile`. `headers` come on top of those of
        all answers, or in their place.
        """
        self.connection.settimeout(self.request_time)  # for a reader that does not read
        self._is_answered = True
        self.request_version = (
            self.protocol_version
        )  # else a malformed request gets an answer without head (HTTP 0.9)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in {**_CLOSED, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    # --- from request to answer

    def setup(self) -> None:
        super().setup()
        self._is_answered, self._is_unread, self.command = False, False, None
        self.rfile.close()
        self._received = _Timed(self.connection, time.monotonic() + self.request_time)
        self.rfile = io.BufferedReader(self._received)

    def parse_request(self) -> bool:
        self._is_unread, self._is_answered = True, False
        is_request = super().parse_request()
        if is_request:
            self._is_unread = bool(
                {"content-length", "transfer-encoding"} & {n.lower() for n in self.headers}
            )
        return is_request

    def do_GET(self) -> None:
        self.answer(lambda name: self.get(name))

    def do_POST(self) -> None:
        self.answer(lambda name: self.send_json(self.post(name, self._body())))

    def answer(self, act: Callable[[str], None]) -> None:
        """Have `act` answer what is asked for, by its name; an error of it is answered as one."""
        try:
            self.check_sender()
            target = urllib.parse.urlsplit(self.path)
            self.query = dict(urllib.parse.parse_qsl(target.query))
            act(urllib.parse.unquote(target.path).strip("/"))
        except Refused as refused:
            self._refuse(refused.status, refused)
        except _MISTAKES as error:
            self._refuse(HTTPStatus.BAD_REQUEST, error)
        except TimeoutError as error:
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT if self._is_unread else HTTPStatus.SERVICE_UNAVAILABLE, error
            )
        except ConnectionError:
            pass  # the reader is gone
        except Exception as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, error)

    def _refuse(self, status: HTTPStatus, error: Exception) -> None:
        self.close_connection = self.close_connection or self._is_unread
        if not self._is_answered:
            why = " ".join(str(error).split()) or type(error).__name__
            self.send_json({"error": why[:LONGEST_ERROR]}, status)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a malformed request, or one of another method, as JSON too."""
        status = HTTPStatus(code)
        self._refuse(status, Refused(status, message or status.phrase))

    def is_welcome(self, origin: str) -> bool:
        """Whether a page of an origin may ask: one of this server's own."""
        return origin.lower() in {f"http://{host}" for host in self.server.hosts}

    def check_sender(self) -> None:
        """`Refused` unless the request is for this server, and from where it may come."""
        hosts, origins = (self.headers.get_all(name) or [] for name in ("Host", "Origin"))
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            raise Refused(
                HTTPStatus.FORBIDDEN, f"host {', '.join(hosts)!r} is not this server, {self.server.url}"
            )
        if not all(map(self.is_welcome, origins)):
            raise Refused(
                HTTPStatus.FORBIDDEN, f"origin {', '.join(origins)!r} may not use {self.server.url}"
            )

    def _body(self) -> dict[str, Any]:
        """A POST's JSON."""
        body = json.loads(self.read_body() or b"{}", parse_constant=_refuse_constant, parse_float=_finite)
        if not isinstance(body, dict):
            raise ValueError(f"the body is a {type(body).__name__}; it must be a JSON object")
        return body

    def read_body(self) -> bytes:
        """A POST's body, once it is clear that it may be read."""
        self.check_token()
        if self.headers.get("Content-Type") is None or self.headers.get_content_type() != self.body_type:
            why = f"Content-Type is {self.headers.get('Content-Type')}; it must be {self.body_type}"
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, why)
        length = self._length()
        data = self.rfile.read(length)
        if len(data) < length:
            raise ValueError(f"the body ends after {len(data)} of {length} bytes")
        self._is_unread = False
        return data

    def check_token(self) -> None:
        """`Refused` unless the request brings the server's token."""
        token = self.headers.get("X-Token") or self.query.get("token") or ""
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, self.no_token)

    def _length(self) -> int:
        """Bytes of the body."""
        if self.headers.get("Transfer-Encoding") is not None:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "a body must have a Content-Length")
        lengths = self.headers.get_all("Content-Length") or ["0"]
        if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            raise ValueError(f"Content-Length is {', '.join(lengths)}; it must be 0 to {self.max_body}")
        if len(lengths[0]) > len(str(self.max_body)) or int(lengths[0]) > self.max_body:
            why = f"a body must have {self.max_body} bytes at most; this has {lengths[0]}"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
        return int(lengths[0])

    def finish(self) -> None:
        """Read the rest of a refused request for a while; otherwise the client would see no answer."""
        if self._is_unread:
            with contextlib.suppress(OSError, ValueError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_WR)
                self._received.deadline = time.monotonic() + LINGER
                count = 0
                while count < MAX_LINGER and (data := self.rfile.read1(65536)):
                    count += len(data)
        super().finish()

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")


def _finite(word: str) -> float:
    """A number in a body."""
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word[:20]} is too large for a number")
    return value
