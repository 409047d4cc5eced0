"""The myCobot 320 twin against the real arm's numbers: kinematics, masses, response, gripper, the task."""

import itertools
from dataclasses import replace

import mujoco
import numpy as np
import pytest
from scipy.optimize import curve_fit

from constants import MYCOBOT, get_task
from sim_env import make_sim_env
from tasks.scene.building import PHYSICS_DT, build_model

TASK = get_task("sim_mycobot320_move_cube_scripted")
MODEL = build_model(TASK)
# Modified DH, a reading of the maker's description of its own: alpha (rad), a, d (m), offset (rad)
DH = (
    (0, 0, 0.1739, 0),
    (np.pi / 2, 0, 0, np.pi / 2),
    (0, 0.135, 0, 0),
    (0, 0.120, 0.08878, np.pi / 2),
    (np.pi / 2, 0, 0.095, 0),
    (-np.pi / 2, 0, 0.0655, 0),
)
LIMITS = (2.93, 2.35, 2.53, 2.58, 2.93, 3.14)  # rad, either way
# Degrees; act-plus-plus_one: mycobot320_script
HOME = (-3.07, 33.39, 32.78, 6.94, -88.33, -1.58)
PICK = (-3.95, 66.53, 8.17, 6.32, -88.59, -1.84)
LIFT = (-4.65, 56.6, 16.17, -7.47, -91.4, -3.95)
TURN = (-2.54, 29.44, 23.81, 17.92, -88.33, -84.81)
ABOVE_B1, B1 = (24.08, 47.89, 0.52, 21.89, -89.03, -50.18), (24.08, 61.52, -15.73, 35.5, -89.12, -71.19)
ABOVE_B2, B2 = (34.08, 47.89, 5.52, 0.61, -65.03, -49.83), (30.08, 55.86, 13.72, 3.61, -65.03, -57.83)


@pytest.fixture(scope="module")
def env():
    env = make_sim_env(TASK, image_size=(120, 160))
    yield env
    env.close()


def site(data, name):
    return data.site(f"{MYCOBOT.name}/{name}")


def chain(joints):
    """Flange in the base frame (4, 4), by the modified DH parameters alone."""
    pose = np.eye(4)
    for (alpha, a, d, offset), angle in zip(DH, joints, strict=True):
        c, s, ca, sa = np.cos(angle + offset), np.sin(angle + offset), np.cos(alpha), np.sin(alpha)
        pose = pose @ np.array(
            [[c, -s, 0, a], [s * ca, c * ca, -sa, -d * sa], [s * sa, c * sa, ca, d * ca], [0, 0, 0, 1]]
        )
    return pose


def posed(joints):
    data = mujoco.MjData(MODEL)
    for name, angle in zip(MYCOBOT.joints, joints, strict=True):
        data.joint(f"{MYCOBOT.name}/{name}").qpos[0] = angle
    mujoco.mj_forward(MODEL, data)
    return data


# --- the model


def test_forward_kinematics_agrees_to_a_tenth_of_a_millimetre():
    rng = np.random.default_rng(0)
    for _ in range(200):
        joints = rng.uniform(-1, 1, 6) * LIMITS
        flange, wanted = site(posed(joints), "flange"), chain(joints)
        assert np.abs(flange.xpos - wanted[:3, 3]).max() < 1e-4
        assert np.abs(flange.xmat.reshape(3, 3) - wanted[:3, :3]).max() < 1e-5


def test_zero_pose():
    flange = site(posed(np.zeros(6)), "flange")
    assert np.allclose(flange.xpos, [0, -0.1543, 0.5239], atol=1e-4)
    assert np.allclose(
        flange.xmat.reshape(3, 3), [[-1, 0, 0], [0, 0, -1], [0, -1, 0]], atol=1e-6
    )  # -90, 0, 180


def test_joints_have_the_arms_limits():
    for name, limit in zip(MYCOBOT.joints, LIMITS, strict=True):
        assert np.allclose(MODEL.joint(f"{MYCOBOT.name}/{name}").range, [-limit, limit])
        assert np.allclose(MODEL.actuator(f"{MYCOBOT.name}/{name}").ctrlrange, [-limit, limit])


def test_masses():
    total = MODEL.body_subtreemass[MODEL.body("mycobot320/base").id]
    gripper = MODEL.body_subtreemass[MODEL.body("mycobot320/gripper_base").id]
    assert (total - gripper, gripper) == pytest.approx((3.3, 0.35), abs=1e-6)
    for i in range(MODEL.nbody):
        if MODEL.body(i).name.startswith("mycobot320/"):
            inertia = np.sort(MODEL.body_inertia[i])
            assert inertia[0] > 0 and inertia[2] <= inertia[0] + inertia[1] + 1e-12, MODEL.body(i).name


def test_the_users_poses_are_free_of_collisions():
    for pose in (HOME, PICK, LIFT, TURN, ABOVE_B1, B1, ABOVE_B2, B2):
        pairs = [{MODEL.geom(i).name for i in pair} for pair in posed(np.radians(pose)).contact.geom]
        assert all(any("mycobot320/" not in name for name in pair) for pair in pairs), (pose, pairs)


def test_start_is_the_users_home(env):
    qpos = env.reset(0).observation["qpos"]
    assert np.allclose(qpos, [*np.radians(HOME), 0.7])
    pads = [env.physics.named.data.geom_xpos[f"mycobot320/{side}_pad"].copy() for side in ("left", "right")]
    env.step(qpos)
    for pad, side in zip(pads, ("left", "right"), strict=True):
        assert np.allclose(pad, env.physics.named.data.geom_xpos[f"mycobot320/{side}_pad"], atol=1e-5)


# --- how it follows commands


def first_order(t, delay, time_constant):
    return np.where(t < delay, 0, 1 - np.exp(-(t - delay) / time_constant))


def response(env, joint, degrees, seconds=1.2):
    """Times (s) and the share of a step that one joint has made, at each physics step after the command."""
    action = env.reset(0).observation["qpos"].copy()
    start, step = action[joint], np.radians(degrees)
    action[joint] += step
    address = env.physics.model.ptr.joint(f"mycobot320/{MYCOBOT.joints[joint]}").qposadr[0]
    env.task.before_step(action, env.physics)
    seen = []
    for _ in range(round(seconds / PHYSICS_DT)):
        seen.append((env.physics.data.qpos[address] - start) / step)
        env.physics.step()
    return np.arange(len(seen)) * PHYSICS_DT, np.array(seen)


@pytest.mark.parametrize("joint", range(6))
def test_step_response_is_the_real_arms(env, joint):
    times, share = response(env, joint, -15)
    (delay, time_constant), _ = curve_fit(first_order, times, share, p0=(0.2, 0.1))
    assert delay == pytest.approx(0.23, abs=0.015) and time_constant == pytest.approx(0.10, abs=0.015)
    assert share[times < MYCOBOT.delay - PHYSICS_DT].max() < 1e-4, "nothing moves before the delay is over"
    assert share[-1] == pytest.approx(1, abs=0.005) and share.max() < 1.01


def test_speed_is_limited(env):
    times, share = response(env, 0, 60)
    assert np.diff(share).max() * 60 / PHYSICS_DT == pytest.approx(np.degrees(MYCOBOT.max_speed), rel=0.02)


def test_the_delay_does_not_depend_on_the_control_rate():
    seen = []
    for fps in (10, 50):
        env = make_sim_env(replace(TASK, fps=fps))
        action = env.reset(0).observation["qpos"].copy()
        action[0] += 0.2
        for _ in range(fps // 2):
            qpos = env.step(action).observation["qpos"]
        seen.append(qpos[0])
        env.close()
    assert seen[0] == pytest.approx(seen[1], abs=1e-9)


def test_no_command_outlives_its_episode(env):
    home = env.reset(0).observation["qpos"].copy()
    env.step(home + 0.3)
    env.step(home - 0.3)
    assert np.allclose(env.reset(0).observation["qpos"], home, atol=1e-12)
    for _ in range(4):
        assert np.allclose(env.step(home).observation["qpos"], home, atol=1e-3)


def test_the_arm_does_not_sag(env):
    home = env.reset(0).observation["qpos"].copy()
    for _ in range(20):
        seen = env.step(home).observation["qpos"]
    assert np.degrees(np.abs(seen - home)[:6].max()) < 0.05


# --- the gripper


def test_the_gripper_reports_its_last_command(env):
    action = env.reset(0).observation["qpos"].copy()
    joint = env.physics.named.data.qpos
    before = joint["mycobot320/gripper_controller"].copy()
    for command, reported in ((0.2, 0.2), (0.65, 0.65), (1.7, 1.0), (-1, 0.0)):
        action[6] = command
        seen = env.step(action).observation
        assert seen["qpos"][6] == reported and seen["qvel"][6] == 0
    assert env.reset(0).observation["qpos"][6] == pytest.approx(0.7)
    action[6] = 0.2
    env.step(action)
    assert joint["mycobot320/gripper_controller"] == pytest.approx(before, abs=1e-3), (
        "while it has yet to move"
    )


@pytest.mark.parametrize(("command", "gap"), [(0.0, 0.0), (0.5, 0.048), (1.0, 0.090)])
def test_pads_open_to_90_mm_and_stay_parallel(env, command, gap):
    action = env.reset(0).observation["qpos"].copy()
    action[6] = command
    for _ in range(20):
        env.step(action)
    data = env.physics.data.ptr
    left, right = (data.geom(f"mycobot320/{side}_pad") for side in ("left", "right"))
    between, axes = right.xpos - left.xpos, site(data, "flange").xmat.reshape(3, 3)
    thickness = 2 * MODEL.geom("mycobot320/left_pad").size[0]
    assert between @ axes[:, 0] - thickness == pytest.approx(gap, abs=1e-3)
    assert np.abs(between @ axes[:, 1:]).max() < 5e-4, "tips level"
    assert np.allclose(left.xmat, right.xmat, atol=0.01)


def test_a_cube_is_held_by_friction(env):
    """Closed upon a cube in free fall's way, carried through the air, it stays where it was gripped."""
    env.reset(0)
    start = np.concatenate([site(env.physics.data.ptr, "grip_point").xpos, [1, 0, 0, 0]])
    mujoco.mju_mat2Quat(start[3:], site(env.physics.data.ptr, "grip_point").xmat)
    action = env.reset(env_state=start).observation["qpos"].copy()
    env.physics.model.ptr.opt.gravity[:] = 0
    try:
        action[6] = 0.2
        for _ in range(12):
            env.step(action)
        env.physics.model.ptr.opt.gravity[2] = -9.81
        rewards, offsets = [], []
        for t in range(50):  # 5 s
            action[0] = MYCOBOT.start[0] + 0.3 * np.sin(t / 5)
            rewards.append(env.step(action).reward)
            point = site(env.physics.data.ptr, "grip_point")
            cube = env.physics.named.data.qpos["cube_joint"][:3]
            offsets.append(point.xmat.reshape(3, 3).T @ (cube - point.xpos))
    finally:
        env.physics.model.ptr.opt.gravity[2] = -9.81
    assert set(rewards) == {2}, "between both pads, in the air, all the time"
    assert np.linalg.norm(offsets[-1] - offsets[0]) < 2e-3


# --- the task


def users_frames(above, place, frames):
    """The user's joint angles (rad) and gripper commands, frame by frame (action_cal.py)."""
    poses = np.radians([HOME, PICK, PICK, LIFT, TURN, above, place, place])
    legs = [
        a + (b - a) * np.arange(1, n + 1)[:, None] / n
        for (a, b), n in zip(itertools.pairwise(poses), frames, strict=True)
    ]
    gripper = np.concatenate([[70] * 10, np.linspace(70, 20, 10), [20] * 85, np.linspace(20, 70, 10)])
    return np.column_stack([np.concatenate(legs), gripper / 100])


@pytest.mark.parametrize(
    ("above", "place", "frames", "plate"),
    [
        (ABOVE_B1, B1, (10, 10, 15, 30, 15, 25, 10), "place_b1"),
        (ABOVE_B2, B2, (10, 10, 15, 30, 25, 15, 10), "place_b2"),
    ],
)
def test_the_users_own_frames_bring_the_cube_from_a_to_b(env, above, place, frames, plate):
    actions = users_frames(above, place, frames)
    env.reset(env_state=np.array([-0.3726, -0.0686, 0.06, 1, 0, 0, 0]))  # m, between the pads at the user's A
    rewards = [env.step(action).reward for action in (*actions, *[actions[-1]] * 5)]
    assert len(actions) == TASK.episode_len and {1, 2} <= set(rewards)
    where, cube = MODEL.geom(plate), env.physics.named.data.qpos["cube_joint"][:3]
    assert np.abs(cube[:2] - where.pos[:2]).max() < 0.02
    assert cube[2] == pytest.approx(where.pos[2] + where.size[2] + 0.02, abs=1e-3), "it stands on the plate"


def test_the_top_camera_sees_the_grip_point_at_every_pose_of_the_user():
    for pose in (HOME, PICK, LIFT, TURN, ABOVE_B1, B1, ABOVE_B2, B2):
        data = posed(np.radians(pose))
        camera, fovy = data.camera("top"), MODEL.camera("top").fovy[0]
        seen = camera.xmat.reshape(3, 3).T @ (site(data, "grip_point").xpos - camera.xpos)
        up = seen[1] / -seen[2] / np.tan(np.radians(fovy) / 2)
        across = seen[0] / -seen[2] / np.tan(np.radians(fovy) / 2) * 480 / 640
        assert seen[2] < 0 and abs(up) < 0.85 and abs(across) < 0.85, (pose, across, up)
