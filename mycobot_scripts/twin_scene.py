"""What stands around a twin's arm: puts the props where an episode starts, and tells the reward."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from mycobot_scripts.twin_client import TwinHandle
from projection import picture_axes
from schema import Task
from starts import sample_start

PERIOD = 0.05  # s between questions


def axes_in_picture(task: Task) -> np.ndarray:
    """(3, 3) whose columns are right, away and up in the first camera's picture, in the base's frame."""
    from opengl import mujoco
    from scene import build_model

    model = build_model(task)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    base = data.body(f"{task.arms[0].name}/base").xmat.reshape(3, 3)
    return base.T @ picture_axes(data.camera(task.cameras[0]).xmat.reshape(3, 3))


class TwinScene:
    """The props and the judge of a twin, asked by a thread, so that no step waits for an answer.

    Args:
        twin: the twin.
        task: its task.
    """

    def __init__(self, twin: TwinHandle, task: Task) -> None:
        self._twin, self._task = twin, task
        self.start: np.ndarray | None = None  # (P * 7,) for the props; None: drawn at each reset
        self.places_arm = True  # exactly at the task's start pose; else it stays where it has moved to
        self._told: dict[str, Any] = twin.state()
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="twin scene", daemon=True)
        self._thread.start()

    def reset(self, rng: np.random.Generator | None = None, case: int | None = None) -> None:
        """Begin an episode: props at `start`, or drawn as in a simulated one."""
        start = self.start
        if start is None:
            start = sample_start(self._task, np.random.default_rng(rng), case)
        with self._lock:
            self._told = self._twin.reset(env_state=start, arm=self.places_arm)

    @property
    def told(self) -> dict[str, Any]:
        """What the twin told last: `world.Told`."""
        return self._told

    @property
    def reward(self) -> float:
        return float(self._told["reward"])

    @property
    def strict_success(self) -> bool | None:
        return self._now()["strict_success"]

    @property
    def choice(self) -> str | None:
        return self._now()["choice"]

    def _now(self) -> dict[str, Any]:
        """What the twin tells at this moment."""
        with self._lock:
            self._told = self._twin.state()
            return self._told

    def _run(self) -> None:
        while not self._ending.wait(PERIOD):
            try:
                self._now()
            except RuntimeError:  # a twin that is gone is noticed by the servo and the cameras
                return

    def close(self) -> None:
        """End the thread; the twin goes on."""
        self._ending.set()
        self._thread.join()
