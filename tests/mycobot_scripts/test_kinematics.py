"""Forward kinematics against the twin and against what the maker's arm says of itself."""

import numpy as np
import pytest

from constants import MYCOBOT, get_task
from mycobot_scripts.kinematics.geometry import FIRMWARE_OFFSET, coords, forward, tool_point

LIMITS = np.radians([168, 135, 145, 145, 168, 180])


def test_agrees_with_the_twin():
    import mujoco

    from tasks.scene.building import build_model

    model = build_model(get_task("sim_mycobot320_move_cube_scripted"))
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    for _ in range(100):
        joints = rng.uniform(-1, 1, 6) * LIMITS * 0.95
        for name, angle in zip(MYCOBOT.joints, joints, strict=True):
            data.joint(f"{MYCOBOT.name}/{name}").qpos[0] = angle
        mujoco.mj_kinematics(model, data)
        position, rotation = forward(joints)
        flange = data.site(f"{MYCOBOT.name}/flange")
        assert np.allclose(position, flange.xpos, atol=1e-4)
        assert np.allclose(rotation, flange.xmat.reshape(3, 3), atol=1e-5)
        assert np.allclose(tool_point(joints), data.site(f"{MYCOBOT.name}/grip_point").xpos, atol=1e-4)


def test_zero_pose_is_the_makers():
    position, rotation = forward(np.zeros(6))
    assert np.allclose(position, [0, -0.15428, 0.5239], atol=1e-6)
    assert np.allclose(rotation, [[-1, 0, 0], [0, 0, -1], [0, -1, 0]], atol=1e-9)
    assert np.allclose(coords(np.zeros(6), 0.08878), [0, -154.28, 523.9, -90, 0, 180], atol=1e-3)


def test_the_firmwares_offset_moves_the_flange_by_a_millimetre():
    rng = np.random.default_rng(1)
    for _ in range(50):
        joints = rng.uniform(-1, 1, 6) * LIMITS
        apart = forward(joints)[0] - forward(joints, FIRMWARE_OFFSET)[0]
        assert np.linalg.norm(apart) == pytest.approx(1e-3, abs=1e-9)


def test_rotation_is_rebuilt_from_the_coords():
    rng = np.random.default_rng(2)
    for _ in range(50):
        joints = rng.uniform(-1, 1, 6) * LIMITS
        rx, ry, rz = np.radians(coords(joints)[3:])
        turn_x = [[1, 0, 0], [0, np.cos(rx), -np.sin(rx)], [0, np.sin(rx), np.cos(rx)]]
        turn_y = [[np.cos(ry), 0, np.sin(ry)], [0, 1, 0], [-np.sin(ry), 0, np.cos(ry)]]
        turn_z = [[np.cos(rz), -np.sin(rz), 0], [np.sin(rz), np.cos(rz), 0], [0, 0, 1]]
        assert np.allclose(np.array(turn_z) @ turn_y @ turn_x, forward(joints)[1], atol=1e-9)


def test_the_users_pick_holds_a_cube_61_mm_above_the_foot():
    pick = np.radians([-3.95, 66.53, 8.17, 6.32, -88.59, -1.84])
    assert tool_point(pick) == pytest.approx([-0.3726, -0.0686, 0.061], abs=2e-3)
