"""Where points of a simulated scene appear in a camera's picture, and drawing there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from common import write

AXIS_LENGTH = 0.07  # m
COLOURS = ((255, 90, 90), (90, 255, 90), (110, 160, 255))  # RGB, of the three axes
NEAREST = 1e-3  # m in front of a camera
CameraMove = tuple[np.ndarray, np.ndarray]  # in the camera's own frame: shift (m), and turn (rad)


def camera_matrix(physics: Any, camera: str, image_size: tuple[int, int]) -> np.ndarray:
    """Matrix (3, 4) from a homogeneous point in the world (m) to its pixel in pictures (H, W).

    `physics` is dm_control's; so is the convention: the camera looks along its minus z, and its y is up.
    """
    fovy, place = physics.named.model.cam_fovy[camera], physics.named.data.cam_xpos[camera]
    return matrix_of(float(fovy), camera_pose(physics, camera), place, image_size)


def matrix_of(fovy: float, pose: np.ndarray, place: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """As `camera_matrix`, of a camera that sees `fovy` degrees from below to above, at a pose (3, 3) and a
    place (3,).
    """
    height, width = image_size
    focal = height / 2 / np.tan(np.radians(fovy) / 2)  # pixels
    camera_from_world = np.column_stack([pose.T, -pose.T @ place])
    lens = [[-focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]
    return np.array(lens) @ camera_from_world


def moved_camera(pose: np.ndarray, place: np.ndarray, move: CameraMove) -> tuple[np.ndarray, np.ndarray]:
    """Pose (3, 3) and place (3,) of a camera after a move."""
    shift, turn = move
    return pose @ cv2.Rodrigues(turn)[0], place + pose @ shift


def to_pixels(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Pixels (N, 2), x to the right and y down, of points (N, 3) in m; NaN for those behind the camera."""
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    depth = homogeneous[:, 2:]  # along the camera's z: negative in front of it
    return homogeneous[:, :2] / np.where(depth < -NEAREST, depth, np.nan)


def picture_axes(pose: np.ndarray) -> np.ndarray:
    """Columns of a (3, 3): the picture's right, away from its viewer, and up, as directions in the world.

    `pose` (3, 3) is the camera's: its columns point to the picture's right and upper edge, and to the viewer.
    The axes are level or upright: "away" averages the line of sight and the upper edge, so that it means the
    same for a camera that looks down and one that looks ahead.
    """
    away = pose[:, 1] - pose[:, 2]
    away[2] = 0.0
    away /= np.linalg.norm(away)
    up = np.array([0.0, 0.0, 1.0])
    return np.column_stack([np.cross(away, up), away, up])


def camera_pose(physics: Any, camera: str) -> np.ndarray:
    """Pose (3, 3) of a camera in dm_control's `physics`, as `picture_axes` takes it."""
    return np.reshape(physics.named.data.cam_xmat[camera], (3, 3))


def draw_axes(
    image: np.ndarray, matrix: np.ndarray, origin: np.ndarray, axes: np.ndarray, labels: Sequence[str]
) -> np.ndarray:
    """A copy of an image (H, W, 3) uint8 RGB with an arrow along each column of `axes` (3, 3).

    Arrows begin at `origin` (3,) in m; one that points at the viewer has no length, only its label.
    """
    drawn = image.copy()
    pixels = to_pixels(matrix, np.vstack([origin, origin + AXIS_LENGTH * axes.T]))
    if not np.isfinite(pixels).all():
        return drawn
    start, *tips = (tuple(int(value) for value in np.round(pixel)) for pixel in pixels)
    for tip, colour, label in zip(tips, COLOURS, labels, strict=True):
        cv2.arrowedLine(drawn, start, tip, colour, 2, cv2.LINE_AA, tipLength=0.2)
        write(drawn, label, (tip[0] + 5, tip[1] - 5), colour)
    return drawn
