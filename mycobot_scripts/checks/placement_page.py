"""A page that shows each camera blended with its reference, and which way to push it; it follows.

GET /          the page
GET /<camera>  a stream (MJPEG): half the camera's picture, half its reference, and the arrow
GET /state     JSON by camera: text, advice, moved
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cameras import Placement, PlacementLimits, Reference, judge_placement
from common import PAGE_STYLE, LocalHandler, LocalServer, Refused
from episodes import encode_jpeg
from mycobot_scripts.robot import Camera

BOUNDARY = "frame"
PERIOD = 0.15  # s between pictures of a stream
LENGTHEN, SHORTEST = 6.0, 4.0  # times the shift; pixels of an arrow that is worth drawing
GOOD, BAD = (60, 200, 120), (240, 80, 80)  # RGB
_WEB = Path(__file__).parent / "web"
_FILES = {  # by name in an address: the file and its type
    "page.css": (PAGE_STYLE, "text/css; charset=utf-8"),
    "placement.css": (_WEB / "placement.css", "text/css; charset=utf-8"),
    "placement.js": (_WEB / "placement.js", "text/javascript; charset=utf-8"),
}


def blended(picture: np.ndarray, reference: Reference, placement: Placement) -> np.ndarray:
    """Half a picture (H, W, 3) uint8 RGB, half its reference, and an arrow the way to turn the camera."""
    mixed = cv2.addWeighted(picture, 0.5, reference.picture, 0.5, 0.0)
    there = placement.displacement
    if not there.is_believed:
        return mixed
    middle = np.array(there.size[::-1]) / 2
    arrow = LENGTHEN * np.array(there.shift)
    if np.hypot(*arrow) > SHORTEST:
        start, tip = (tuple(int(value) for value in np.round(point)) for point in (middle, middle + arrow))
        cv2.arrowedLine(
            mixed, start, tip, BAD if placement.is_moved else GOOD, 4, cv2.LINE_AA, tipLength=0.25
        )
    return mixed


class Ghost:
    """A camera beside its reference, compared for all that look at most every PERIOD.

    Args:
        name: of the camera.
        camera: gives the pictures.
        reference: what it showed.
        limits: how far it may be off.
    """

    def __init__(self, name: str, camera: Camera, reference: Reference, limits: PlacementLimits) -> None:
        self._name, self._camera, self._reference, self._limits = name, camera, reference, limits
        self._lock, self._due = threading.Lock(), -np.inf
        self._seen: tuple[np.ndarray, float] | None = None  # blended picture and its time
        self._placement: Placement | None = None

    def look(self) -> tuple[np.ndarray, float]:
        """The newest picture blended with its reference, and its time; ValueError if their sizes differ."""
        return self._compare()[0]

    @property
    def placement(self) -> Placement:
        """How the camera stands; ValueError as from `look`."""
        return self._compare()[1]

    @property
    def text(self) -> str:
        """What to do, in words, and how the camera stands."""
        try:
            placement = self.placement
        except ValueError as error:
            return str(error)
        well = placement.displacement.is_believed and not placement.is_moved
        return f"{placement.advice or ('it stands well' if well else 'nobody knows')}: {placement.text}"

    def _compare(self) -> tuple[tuple[np.ndarray, float], Placement]:
        with self._lock:
            if time.monotonic() >= self._due:
                image, moment = self._camera.look()
                self._placement = judge_placement(self._name, self._reference, image, self._limits)
                self._seen = blended(image, self._reference, self._placement), moment
                self._due = time.monotonic() + PERIOD
            return self._seen, self._placement


class PlacementServer(LocalServer):
    """Serves cameras beside their references on 127.0.0.1, in threads, until `close`."""

    def __init__(self, ghosts: Mapping[str, Ghost]) -> None:
        self.ghosts = ghosts
        super().__init__(_Handler)


class _Handler(LocalHandler):
    server: PlacementServer

    def get(self, name: str) -> None:
        if name == "":
            self.send(_page(self.server.ghosts).encode(), "text/html; charset=utf-8")
        elif name in _FILES:
            path, content_type = _FILES[name]
            self.send(path.read_bytes(), content_type)
        elif name == "state":
            self.send_json({name: self._state(ghost) for name, ghost in self.server.ghosts.items()})
        elif name in self.server.ghosts:
            self._stream(self.server.ghosts[name])
        else:
            listed = ", ".join(self.server.ghosts)
            raise Refused(HTTPStatus.NOT_FOUND, f"no {name!r} here; there is state, and {listed}")

    def _state(self, ghost: Ghost) -> dict[str, Any]:
        try:
            placement = ghost.placement
        except ValueError as error:
            return {"text": str(error), "advice": "record and run with pictures of one size", "moved": True}
        is_good = placement.displacement.is_believed and not placement.is_moved
        return {"text": placement.text, "advice": placement.advice, "moved": not is_good}

    def _stream(self, ghost: Ghost) -> None:
        picture, _ = ghost.look()  # an error is answered; later it ends the stream
        self.begin(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        while True:
            jpeg = encode_jpeg(picture[:, :, ::-1]).tobytes()
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(PERIOD)
            picture, _ = ghost.look()


def _page(cameras: Iterable[str]) -> str:
    figures = "".join(
        f'<figure id="camera {name}"><img src="/{name}" alt="{name}">'
        f"<figcaption>{name}: <strong></strong><br><span></span></figcaption></figure>"
        for name in map(escape, cameras)
    )
    return (_WEB / "placement.html").read_text(encoding="utf-8").replace("{{cameras}}", figures)
