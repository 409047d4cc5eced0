"""A page that shows each camera blended with its reference, and which way to push it; it follows.

GET /          the page
GET /<camera>  a stream (MJPEG): half the camera's picture, half its reference, and the arrow
GET /state     JSON by camera: text, advice, moved
"""

from __future__ import annotations

import time
from collections.abc import Mapping
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


class PlacementServer(LocalServer):
    """Serves cameras beside their references on 127.0.0.1, in threads, until `close`."""

    def __init__(
        self, cameras: Mapping[str, Camera], references: Mapping[str, Reference], limits: PlacementLimits
    ) -> None:
        self.cameras = {name: camera for name, camera in cameras.items() if name in references}
        self.references, self.limits = references, limits
        super().__init__(_Handler)

    def look(self, name: str) -> tuple[np.ndarray, Placement]:
        """A camera's newest picture, and how it stands; ValueError if its reference has another size."""
        picture = self.cameras[name].latest.image
        return picture, judge_placement(name, self.references[name], picture, self.limits)


class _Handler(LocalHandler):
    server: PlacementServer

    def get(self, name: str) -> None:
        if name == "":
            self.send(_page(self.server.cameras).encode(), "text/html; charset=utf-8")
        elif name in _FILES:
            path, content_type = _FILES[name]
            self.send(path.read_bytes(), content_type)
        elif name == "state":
            self.send_json({camera: self._state(camera) for camera in self.server.cameras})
        elif name in self.server.cameras:
            self._stream(name)
        else:
            listed = ", ".join(self.server.cameras)
            raise Refused(HTTPStatus.NOT_FOUND, f"no {name!r} here; there is state, and {listed}")

    def _state(self, camera: str) -> dict[str, Any]:
        try:
            _, placement = self.server.look(camera)
        except ValueError as error:
            return {"text": str(error), "advice": "record and run with pictures of one size", "moved": True}
        is_good = placement.displacement.is_believed and not placement.is_moved
        return {"text": placement.text, "advice": placement.advice, "moved": not is_good}

    def _stream(self, name: str) -> None:
        picture, placement = self.server.look(name)  # an error is answered; later it ends the stream
        self.begin(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        while True:
            jpeg = encode_jpeg(
                blended(picture, self.server.references[name], placement)[:, :, ::-1]
            ).tobytes()
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(PERIOD)
            picture, placement = self.server.look(name)


def _page(cameras: Mapping[str, Camera]) -> str:
    figures = "".join(
        f'<figure id="camera {name}"><img src="/{name}" alt="{name}">'
        f"<figcaption>{name}: <strong></strong><br><span></span></figcaption></figure>"
        for name in map(escape, cameras)
    )
    return (_WEB / "placement.html").read_text(encoding="utf-8").replace("{{cameras}}", figures)
