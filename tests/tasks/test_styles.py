"""Styles: takes of a script as people do it. Contracts over all scripts, and each part in its range."""

from dataclasses import fields, replace
from itertools import groupby

import numpy as np
import pytest

from constants import STYLES, TASKS, Stream, get_task
from ee_sim_env import make_ee_sim_env
from evaluation.demonstrations import Demonstration, run_script
from scripted_policy import ScriptedPolicy
from tasks import GripPointIK, Style, StylePlan, Waypoint, build_model
from tasks.opengl import mujoco
from tasks.paths.script_paths import along, lay_paths
from tasks.paths.style_paths import PARTS, smooth, styled, tremor
from tasks.paths.style_take import Role, Take, roles_of
from tasks.scene.arm_index import ArmIndex

HUMAN = STYLES["human"]
SCRIPTED = [variant for task in TASKS.values() for variant in task.variants if variant.script]
every_script = pytest.mark.parametrize("task", SCRIPTED, ids=[task.name for task in SCRIPTED])
NAMES = ("transfer_cube", "insertion", "move_cube", "mycobot320_move_cube")
TRANSFER, INSERTION, MOVE, TWIN_MOVE = (get_task(f"sim_{name}_scripted") for name in NAMES)


def script_of(task):
    """The script's paths with props in the middle of where they start, and arms where they do."""
    model = build_model(task)
    start = {arm.label: GripPointIK(model, arm).forward(np.array(arm.start))[0] for arm in task.arms}
    poses = [np.append(np.add(prop.low, prop.high) / 2, [1, 0, 0, 0]) for prop in task.props]
    return lay_paths(task, start, np.concatenate(poses))


PATHS = {}  # of every script: building a model takes as long as a hundred takes


def paths_of(task):
    key = (task.name, task.script)
    if key not in PATHS:
        PATHS[key] = script_of(task)
    return PATHS[key]


def plan(seed, *parts):
    return StylePlan(HUMAN.only(*parts) if parts else HUMAN, (seed, Stream.STYLE, 0, 1))


def poses_of(task, seed, *parts):
    """(arms, T, 8) of a take."""
    knots = styled(task, paths_of(task), plan(seed, *parts))
    return np.array(
        [[np.concatenate([k.xyz, k.orientation.elements, [k.gripper]]) for k in path] for path in knots]
    )


def varied(task, part, seed):
    """The script's stops of each arm, and those of a take with one part of the style."""
    before, after = (Take(task, paths_of(task)) for _ in range(2))
    PARTS[part](after, getattr(HUMAN, part), np.random.default_rng(seed))
    return before.arms, after.arms


def within(values, low, high, slack=1e-6):
    return low - slack <= np.min(values) and np.max(values) <= high + slack


# --- every script


@every_script
def test_a_take_is_one_path_without_jumps_that_begins_and_ends_as_the_script(task):
    script = paths_of(task)
    for seed in range(3):
        poses = poses_of(task, seed)
        assert np.isfinite(poses).all() and np.allclose(np.linalg.norm(poses[..., 3:7], axis=-1), 1)
        assert within(poses[..., 7], 0, 1)
        for arm, path in zip(poses, script, strict=True):
            assert np.abs(np.diff(arm[:, :3], axis=0)).max() < 1.5 / task.fps  # 1.5 m/s
            np.testing.assert_allclose(arm[0, :3], path[0].xyz, atol=1e-9)
            np.testing.assert_allclose(arm[-1, 7], path[-1].gripper, atol=1e-9)


@every_script
def test_a_take_depends_on_its_seeds_alone_and_each_has_its_own(task):
    assert np.array_equal(poses_of(task, 1), poses_of(task, 1))
    assert len({poses_of(task, seed).tobytes() for seed in range(5)}) == 5


@every_script
def test_a_style_that_changes_nothing_is_the_script(task):
    start = {arm.label: np.zeros(3) for arm in task.arms}
    script = ScriptedPolicy(task, start, np.tile(np.eye(7)[3], len(task.props)))
    before = [script(t) for t in range(task.episode_len)]
    assert script.take(StylePlan(Style(), (0,))) == task.episode_len
    assert all(np.array_equal(script(t), action) for t, action in enumerate(before))


@every_script
def test_hands_do_what_the_script_has_them_do_in_the_same_order(task):
    for seed in range(5):
        take = Take(task, paths_of(task))
        for name, vary in PARTS.items():
            vary(take, getattr(HUMAN, name), np.random.default_rng(seed))
        for before, after in zip(Take(task, paths_of(task)).arms, take.arms, strict=True):
            steps = [stop.knot.step for stop in after]
            assert (np.diff(steps) > 0).all()
            roles = [[role for role, _ in groupby(stop.role for stop in stops)] for stops in (before, after)]
            assert roles[0] == roles[1]


def outcomes(task, takes):
    env, successes = make_ee_sim_env(task, image_size=(48, 64)), []
    for i in range(takes):
        rng = np.random.default_rng([0, Stream.RECORD, i])
        how = Demonstration(style=StylePlan(HUMAN, (0, Stream.STYLE, i, 1)))
        successes.append(run_script(env, task, rng, how=how).success)
    env.close()
    return successes


@every_script
def test_takes_succeed(task):
    assert sum(outcomes(task, 4)) >= 2


@pytest.mark.slow
@every_script
def test_seven_in_ten_takes_succeed(task):
    assert sum(outcomes(task, 30)) >= 21


# --- each part


@every_script
def test_hands_come_down_from_another_height(task):
    shares = []
    for seed in range(20):
        for before, after in zip(*varied(task, "approach", seed), strict=True):
            for i, stop in enumerate(before[:-1]):
                if stop.role == Role.AIM:
                    reach, was = (s[i].knot.xyz - s[i + 1].knot.xyz for s in (after, before))
                    shares.append(np.linalg.norm(reach) / np.linalg.norm(was))
    assert within(shares, *HUMAN.approach.height) and np.ptp(shares) > 0.5


def test_ways_swing_out_to_one_side_or_the_other_and_never_hardly_at_all():
    shares = []
    for seed in range(60):
        for before, after in zip(*varied(MOVE, "approach", seed), strict=True):
            (i,) = [n for n, stop in enumerate(before) if stop.role == Role.AIM]
            way = before[i].knot.xyz - before[i - 1].knot.xyz
            left = np.cross([0, 0, 1], way * (1, 1, 0))
            shares.append(after[i].swing @ left / np.linalg.norm(left) / np.linalg.norm(way))
    check_two_sides(shares, HUMAN.approach.arc)


def check_two_sides(values, ends):
    """Two groups on either side of nothing, each in its range, and each of them large."""
    values = np.array(values)
    assert within(np.abs(values), *ends)
    assert min((values > 0).mean(), (values < 0).mean()) > 0.25
    assert np.ptp(np.abs(values)) > 0.6 * (ends[1] - ends[0])


@every_script
def test_props_are_gripped_on_one_side_or_the_other_and_carried_as_ever(task):
    offsets, turns = [], []
    for seed in range(40):
        for arm, before, after in zip(task.arms, *varied(task, "grip", seed), strict=True):
            held = None
            for was, now in zip(before, after, strict=True):
                moved = now.knot.xyz - was.knot.xyz
                if was.role == Role.GRASP and was.at_prop:
                    closing = was.knot.orientation.rotate(np.array(arm.closing, float))
                    axis = np.cross([0, 0, 1], closing)
                    offsets.append(moved @ axis / np.linalg.norm(axis))
                    assert abs(moved @ closing) < 1e-9 and abs(moved[2]) < 1e-12
                    turn = now.knot.orientation * was.knot.orientation.inverse
                    turns.append(np.degrees(2 * np.arctan2(turn.z, turn.w)))
                    held = was.knot.orientation.inverse.rotate(moved)
                elif was.role in (Role.CARRY, Role.RELEASE) and held is not None:
                    np.testing.assert_allclose(was.knot.orientation.inverse.rotate(moved), held, atol=1e-9)
                elif was.role in (Role.FREE, Role.CARRY):
                    assert not moved.any()
    check_two_sides(offsets, HUMAN.grip.offset)
    check_two_sides(turns, HUMAN.grip.turn)


def test_either_arm_may_be_ahead_until_they_meet():
    leads = []
    for seed in range(40):
        _, (left, right) = varied(INSERTION, "order", seed)
        at = [next(s.knot.step for s in stops if s.role == Role.CLOSED) for stops in (left, right)]
        leads.append((at[1] - at[0]) / INSERTION.fps)
        assert left[-1].knot.step == right[-1].knot.step
        assert [s.knot.step for s in left[-2:]] == [s.knot.step for s in right[-2:]], "they meet as ever"
    check_two_sides(leads, HUMAN.order.lead)


@every_script
def test_some_grasps_close_above_the_prop_and_are_tried_again(task):
    grasps, misses = 0, 0
    for seed in range(40):
        for before, after in zip(*varied(task, "miss", seed), strict=True):
            aims = [i for i, s in enumerate(before[:-1]) if s.role == Role.AIM and before[i + 1].at_prop]
            grasps += len(aims)
            shut = [s.knot for s in after if s.role == Role.AIM and s.knot.gripper < 0.3]
            if shut:
                misses += 1
                grasp = next(s.knot for s in after if s.role == Role.GRASP)
                height = shut[0].xyz[2] - grasp.xyz[2]
                assert 0.02 < height <= HUMAN.miss.height[1] + 1e-9
                assert after[-1].knot.step > before[-1].knot.step
    assert abs(misses / grasps - HUMAN.miss.share) < 0.15


def test_some_ways_go_too_far_and_back():
    far = []
    for seed in range(60):
        for before, after in zip(*varied(MOVE, "overshoot", seed), strict=True):
            aim = next(s.knot for s in before if s.role == Role.AIM)
            aims = [s.knot.xyz for s in after if s.role == Role.AIM]
            assert np.array_equal(aims[-1], aim.xyz), "it ends where it should"
            if len(aims) > 1:
                way = (aim.xyz - before[0].knot.xyz) * (1, 1, 0)
                far.append((aims[0] - aim.xyz) @ way / np.linalg.norm(way))
    assert within(far, *HUMAN.overshoot.distance) and 0.15 < len(far) / 60 < 0.6


@every_script
def test_arms_pause_and_go_on_together(task):
    longer = []
    for seed in range(20):
        before, after = varied(task, "pause", seed)
        longer.append((max(s[-1].knot.step for s in after) - max(s[-1].knot.step for s in before)) / task.fps)
        assert len({stops[-1].knot.step for stops in after}) == len({stops[-1].knot.step for stops in before})
    stops = sum(map(len, before))
    assert within(longer, 0, stops * HUMAN.pause.seconds[1]) and np.ptp(longer) > HUMAN.pause.seconds[1] / 2


def opening_begins(path, release):
    """Step at which a hand begins to open that is to do so at a step."""
    gripper = np.array([along([stop.knot for stop in path], t)[7] for t in range(int(path[-1].knot.step))])
    return int(np.flatnonzero(np.diff(gripper[release:]) > 1e-6)[0]) + release


def test_hands_open_early_or_late_but_never_early_where_another_one_is_to_take_over():
    for task, may_be_early in ((MOVE, True), (TRANSFER, False)):
        moments = []
        for seed in range(30):
            before, after = varied(task, "release", seed)
            release = next(s.knot.step for s in before[-1] if s.role == Role.RELEASE)
            moments.append((opening_begins(after[-1], release - 30) - release) / task.fps)
        early, late = [-m for m in moments if m < 0], [m for m in moments if m > 0]
        assert within(late, *HUMAN.release.late, 1 / task.fps) and len(late) > 5
        assert bool(early) == may_be_early and within(early or [0.1], *HUMAN.release.early, 1 / task.fps)


@every_script
def test_hands_are_slow_or_quick(task):
    script, (low, high) = task.script[-1].step, HUMAN.tempo.pace
    shares = [len(poses_of(task, seed, "tempo")[0]) / script for seed in range(30)]
    slowest, quickest = high * HUMAN.tempo.change[1], low * HUMAN.tempo.change[0]
    assert within(shares, quickest, slowest, 0.02) and np.ptp(shares) > 0.35


def test_speed_changes_from_way_to_way():
    before, after = varied(TRANSFER, "tempo", 0)
    steps = [np.unique([s.knot.step for stops in arms for s in stops]) for arms in (before, after)]
    factors = np.diff(steps[1]) / np.diff(steps[0])
    assert len(np.unique(factors.round(6))) == len(factors)


def test_a_tremor_is_small_and_slow_more_than_quick():
    waves = tremor(1000, HUMAN.tremor.hertz, np.random.default_rng(0), 50)
    assert within(waves, -1, 1) and not waves[[0, -1]].any()
    power = np.abs(np.fft.rfft(waves, axis=0)) ** 2
    hertz = np.fft.rfftfreq(1000, 1 / 50)
    slow, quick = (power[(hertz > a) & (hertz < b)].sum() for a, b in ((0.3, 1.2), (2.0, 4.2)))
    assert slow > 2 * quick and power[hertz > 6].sum() < 0.05 * slow
    shaking = poses_of(MOVE, 3, "tremor")[0, :, :3]
    script = np.array([along(paths_of(MOVE)[0], t)[:3] for t in range(len(shaking))])
    off = np.abs(shaking - script)
    assert 0.0003 < off.max() <= HUMAN.tremor.shift[1]


def test_corners_are_cut_and_what_rests_stays():
    still, ramp = np.zeros((20, 8)), np.linspace(0, 1, 20)[:, None] * np.ones(8)
    still[:, 3] = ramp[:, 3] = 1
    poses = np.concatenate([still, ramp])
    poses[30:, 3:7] *= -1  # the same turn
    rounded = smooth(poses, 3)
    assert np.array_equal(rounded[:16], poses[:16]) and np.array_equal(rounded[-1, :3], poses[-1, :3])
    assert rounded[20, 0] > poses[20, 0] and np.abs(np.diff(rounded[:, 3])).max() < 0.3


# --- what is asked of a task


@pytest.mark.parametrize("task", [INSERTION, TWIN_MOVE], ids=["vx300s", "mycobot320"])
def test_an_arm_says_along_which_axis_its_fingers_close(task):
    model = build_model(task)
    data = mujoco.MjData(model)
    for arm in task.arms:
        names = [model.geom(i).name for i in range(model.ngeom)]
        fingers = [
            i
            for i, name in enumerate(names)
            if name.startswith(arm.name) and name.endswith(("finger", "pad"))
        ]
        data.qpos[ArmIndex(model, arm).qpos] = 0
        mujoco.mj_kinematics(model, data)
        apart = np.ptp(data.geom_xpos[fingers], axis=0)
        assert np.array_equal(np.abs(arm.closing), np.eye(3)[apart.argmax()])


def test_what_waypoints_are_for_is_told_by_the_gripper():
    left, right = (roles_of(path) for path in paths_of(TRANSFER))
    names = [[role.name for role in roles] for roles in (left, right)]
    assert names[0] == ["FREE", "AIM", "GRASP", "CLOSED", "CARRY", "CARRY"]
    assert names[1] == ["FREE", "AIM", "GRASP", "CLOSED", "CARRY", "RELEASE", "OPENED", "FREE", "FREE"]


@pytest.mark.parametrize(
    "points",
    [
        (Waypoint("right", 0, "start", (0, 0, 0), gripper=0),),
        (
            Waypoint("right", 0, "start", (0, 0, 0), gripper=0),
            Waypoint("right", 50, "red_box", (-0.1, 0.02, 0.03), gripper=0),
        ),
        (
            Waypoint("right", 0, "red_box", (0, 0, 0), gripper=1),
            Waypoint("right", 9, "red_box", (0, 0, 0), gripper=0),
            Waypoint("right", 20, "red_box", (0, 0, 0), gripper=1),
        ),
    ],
    ids=["one waypoint", "a push", "a grasp at once"],
)
def test_scripts_of_other_kinds_have_takes_too(points):
    task = replace(MOVE, name="other", script=points)
    for seed in range(5):
        path = styled(task, script_of(task), plan(seed))[0]
        assert [knot.step for knot in path] == list(range(len(path)))


def test_a_part_draws_the_same_whatever_else_varies():
    assert HUMAN.only("grip", "pause").parts == ("grip", "pause") and Style().parts == ()
    assert set(PARTS) | {"tremor"} == {part.name for part in fields(Style)}
    one, other = poses_of(MOVE, 4, "tremor"), poses_of(MOVE, 4, "tremor", "grip")
    still, moved = (poses_of(MOVE, 4, *parts) for parts in (("release",), ("release", "grip")))
    start = slice(0, 5)
    np.testing.assert_allclose((one - still)[0, start, :3], (other - moved)[0, start, :3], atol=1e-9)
