"""The twin's HTTP: cameras as any IP camera gives them (MJPEG), its state, resets, and a page that shows all.

GET /              a page with all cameras and the state
GET /<camera>      the stream, multipart/x-mixed-replace; every part tells its length and its time
GET /<camera>.jpg  one picture
GET /state         JSON: reward, success, case, qpos and so on (`world.Told`)
POST /reset        JSON {"env_state": [...]}, or {"seed", "index", "stream"} as evaluations draw starts, and
                   {"case"}; {"arm": false} leaves the arm where it is. Answers the state.
POST /guide        JSON {"qpos": [6 or 7 numbers, rad]}: a hand brings released joints there; {} lets go
"""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from constants import Stream, choose
from mycobot_scripts.stand_in.feeds import Feed
from mycobot_scripts.stand_in.firmware import Firmware
from mycobot_scripts.stand_in.world import World, as_json

BOUNDARY = "frame"
MAX_BODY = 100_000  # bytes
_PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body{{font:14px sans-serif;background:#222;color:#eee;margin:16px}}img{{width:48%}}</style>
<h3>{title}</h3>{images}<pre id="state"></pre>
<script>
const round=(k,v)=>typeof v=="number"?+v.toFixed(3):v
setInterval(async()=>{{document.getElementById("state").textContent=
JSON.stringify(await (await fetch("/state")).json(),round,1)}},500)
</script>
"""


class TwinServer(ThreadingHTTPServer):
    """Serves a world on 127.0.0.1, in threads, until `close`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, world: World, firmware: Firmware, port: int = 0) -> None:
        self.world, self.firmware = world, firmware
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise ValueError(
                f"--http_port {port} cannot be had ({error.strerror}); 0 takes any free"
            ) from None
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="http", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        """Take no more requests."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that is gone is none."""


class _Handler(BaseHTTPRequestHandler):
    server: TwinServer
    timeout = 10  # s that a client may take to say what it wants

    def do_GET(self) -> None:
        name = self.path.strip("/")
        feeds = self.server.world.feeds
        if name == "":
            images = "".join(f'<img src="/{feed}" alt="{feed}"> ' for feed in feeds)
            page = _PAGE.format(title=self.server.world.task.name, images=images)
            self._send(page.encode(), "text/html; charset=utf-8")
        elif name == "state":
            self._send_json(as_json(self.server.world.tell()))
        elif name.removesuffix(".jpg") in feeds:
            feed = feeds[name.removesuffix(".jpg")]
            with feed:
                self._picture(feed) if name.endswith(".jpg") else self._stream(feed)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"no {name!r} here; there is state, and {', '.join(feeds)}")

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
            if length > MAX_BODY:
                raise ValueError(f"the body has {length} bytes; it must have {MAX_BODY} at most")
            body = json.loads(self.rfile.read(length) or b"{}")
            if not isinstance(body, dict):
                raise ValueError(f"the body is {body!r}; it must be a JSON object")
            actions = {"reset": self._reset, "guide": self._guide}
            self._send_json(actions[choose("request", self.path.strip("/"), actions)](body))
        except (ValueError, TypeError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))

    def _reset(self, body: dict[str, Any]) -> dict[str, Any]:
        world = self.server.world
        start, case, rng = read_reset(world, body)
        with_arm = bool(body.get("arm", True))
        told = world.reset(start, case, rng, with_arm)
        if with_arm:
            self.server.firmware.placed(world.now())
        return as_json(told)

    def _guide(self, body: dict[str, Any]) -> dict[str, Any]:
        joints = body.get("qpos")
        if joints is not None:
            joints = np.asarray(joints, float)[:6]
            if joints.shape != (6,) or not np.isfinite(joints).all():
                raise ValueError(f"qpos is {body['qpos']}; it must be 6 angles in rad")
        return as_json(self.server.world.guide(joints))

    def _stream(self, feed: Feed) -> None:
        picture = feed.next(0)
        if picture is None:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"camera {feed.name} is gone")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        while picture is not None:
            jpeg = picture.jpeg()
            head = (
                f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n"
                f"X-Timestamp: {picture.time:.6f}\r\n\r\n"
            )
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            picture = feed.next(picture.number)

    def _picture(self, feed: Feed) -> None:
        latest = feed.next(0)
        picture = latest and (feed.next(latest.number) or latest)  # the latest may be of long ago
        if picture is None:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"camera {feed.name} is gone")
        else:
            self._send(picture.jpeg(), "image/jpeg")

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def _send_json(self, value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send_json({"error": why}, status)

    def log_message(self, *_: object) -> None:
        """Say nothing of every request."""


def read_reset(
    world: World, body: dict[str, Any]
) -> tuple[np.ndarray | None, int | None, np.random.Generator]:
    """Start, case and random numbers that a reset asks for; ValueError for what it cannot ask."""
    known = ("env_state", "seed", "index", "stream", "case", "arm")
    for name in body:
        choose("entry", name, known)
    task, case = world.task, body.get("case")
    if case is not None and (not isinstance(case, int) or not 0 <= case < max(1, len(task.cases))):
        raise ValueError(f"case is {case!r}; {task.name} has {len(task.cases)} cases, from 0")
    if body.get("env_state") is not None:
        start = np.asarray(body["env_state"], float)
        if start.shape != (7 * len(task.props),) or not np.isfinite(start).all():
            raise ValueError(
                f"env_state has shape {start.shape}; {task.name} takes {7 * len(task.props)} numbers"
            )
        return start, None, np.random.default_rng()
    if body.get("seed") is None:
        return None, case, np.random.default_rng()
    stream, index = body.get("stream", int(Stream.EVALUATE)), int(body.get("index", 0))
    stream = Stream[stream] if isinstance(stream, str) else Stream(stream)
    if case is None and task.cases:
        case = task.case_number(index)  # as evaluations take turns
    return None, case, np.random.default_rng([int(body["seed"]), stream, index])
