"""What the cameras of a scene that stand still see, without rendering anything."""

from __future__ import annotations

from functools import cache

import numpy as np

from tasks.opengl import mujoco
from tasks.projection import matrix_of
from tasks.scene.building import build_model
from tasks.schema import Task


@cache
def still_cameras(task: Task, image_size: tuple[int, int]) -> dict[str, np.ndarray]:
    """As `camera_matrix`, (3, 4), of each camera that no arm carries and that looks at nothing that moves.

    ValueError if the task has no scene.
    """
    model = build_model(task)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    cameras = map(model.camera, range(model.ncam))
    still = (
        camera for camera in cameras if camera.bodyid[0] == 0 and not _follows(model, camera.targetbodyid[0])
    )
    return {
        camera.name: matrix_of(
            float(camera.fovy[0]),
            data.camera(camera.name).xmat.reshape(3, 3),
            data.camera(camera.name).xpos,
            image_size,
        )
        for camera in still
    }


def _follows(model: mujoco.MjModel, target: int) -> bool:
    """Whether a camera's target, a body's number or -1, is one that moves."""
    return target >= 0 and model.body_weldid[target] != 0
