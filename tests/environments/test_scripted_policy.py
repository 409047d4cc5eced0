from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from pyquaternion import Quaternion

from constants import TASKS, Stream, get_task
from ee_sim_env import GripPointIK, make_ee_sim_env
from evaluation.demonstrations import Demonstration, run_script
from scripted_policy import ScriptedPolicy
from tasks.parts import Waypoint
from tasks.scene.building import build_model
from tasks.starts.sampling import pose_of

SCRIPTED = [variant for task in TASKS.values() for variant in task.variants if variant.script]
AXES = {"x": [1, 0, 0], "y": [0, 1, 0], "z": [0, 0, 1]}
every_script = pytest.mark.parametrize("task", SCRIPTED, ids=[task.name for task in SCRIPTED])


def setting(task):
    """Grip points and props at some places that are all different."""
    rng = np.random.default_rng(0)
    start = {arm.label: rng.normal(size=3) for arm in task.arms}
    return start, rng.normal(size=7 * len(task.props))


def paths(task):
    """(position of its action, waypoints) of each arm."""
    for i, arm in enumerate(task.arms):
        yield slice(8 * i, 8 * i + 8), [point for point in task.script if point.arm == arm.label]


def expected(task, point, start, env_state):
    anchor = {"start": start[point.arm], "world": np.zeros(3)}
    anchor |= {prop.name: env_state.reshape(-1, 7)[i, :3] for i, prop in enumerate(task.props)}
    turns = [
        Quaternion(axis=AXES[axis], degrees=angle)
        for axis, angle in zip(point.turn[::2], point.turn[1::2], strict=True)
    ]
    origin = [anchor[name][axis] for axis, name in enumerate(point.anchors)]
    return np.add(origin, point.xyz), reduce(lambda before, turn: turn * before, turns)


def same_rotation(one, other):
    return Quaternion.absolute_distance(Quaternion(one), Quaternion(other)) < 1e-6


@every_script
def test_every_waypoint_is_hit(task):
    policy = ScriptedPolicy(task, *setting(task))
    for part, points in paths(task):
        for point in points:
            xyz, turn = expected(task, point, *setting(task))
            action = policy(point.step)[part]
            assert np.allclose(action[:3], xyz, rtol=0, atol=1e-12), point
            assert same_rotation(action[3:7], turn), point
            assert action[7] == point.gripper


@every_script
def test_half_way_is_the_mean(task):
    policy = ScriptedPolicy(task, *setting(task))
    for part, points in paths(task):
        for a, b in zip(points, points[1:], strict=False):
            before, half, after = (policy(t)[part] for t in (a.step, (a.step + b.step) / 2, b.step))
            linear = [0, 1, 2, 7]
            assert np.allclose(half[linear], (before + after)[linear] / 2)
            to_one, to_other = (
                Quaternion.absolute_distance(Quaternion(half[3:7]), Quaternion(end[3:7]))
                for end in (before, after)
            )
            assert to_one == pytest.approx(to_other, abs=1e-6)


@every_script
def test_orientations_are_unit_and_motion_has_no_jumps(task):
    model = build_model(task)
    start = {arm.label: GripPointIK(model, arm).forward(np.array(arm.start))[0] for arm in task.arms}
    poses = [np.append(np.add(prop.low, prop.high) / 2, [1, 0, 0, 0]) for prop in task.props]
    policy = ScriptedPolicy(task, start, np.concatenate(poses))
    actions = np.array([policy(t) for t in range(task.episode_len)])
    assert np.isfinite(actions).all() and actions.shape == (task.episode_len, 8 * len(task.arms))
    for part, _ in paths(task):
        arm = actions[:, part]
        assert np.allclose(np.linalg.norm(arm[:, 3:7], axis=1), 1)
        assert np.abs(np.diff(arm[:, :3], axis=0)).max() < 1.0 / task.fps  # 1 m/s
        assert (np.abs(np.diff(arm[:, 7])) < 5 / task.fps).all()
        turned = [abs(a @ b) for a, b in zip(arm[:-1, 3:7], arm[1:, 3:7], strict=True)]
        assert 2 * np.arccos(np.clip(min(turned), 0, 1)) < 5 / task.fps  # 5 rad/s


@every_script
def test_after_the_last_waypoint_it_stays(task):
    policy = ScriptedPolicy(task, *setting(task))
    last = max(point.step for point in task.script)
    assert np.allclose(policy(last), policy(last + 1)) and np.allclose(policy(last), policy(last + 1000))


@every_script
def test_waypoints_at_a_prop_follow_it(task):
    start, env_state = setting(task)
    moved = env_state.copy()
    moved[:3] += [0.1, 0.2, 0.3]
    one, other = ScriptedPolicy(task, start, env_state), ScriptedPolicy(task, start, moved)
    for part, points in paths(task):
        for point in points:
            shift = (other(point.step) - one(point.step))[part]
            follows = [name == task.props[0].name for name in point.anchors]
            assert np.allclose(shift, [*(np.array([0.1, 0.2, 0.3]) * follows), 0, 0, 0, 0, 0])


def test_turns_interpolate_along_the_shortest_arc():
    task = get_task("sim_transfer_cube_scripted")
    script = tuple(
        Waypoint(arm.label, step, "world", (0, 0, 0), gripper=0, turn=("y", degrees))
        for arm in task.arms
        for step, degrees in ((0, 0.0), (9, -90.0))
    )
    policy = ScriptedPolicy(replace(task, script=script), *setting(task))
    for step in range(10):
        assert same_rotation(policy(step)[3:7], Quaternion(axis=[0, 1, 0], degrees=-10 * step))


@pytest.mark.parametrize("arms", [(), ("left",), ("right",)])
def test_task_without_a_script_for_each_arm_is_refused(arms):
    task = get_task("sim_transfer_cube_scripted")
    partial = replace(task, script=tuple(point for point in task.script if point.arm in arms))
    with pytest.raises(
        ValueError, match="task 'sim_transfer_cube_scripted' has no script for each of its arms"
    ):
        ScriptedPolicy(partial, *setting(task))


def test_turns_follow_one_another_about_the_worlds_axes():
    task = get_task("sim_transfer_cube_scripted")
    turn = ("x", 90.0, "z", -90.0)  # what looked along y first looks up, and stays so
    script = tuple(Waypoint(arm.label, 0, "world", (0, 0, 0), gripper=0, turn=turn) for arm in task.arms)
    quat = ScriptedPolicy(replace(task, script=script), *setting(task))(0)[3:7]
    assert np.allclose(Quaternion(quat).rotate([0, 1, 0]), [0, 0, 1])
    assert np.allclose(Quaternion(quat).rotate([1, 0, 0]), [0, -1, 0])


def test_each_axis_may_have_an_anchor_of_its_own():
    """A push from wherever the cube is to a fixed line: x of the world, y and z of the cube."""
    task = get_task("sim_move_cube_scripted")
    start, env_state = setting(task)
    points = (
        Waypoint("right", 0, "start", (0, 0, 0), gripper=0),
        Waypoint("right", 50, ("world", "red_box", "red_box"), (-0.1, 0.02, 0.03), gripper=0),
        Waypoint("right", 90, ("start", "yellow_box", "world"), (0, 0, 0.2), gripper=0),
    )
    policy = ScriptedPolicy(replace(task, script=points), start, env_state)
    red, yellow = env_state.reshape(-1, 7)[:, :3]
    np.testing.assert_allclose(policy(50)[:3], [-0.1, red[1] + 0.02, red[2] + 0.03])
    np.testing.assert_allclose(policy(90)[:3], [start["right"][0], yellow[1], 0.2])
    noisy = ScriptedPolicy(replace(task, script=points), start, env_state, 0.01, np.random.default_rng(0))
    assert (noisy(90)[:3] != policy(90)[:3]).all(), "only what is wholly at the start is left alone"


def test_a_gripper_may_turn_with_a_prop():
    task = get_task("sim_move_cube_scripted")
    start, _ = setting(task)
    env_state = np.concatenate([pose_of((0.1, 0.5, 0.05), 30.0), pose_of((0, 0.9, 0.05))])
    point = Waypoint("right", 0, "red_box", (0, 0, 0), gripper=0, turn=("y", -90.0), turn_with="red_box")
    turned = ScriptedPolicy(replace(task, script=(point,)), start, env_state)(0)[3:7]
    straight = Quaternion(axis=[0, 1, 0], degrees=-90)
    assert same_rotation(turned, Quaternion(axis=[0, 0, 1], degrees=30) * straight)


# --- noise


def shifts(task, noise, seed=0):
    """By how much (m) each waypoint is moved, by (arm, step)."""
    clean = ScriptedPolicy(task, *setting(task))
    noisy = ScriptedPolicy(task, *setting(task), noise, np.random.default_rng(seed))
    return {
        (point.arm, point.step): ((noisy(point.step) - clean(point.step))[part], point)
        for part, points in paths(task)
        for point in points
    }


@every_script
def test_noise_moves_every_waypoint_but_those_at_the_start(task):
    seen = {}
    for (_, step), (shift, point) in shifts(task, 0.01).items():
        assert np.abs(shift[:3]).max() <= 0.01 and np.allclose(shift[3:], 0)
        assert (np.abs(shift[:3]).max() > 1e-5) == (point.at != "start")
        if point.at != "start":
            seen.setdefault(step, []).append(shift[:3])
    assert all(np.allclose(one, many[0], atol=1e-12) for many in seen.values() for one in many)
    moved = np.array([many[0] for many in seen.values()])
    assert len(np.unique(moved.round(9), axis=0)) == len(seen), "another shift at every step"


def test_noise_fills_its_range_and_differs_between_episodes():
    task = get_task("sim_transfer_cube_scripted")
    drawn = np.array([shifts(task, 0.01, seed)["right", 130][0][:3] for seed in range(100)])
    assert drawn.min() < -0.009 and drawn.max() > 0.009 and np.abs(drawn.mean(axis=0)).max() < 0.003


def test_without_noise_nothing_is_drawn():
    task, rng = get_task("sim_transfer_cube_scripted"), np.random.default_rng(0)
    ScriptedPolicy(task, *setting(task), 0.0, rng)
    assert rng.random() == np.random.default_rng(0).random()


def test_a_script_that_hesitates_waits_at_its_start():
    task = get_task("sim_transfer_cube_scripted")
    prompt, waits = ScriptedPolicy(task, *setting(task)), set()
    for seed in range(60):
        late = ScriptedPolicy(task, *setting(task), rng=np.random.default_rng(seed), hesitate=3)
        waits.add(next(wait for wait in range(9) if np.array_equal(late(wait + 1), prompt(1))))
        assert np.array_equal(late(0), prompt(0))
    assert waits == {0, 1, 2, 3}


# --- success


def successes(task, starts, noise=0.0):
    """(success, strict success) of each start that record_sim_episodes.py would draw."""
    env, outcomes = make_ee_sim_env(task), []
    for i in range(starts):
        rng = np.random.default_rng([0, Stream.RECORD, i])
        episode = run_script(env, task, rng, how=Demonstration(noise=noise))
        outcomes.append((episode.success, env.strict_success))
    env.close()
    return np.array(outcomes).T


@every_script
def test_script_succeeds(task):
    success, strict = successes(task, 2)
    assert success.all() and strict.all()


@pytest.mark.slow
@every_script
def test_script_succeeds_from_200_starts(task):
    success, strict = successes(task, 200)
    assert sum(success) >= (196 if "insertion" in task.name else 200)
    assert sum(strict) >= 190


@pytest.mark.slow
@every_script
def test_script_succeeds_with_noise(task):
    success, _ = successes(task, 200, noise=0.01)
    assert sum(success) >= 180
