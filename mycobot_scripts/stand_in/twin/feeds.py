"""Pictures of a camera for any number of readers, who each get a picture once."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

import cv2
import numpy as np

from constants import JPEG_QUALITY
from mycobot_scripts.stand_in.faults import Faults


@dataclass
class Picture:
    """A picture, and when it was taken; encoded when it is first asked for."""

    number: int
    time: float  # s, monotonic
    image: np.ndarray  # (H, W, 3) uint8 RGB
    _jpeg: bytes | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def jpeg(self) -> bytes:
        """Its JPEG bytes."""
        with self._lock:
            if self._jpeg is None:
                options = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
                _, encoded = cv2.imencode(".jpg", cv2.cvtColor(self.image, cv2.COLOR_RGB2BGR), options)
                self._jpeg = encoded.tobytes()
            return self._jpeg


class CameraFeed:
    """One camera. It asks for pictures while it has readers, at `fps`, and has the faults of its name."""

    def __init__(self, name: str, fps: float, faults: Faults) -> None:
        self.name, self._period = name, 1 / fps
        self._freeze_after = (faults.freeze_camera or {}).get(name, math.inf)
        self._drop_after = (faults.drop_camera or {}).get(name, math.inf)
        self._move_after = faults.move_after if name in (faults.move_camera or {}) else math.inf
        self._changed = threading.Condition()
        self._readers = 0
        self._latest: Picture | None = None
        self._first: float | None = None  # s, of the first picture
        self._due = -math.inf
        self._closed = False

    @property
    def due(self) -> float:
        """When the next picture is due (s); infinity while nobody looks."""
        return self._due if self._readers else math.inf

    def is_due(self, now: float) -> bool:
        return self.due <= now

    def _age(self) -> float:
        return 0.0 if self._first is None else self._latest.time - self._first

    @property
    def is_frozen(self) -> bool:
        """Whether it repeats its last picture from now on."""
        return self._latest is not None and self._age() >= self._freeze_after

    @property
    def is_moved(self) -> bool:
        """Whether the camera stands elsewhere from now on."""
        return self._age() >= self._move_after

    @property
    def is_gone(self) -> bool:
        """Whether it gives no pictures any more."""
        return self._closed or self._age() >= self._drop_after

    def publish(self, image: np.ndarray | None, at: float) -> None:
        """A new picture (H, W, 3) uint8 RGB, of time `at` (s); None: the last one again."""
        with self._changed:
            if image is None:
                picture = Picture(self._latest.number + 1, at, self._latest.image, self._latest.jpeg())
            else:
                picture = Picture(self._latest.number + 1 if self._latest else 1, at, image)
            self._latest = picture
            self._first = at if self._first is None else self._first
            self._due = max(self._due + self._period, at)
            self._changed.notify_all()

    def __enter__(self) -> CameraFeed:
        """Begin to look."""
        with self._changed:
            self._readers += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._readers -= 1

    def next(self, after: int, timeout: float = 5.0) -> Picture | None:
        """The newest picture with a number above `after`; None if none comes, or the camera is gone."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.is_gone or (self._latest is not None and self._latest.number > after), timeout
            )
            is_new = self._latest is not None and self._latest.number > after
            return self._latest if is_new and not self.is_gone else None

    def close(self) -> None:
        """Readers get no more pictures."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
