"""Whether a camera is bumped during a run: a look once a second, in a thread of its own."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from cameras import Displacement, Placement, PlacementLimits, find_displacement
from mycobot_scripts.kinematics import JOINTS

EVERY = 1.0  # s between looks
WIDTH = 320  # pixels of the pictures that are compared: a quarter of the work
FAR = 15.0  # degrees by which a joint has moved when a camera that shows the same counts as standing
LOOKS = 3  # one after the other that must show the same displacement: an arm in the picture moves on
SAME = 2.0  # pixels of 640 between them
MOST_STAYING = 0.15  # of the corners: where more stay, it is not the camera that moved


class BumpWatch:
    """Stops a run when a camera that stands is bumped.

    A camera counts as standing once the arm has moved far and its picture has stayed; one on the arm never
    does. A bump is the same displacement from the run's first picture in some looks, with nothing in place.

    Args:
        limits: beyond which a displacement counts.
        stop: stops the run, with a reason.
        every: s between looks.
    """

    def __init__(self, limits: PlacementLimits, stop: Callable[[str], None], every: float = EVERY) -> None:
        self._limits, self._stop, self._every = limits, stop, every
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bump watch")
        self._pending: Future | None = None
        self._first: dict[str, np.ndarray] = {}
        self._standing: set[str] = set()

    def begin(self, observation: Mapping[str, Any]) -> None:
        """A run begins with what is seen now."""
        self.wait()
        self._first = {name: _small(image) for name, image in observation["images"].items()}
        self._start = np.array(observation["qpos"][:JOINTS])
        self._suspects: dict[str, list[Displacement]] = defaultdict(list)
        self._looked = time.monotonic()

    def look(self, observation: Mapping[str, Any]) -> None:
        """Look if it is time to, without waiting for what comes of it."""
        is_busy = self._pending is not None and not self._pending.done()
        if is_busy or time.monotonic() - self._looked < self._every:
            return
        self.wait()
        self._looked = time.monotonic()
        way = np.degrees(np.abs(observation["qpos"][:JOINTS] - self._start).max())
        images = {name: observation["images"][name] for name in self._first}
        self._pending = self._pool.submit(self._compare, images, bool(way > FAR))

    def wait(self) -> None:
        """Wait for the present look; raises what went wrong in it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown()

    def _compare(self, images: Mapping[str, np.ndarray], is_far: bool) -> None:
        for name, image in images.items():
            there = find_displacement(self._first[name], _small(image))
            placement = Placement(name, there, self._limits)
            if there.is_believed and not placement.is_moved and is_far:
                self._standing.add(name)
            is_suspect = there.is_believed and placement.is_moved and there.staying < MOST_STAYING
            if not is_suspect or name not in self._standing:
                self._suspects[name].clear()
                continue
            looks = self._suspects[name]
            looks.append(there)
            if len(looks) >= LOOKS and all(_alike(one, there) for one in looks[-LOOKS:]):
                self._stop(f"camera {name} was bumped: {placement.text}; {placement.advice}")
                return


def _alike(one: Displacement, other: Displacement) -> bool:
    return float(np.hypot(*np.subtract(one.shift, other.shift))) < SAME * one.size[1] / 640


def _small(image: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3), no wider than WIDTH."""
    height, width = image.shape[:2]
    if width <= WIDTH:
        return image
    return cv2.resize(image, (WIDTH, round(height * WIDTH / width)), interpolation=cv2.INTER_AREA)
