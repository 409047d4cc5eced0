"""The props around a twin's arm: puts them where an episode starts, and knows the reward."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from mycobot_scripts.robot.arm_file import ArmFile
from mycobot_scripts.robot.twin_client import TwinHandle
from tasks import Task, picture_axes, sample_start

PERIOD = 0.05  # s between questions


def axes_in_picture(task: Task) -> np.ndarray:
    """(3, 3) whose columns are right, away and up in the first camera's picture, in the base's frame."""
    from tasks import build_model, mujoco

    model = build_model(task)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    base = data.body(f"{task.arms[0].name}/base").xmat.reshape(3, 3)
    return base.T @ picture_axes(data.camera(task.cameras[0]).xmat.reshape(3, 3))


class TwinScene:
    """The props and the judge of a twin; a thread asks them, so that no step waits for an answer.

    Args:
        twin: the twin.
        task: its task.
    """

    def __init__(self, twin: TwinHandle, task: Task) -> None:
        self._twin, self._task = twin, task
        self.start: np.ndarray | None = None  # (P * 7,) for the props; None: drawn at each reset
        self._changes: dict[str, Any] = {}  # of physics and look, in the episodes that follow
        self._state: dict[str, Any] = twin.state()
        self._knock: tuple[int, int] | None = None  # seed and number of the run whose first prop is taken
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="twin scene", daemon=True)
        self._thread.start()

    def reset(
        self,
        rng: np.random.Generator | None = None,
        case: int | None = None,
        start: np.ndarray | None = None,
    ) -> None:
        """Begin an episode: props at `self.start`, or drawn as in a simulated one.

        The arm is put exactly to the task's start pose, unless it begins at another pose `start` (7,).
        """
        props = self.start
        if props is None:
            props = sample_start(self._task, np.random.default_rng(rng), case)
        is_home = start is None or np.allclose(start, ArmFile().home, atol=1e-3)
        with self._lock:
            self._knock = None
            self._state = self._twin.reset(env_state=props, arm=bool(is_home), **self._changes)

    def change(self, seed: int, index: int, disturbances: Sequence[str] = ()) -> None:
        """Draw how light drifts, and what `disturbances` (words of --disturb) do, for episode `index`."""
        self._changes = {"disturb": {"words": list(disturbances), "seed": seed, "rollout": index}}

    def knock_loose(self, seed: int, index: int) -> None:
        """Within a `PERIOD`, a hand takes the first prop away in run `index` (`TwinHandle.knock_loose`)."""
        self._knock = seed, index

    @property
    def state(self) -> dict[str, Any]:
        """The twin's newest state: `TwinState`."""
        return self._state

    @property
    def reward(self) -> float:
        return float(self._state["reward"])

    def _run(self) -> None:
        while not self._ending.wait(PERIOD):
            try:
                with self._lock:
                    knock, self._knock = self._knock, None
                    self._state = self._twin.state() if knock is None else self._twin.knock_loose(*knock)
            except RuntimeError:  # a twin that is gone is noticed by the servo and the cameras
                return

    def close(self) -> None:
        """End the thread; the twin goes on."""
        self._ending.set()
        self._thread.join()
