from dataclasses import replace

import numpy as np
import pytest
from pyquaternion import Quaternion

from constants import TASKS, Waypoint, get_task
from ee_sim_env import make_ee_sim_env
from record_sim_episodes import run_script
from scripted_policy import ScriptedPolicy

SCRIPTED = [task for task in TASKS.values() if task.script]
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
    axis, degrees = point.turn
    return anchor[point.at] + point.xyz, Quaternion(axis=AXES[axis], degrees=degrees)


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
    start = {arm.label: np.array([0.2, 0.5, 0.3]) for arm in task.arms}
    env_state = np.tile([0.1, 0.5, 0.02, 1, 0, 0, 0], len(task.props))
    policy = ScriptedPolicy(task, start, env_state)
    actions = np.array([policy(t) for t in range(task.episode_len)])
    assert np.isfinite(actions).all() and actions.shape == (task.episode_len, 8 * len(task.arms))
    for part, _ in paths(task):
        arm = actions[:, part]
        assert np.allclose(np.linalg.norm(arm[:, 3:7], axis=1), 1)
        assert np.abs(np.diff(arm[:, :3], axis=0)).max() < 0.02  # m a step
        assert (np.abs(np.diff(arm[:, 7])) < 0.1).all()
        turned = [abs(a @ b) for a, b in zip(arm[:-1, 3:7], arm[1:, 3:7], strict=True)]
        assert 2 * np.arccos(np.clip(min(turned), 0, 1)) < 0.1  # rad a step


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
            follows = point.at == task.props[0].name
            assert np.allclose(shift, [0.1, 0.2, 0.3, 0, 0, 0, 0, 0] if follows else 0)


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


def successes(task, starts):
    env = make_ee_sim_env(task)
    try:
        return [run_script(env, task, np.random.default_rng([0, 99, i]), ()).success for i in range(starts)]
    finally:
        env.close()


@every_script
def test_script_succeeds(task):
    assert successes(task, 3) == [True] * 3


@pytest.mark.slow
@every_script
def test_script_succeeds_from_50_of_50_starts(task):
    assert sum(successes(task, 50)) == 50
