"""Pictures for any number of pages: each is encoded once, by the thread of whoever asks first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import cv2
import numpy as np

PERIOD = 1 / 15  # s between pictures, at least
LOOK = 0.01  # s between looks for a new one
PATIENCE = 1.0  # s after which the last one is sent again, so that a page that is gone is noticed
QUALITY = 80  # of the JPEGs

Look = Callable[[], tuple[np.ndarray, float]]  # newest picture (H, W, 3) uint8 RGB, and its time (s)


class Pictures:
    """A camera's pictures as JPEGs; nothing is done while nobody asks.

    Args:
        look: gives the newest one; RuntimeError while there is none.
    """

    def __init__(self, look: Look) -> None:
        self._look, self._lock = look, threading.Lock()
        self._number, self._jpeg = 0, b""  # of the newest one that was encoded
        self._encoded, self._seen = -np.inf, -np.inf  # when (s), and the time of what was encoded

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
            time.sleep(max(0.0, self._encoded + PERIOD - time.monotonic()))
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
        # due on a grid, so that waiting adds nothing; not behind it where nobody looked for a while
        self._encoded = max(self._encoded + PERIOD, now - PERIOD)
        self._number, self._seen = self._number + 1, moment
