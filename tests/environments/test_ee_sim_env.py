import functools
import itertools
from dataclasses import replace

import mujoco
import numpy as np
import pytest
from pyquaternion import Quaternion
from simulated_tasks import SIMULATED

from constants import TASKS
from ee_sim_env import GripPointIK, make_ee_sim_env
from scripted_policy import ScriptedPolicy
from tasks.scene import inverse_kinematics
from tasks.scene.building import build_model

model_of = functools.cache(lambda name: build_model(TASKS[name]))
ARMS = [(task, arm) for task in SIMULATED for arm in task.arms]
IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


@pytest.fixture(params=ARMS, ids=[f"{task.name}-{arm.label}" for task, arm in ARMS])
def arm(request):
    """(solver, arm)."""
    task, arm = request.param
    return GripPointIK(model_of(task.name), arm), arm


@pytest.fixture(scope="module", params=SIMULATED, ids=[task.name for task in SIMULATED])
def env(request):
    env = make_ee_sim_env(request.param)
    yield env
    env.close()


def limits(solver, arm):
    ranges = [solver._model.joint(f"{arm.name}/{name}").range for name in arm.joints]
    return np.array(ranges).T


def random_joints(solver, arm, rng, spread):
    return np.clip(np.array(arm.start) + rng.uniform(-spread, spread, len(arm.joints)), *limits(solver, arm))


def target_of(solver, joints):
    """xyz and `quat` (relative to the zero pose, as `solve` wants it) of the grip point at `joints`."""
    xyz, quat = solver.forward(joints)
    _, zero = solver.forward(np.zeros(len(joints)))
    return xyz, (Quaternion(quat) * Quaternion(zero).inverse).elements


def distance(solver, joints, xyz, quat):
    """Position (m) and rotation (rad) between the grip point at `joints` and a target."""
    reached, turned = target_of(solver, joints)
    return np.linalg.norm(reached - xyz), Quaternion.absolute_distance(
        Quaternion(turned), Quaternion(quat)
    ) * 2


@pytest.mark.parametrize(("spread", "steps"), [(0.2, 1), (0.4, 10)])  # as an episode: on the way there
def test_inverse_inverts_forward(arm, spread, steps):
    solver, arm = arm
    solver = GripPointIK(solver._model, replace(arm, posture=()))
    rng, start = np.random.default_rng(0), np.array(arm.start)
    for _ in range(30):
        goal, found = random_joints(solver, arm, rng, spread), start
        for share in np.arange(1, steps + 1) / steps:
            xyz, quat = target_of(solver, start + share * (goal - start))
            found = solver.solve(found, xyz, quat)
        position, rotation = distance(solver, found, xyz, quat)
        assert position < 1e-3 and rotation < 1e-3


def test_posture_costs_little_of_the_orientation_and_nothing_of_the_position(arm):
    solver, arm = arm
    rng = np.random.default_rng(0)
    for _ in range(30):
        xyz, quat = target_of(solver, random_joints(solver, arm, rng, 0.2))
        position, rotation = distance(solver, solver.solve(np.array(arm.start), xyz, quat), xyz, quat)
        assert position < 5e-4 and rotation < 0.05


@pytest.mark.parametrize("task", [task for task in SIMULATED if task.script], ids=lambda task: task.name)
def test_demonstrations_of_all_starts_hold_the_wrist_alike(task):
    """Half a turn of the forearm apart there is another solution; a mixture of both cannot be imitated."""
    env, paths = make_ee_sim_env(task), []
    for corner in itertools.product((0, 1), repeat=2):
        places = [
            [(prop.low, prop.high)[end][axis] for axis, end in enumerate(corner)] for prop in task.props
        ]
        poses = [[*xy, prop.low[2], *IDENTITY] for prop, xy in zip(task.props, places, strict=True)]
        env.reset(env_state=np.concatenate(poses))
        script = ScriptedPolicy(task, env.start_xyz(), env.env_state)
        paths.append([env.joint_action(script(t)) for t in range(task.episode_len)])
    env.close()
    paths = np.array(paths)  # (starts, T, D)
    rolls = [i for i, name in enumerate(task.state_names) if name.endswith("forearm_roll")]
    assert np.ptp(paths[:, :, rolls], axis=0).max(initial=0) < np.pi / 2
    assert np.abs(np.diff(paths, axis=1)).max() * task.fps < 5  # rad/s; a flip is hundreds


def test_forward_is_the_sites_pose(arm):
    solver, arm = arm
    joints = random_joints(solver, arm, np.random.default_rng(1), 0.5)
    data = mujoco.MjData(solver._model)
    for name, angle in zip(arm.joints, joints, strict=True):
        data.joint(f"{arm.name}/{name}").qpos[0] = angle
    mujoco.mj_forward(solver._model, data)
    xyz, quat = solver.forward(joints)
    site = data.site(f"{arm.name}/grip_point")
    assert np.allclose(xyz, site.xpos)
    assert np.allclose(Quaternion(quat).rotation_matrix, site.xmat.reshape(3, 3))
    assert xyz is not solver.forward(joints)[0], "no views of a buffer that changes"


def test_one_step_reduces_the_error(arm, monkeypatch):
    monkeypatch.setattr(inverse_kinematics, "MAX_ITERATIONS", 1)
    solver, arm = arm
    rng, start = np.random.default_rng(2), np.array(arm.start)
    for _ in range(30):
        target = target_of(solver, random_joints(solver, arm, rng, 0.1))
        before, after = (sum(distance(solver, q, *target)) for q in (start, solver.solve(start, *target)))
        assert after < 0.5 * before


def test_a_reached_target_moves_nothing(arm):
    solver, arm = arm
    start = np.array(arm.start)
    assert np.array_equal(solver.solve(start, *target_of(solver, start)), start)


def test_the_given_joints_stay_as_they_are(arm):
    solver, arm = arm
    start = np.array(arm.start)
    solver.solve(start, *target_of(solver, start + 0.1))
    assert np.array_equal(start, arm.start)


def test_unreachable_target(arm):
    solver, arm = arm
    low, high = limits(solver, arm)
    for xyz in ([0.0, 0.5, 3.0], [5.0, 5.0, 5.0], [0.0, 0.5, -2.0]):
        joints = np.array(arm.start)
        for _ in range(20):
            joints = solver.solve(joints, np.array(xyz), IDENTITY)
            assert np.isfinite(joints).all() and (low <= joints).all() and (joints <= high).all()


def test_identity_is_the_orientation_at_the_zero_pose(arm):
    solver, arm = arm
    xyz, zero = solver.forward(np.zeros(len(arm.joints)))
    joints = np.full(len(arm.joints), 0.2)
    for _ in range(5):
        joints = solver.solve(joints, xyz, IDENTITY)
    _, quat = solver.forward(joints)
    assert Quaternion.absolute_distance(Quaternion(quat), Quaternion(zero)) < 1e-3


def test_arms_face_each_other_at_the_zero_pose():
    task = TASKS["sim_transfer_cube_scripted"]
    for arm, forwards in zip(task.arms, ([1, 0, 0], [-1, 0, 0]), strict=True):
        _, quat = GripPointIK(model_of(task.name), arm).forward(np.zeros(6))
        assert np.allclose(Quaternion(quat).rotate([1, 0, 0]), forwards, atol=1e-4)


def test_turns_are_about_the_worlds_axes():
    """Turned by -60 degrees about y the right gripper, which looks along -x, looks down."""
    task = TASKS["sim_transfer_cube_scripted"]
    solver, start = GripPointIK(model_of(task.name), task.arms[1]), np.array(task.arms[1].start)
    turn = Quaternion(axis=[0, 1, 0], degrees=-60).elements
    joints = start
    for _ in range(5):
        joints = solver.solve(joints, np.array([0.1, 0.5, 0.1]), turn)
    xyz, quat = solver.forward(joints)
    assert np.allclose(xyz, [0.1, 0.5, 0.1], atol=1e-3)
    looks = Quaternion(quat).rotate([1, 0, 0])
    assert np.allclose(looks, [-np.cos(np.pi / 3), 0, -np.sin(np.pi / 3)], atol=2e-3)


# --- the environment


def stay(env, gripper=0.0):
    """End-effector action that holds every arm where it starts."""
    parts = []
    for arm, solver in zip(env._arms, env._solvers, strict=True):
        parts += [*target_of(solver, np.array(arm.start)), [gripper]]
    return np.concatenate(parts)


def test_start_xyz_is_where_the_grip_points_are(env):
    env.reset(0)
    for arm in env.spec.arms:
        site = env.env.physics.named.data.site_xpos[f"{arm.name}/grip_point"]
        assert np.allclose(env.start_xyz()[arm.label], site)


def test_joint_action_has_the_joints_and_the_gripper(env):
    task = env.spec
    env.reset(0)
    action = dict(zip(task.state_names, env.joint_action(stay(env, 0.25)), strict=True))
    for arm in task.arms:
        assert [action[entry.name] for entry in arm.entries[:-1]] == list(arm.start)
        assert action[f"{arm.label}_gripper"] == 0.25


def test_present_is_the_action_that_holds_the_arms(env):
    task = env.spec
    home = env.reset(0).observation["qpos"]
    held = env.present()
    assert held.shape == (8 * len(task.arms),)
    assert np.allclose(env.joint_action(held), home, atol=1e-9)
    for arm, part in zip(task.arms, held.reshape(-1, 8), strict=True):
        assert np.allclose(part[:3], env.start_xyz()[arm.label])
    env.env.step(home + 0.2)
    assert not np.allclose(env.present(), held, atol=1e-3), "where they are now, not at the start"


def test_the_arms_go_where_they_are_sent(env):
    task = env.spec
    env.reset(0)
    action = stay(env).reshape(-1, 8)
    action[:, 2] -= 0.05  # 5 cm down
    for _ in range(50):
        env.step(action.ravel())
    for arm, part in zip(task.arms, action, strict=True):
        site = env.env.physics.named.data.site_xpos[f"{arm.name}/grip_point"]
        assert np.linalg.norm(site - part[:3]) < 0.01  # the joints' springs give a little


def test_inverse_kinematics_leaves_the_physics_alone(env):
    env.reset(0)
    before = env.env.physics.get_state().copy()
    action = stay(env).reshape(-1, 8)
    action[:, 2] += 0.1
    env.joint_action(action.ravel())
    assert np.array_equal(env.env.physics.get_state(), before)


def test_reset_forgets_the_last_episode(env):
    near, far = stay(env).reshape(-1, 8), stay(env).reshape(-1, 8)
    near[:, 2] += 0.05
    far[:, 2] += 0.15
    env.reset(0)
    first = env.joint_action(near.ravel())
    env.joint_action(far.ravel())
    assert not np.array_equal(first, env.joint_action(near.ravel())), "the search starts at the last joints"
    env.reset(0)
    assert np.array_equal(first, env.joint_action(near.ravel()))
