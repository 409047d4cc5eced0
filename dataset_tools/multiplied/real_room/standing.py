"""Where a real camera stands, by four points of the table in its pictures: the simulated one is put there.

Looks vary about where the scene has a camera. A real one stands elsewhere, perhaps at the border of that, and
a policy that was trained on simulated pictures sees less exactly there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from constants import IMAGE_SIZE
from dataset_tools.regions import matrix_from_points, read_points
from tasks import CameraMove, camera_pose, matrix_of

if TYPE_CHECKING:  # it opens OpenGL
    from sim_env import SimEnv


@dataclass(frozen=True)
class Standing:
    """A camera's pose in the world, and how much it sees."""

    camera: str
    axes: np.ndarray  # (3, 3), its columns point to the picture's right and upper edge, and to the viewer
    place: np.ndarray  # (3,), m
    fovy: float  # degrees from below to above

    @classmethod
    def clicked(cls, path: str) -> Standing:
        """The camera in whose pictures four points of the table were clicked; ValueError if none fits."""
        clicks = read_points(path)
        size = clicks.size or IMAGE_SIZE
        pixels, places = (np.array([getattr(p, name) for p in clicks.points]) for name in ("pixel", "place"))
        return cls.of(clicks.camera, matrix_from_points(pixels, places, 0.0, size), size)

    @classmethod
    def of(cls, camera: str, matrix: np.ndarray, image_size: tuple[int, int]) -> Standing:
        """From a matrix (3, 4) as `matrix_from_points` gives it, of pictures (H, W)."""
        height, width = image_size
        rays = matrix - np.outer([(width - 1) / 2, (height - 1) / 2, 0], matrix[2])
        focal = np.linalg.norm(rays[:2, :3], axis=1).mean() / np.linalg.norm(matrix[2, :3])  # pixels
        rays = rays / np.array([[focal], [focal], [1.0]])
        left, _, right = np.linalg.svd(rays[:, :3])
        turn = left @ right  # the nearest rotation
        place = -np.linalg.solve(rays[:, :3], rays[:, 3])
        fovy = float(np.degrees(2 * np.arctan(height / 2 / focal)))
        return cls(camera, turn.T * [1, -1, -1], place, fovy)

    def move(self, env: SimEnv) -> CameraMove:
        """From where the scene has the camera."""
        axes, place = camera_pose(env.physics, self.camera), env.physics.named.data.cam_xpos[self.camera]
        return axes.T @ (self.place - place), cv2.Rodrigues(axes.T @ self.axes)[0].ravel()

    def put(self, env: SimEnv) -> None:
        """Put the simulated camera there, until the environment is closed. It must have looks."""
        env.task.looks.bumps[self.camera] = self.move(env)
        env.physics.named.model.cam_fovy[self.camera] = self.fovy

    def matrix(self, image_size: tuple[int, int]) -> np.ndarray:
        """As `tasks.camera_matrix`, (3, 4), for pictures (H, W)."""
        return matrix_of(self.fovy, self.axes, self.place, image_size)

    @contextmanager
    def only(self, env: SimEnv) -> Iterator[None]:
        """Inside, the scene itself has the camera there, whoever draws it."""
        from tasks import mujoco  # opens OpenGL

        model, data = env.physics.model.ptr, env.physics.data.ptr
        number = model.camera(self.camera).id
        body = model.cam_bodyid[number]
        turn, quat = data.xmat[body].reshape(3, 3).T, np.zeros(4)
        mujoco.mju_mat2Quat(quat, (turn @ self.axes).ravel())
        place = turn @ (self.place - data.xpos[body])
        fixed = mujoco.mjtCamLight.mjCAMLIGHT_FIXED  # the scene's may look at a body
        pose = {"cam_pos": place, "cam_quat": quat, "cam_fovy": self.fovy, "cam_mode": fixed}
        before = {name: getattr(model, name)[number].copy() for name in pose}
        try:
            for name, value in pose.items():
                getattr(model, name)[number] = value
            mujoco.mj_camlight(model, data)
            yield
        finally:
            for name, value in before.items():
                getattr(model, name)[number] = value
            mujoco.mj_camlight(model, data)

    def told(self, env: SimEnv) -> str:
        """In words, from where the scene has it."""
        own = float(env.physics.named.model.cam_fovy[self.camera])
        return (
            f"{self.camera} stands {how_far(self.move(env))}; it sees {self.fovy:.1f} degrees from below to "
            f"above, the scene's {own:.1f}"
        )


def how_far(move: CameraMove) -> str:
    """A camera's move, in words."""
    far, angle = 1000 * np.linalg.norm(move[0]), np.degrees(np.linalg.norm(move[1]))
    return f"{far:.0f} mm and {angle:.1f} degrees from where the scene has it"
