"""Pictures for any number of pages: each is encoded once, by the thread of whoever asks first."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np

from mycobot_scripts.robot import Look

PERIOD = 0.06  # s between pictures, at least: all of a camera that gives 15 a second
LOOK = 0.01  # s between looks for a new one
PATIENCE = 1.0  # s after which the last one is sent again, so that a page that is gone is noticed
QUALITY = 80  # of the JPEGs


class Pictures:
    """A camera's pictures as JPEGs; nothing is done while nobody asks.

    Args:
        look: gives the newest one; RuntimeError while there is none.
    """

    def __init__(self, look: Look) -> None:
        self._look, self._lock = look, threading.Lock()
        self._number, self._jpeg = 0, b""  # of the newest one that was encoded
        self._due, self._encoded, self._seen = 0.0, -np.inf, -np.inf  # s

    def newest(self) -> tuple[int, bytes]:
        """The newest picture: its number, and its JPEG."""
        with self._lock:
            if time.monotonic() - self._encoded >= PERIOD:
                self._encode(*self._look())
            return self._number, self._jpeg

    def next(self, after: int) -> tuple[int, bytes]:
        """The first picture after that of a number, once it is due and there; or else the last one again."""
        with self._lock:
            if self._number > after:
                return self._number, self._jpeg
            time.sleep(max(0.0, self._due - time.monotonic()))
            deadline = time.monotonic() + PATIENCE
            image, moment = self._look()
            while moment == self._seen and time.monotonic() < deadline:
                time.sleep(LOOK)
                image, moment = self._look()
            self._encode(image, moment)
            return self._number, self._jpeg

    def _encode(self, image: np.ndarray, moment: float) -> None:
        now = time.monotonic()
        if moment != self._seen:
            bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            _, jpeg = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
            self._jpeg = jpeg.tobytes()
        self._due = max(self._due + PERIOD, now)  # a grid, so that waiting adds nothing
        self._number, self._encoded, self._seen = self._number + 1, now, moment
