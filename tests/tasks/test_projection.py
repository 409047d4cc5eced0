"""Points of a scene in a picture, against the renderer itself."""

import numpy as np
import pytest
from dm_control import mujoco as dm_mujoco

from constants import TASKS
from sim_env import make_sim_env
from tasks.projection import camera_matrix, camera_pose, draw_axes, picture_axes, to_pixels

SIZE = (48, 64)


@pytest.fixture(scope="module")
def env():
    made = make_sim_env(TASKS["sim_mycobot320_move_cube_scripted"], image_size=SIZE)
    made.reset(np.random.default_rng(0))
    yield made
    made.close()


def test_the_matrix_is_the_renderers(env):
    for camera in env.cameras:
        theirs = dm_mujoco.Camera(env.physics, *SIZE, camera_id=camera).matrix
        assert np.allclose(camera_matrix(env.physics, camera, SIZE), theirs)


def test_the_cube_is_where_its_pixels_say(env):
    place = env.env_state[:3]
    ((x, y),) = to_pixels(camera_matrix(env.physics, "top", SIZE), place[None])
    red, green, blue = env.render("top")[round(y), round(x)].astype(int)
    assert red > 2 * max(green, blue)


def test_what_is_behind_a_camera_has_no_pixels(env):
    pose = np.reshape(env.physics.named.data.cam_xmat["top"], (3, 3))
    behind = env.physics.named.data.cam_xpos["top"] + pose[:, 2]
    assert np.isnan(to_pixels(camera_matrix(env.physics, "top", SIZE), behind[None])).all()


def test_axes_point_right_away_and_up_in_the_picture(env):
    matrix, origin = camera_matrix(env.physics, "top", SIZE), env.env_state[:3]
    axes = picture_axes(camera_pose(env.physics, "top"))
    assert np.allclose(axes.T @ axes, np.eye(3)) and np.linalg.det(axes) > 0
    start, right, away, up = to_pixels(matrix, np.vstack([origin, origin + 0.05 * axes.T]))
    assert right[0] > start[0] and abs(right[1] - start[1]) < right[0] - start[0]
    assert away[1] < start[1] and up[1] < start[1]
    image = np.zeros((*SIZE, 3), np.uint8)
    assert draw_axes(image, matrix, origin, axes, "dwr").any() and not image.any(), "on a copy"
