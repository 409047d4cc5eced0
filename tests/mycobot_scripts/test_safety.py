"""Limits: what demonstrations need passes, and nothing beyond reaches the wire, whatever is asked for."""

import itertools
import math

import mujoco
import numpy as np
import pytest
from emulated import START, WIDE, emulated, make_guard
from test_mycobot_twin import ABOVE_B1, ABOVE_B2, B1, B2, users_frames

from constants import MYCOBOT, get_task
from ee_sim_env import make_ee_sim_env
from mycobot_scripts.kinematics.geometry import frames, tool_point
from mycobot_scripts.kinematics.units import on_the_wire
from mycobot_scripts.safety.limits import HARD_LIMITS, SafetyStop
from mycobot_scripts.wire.arm import LinkedArm, ServoConfig
from mycobot_scripts.wire.link import Link
from scripted_policy import ScriptedPolicy
from tasks.scene.arm_index import ArmIndex, LinkedJoints
from tasks.scene.building import build_model

LOW = np.radians([0, 90, 20, 0, -90, 0])  # where the tool point is below the table
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


def follow(guard, targets, start=START):
    """Commands (n, 7) that the guard makes of targets, one after the other."""
    sent = [on_the_wire(start)]
    for target in targets:
        sent.append(guard.clamp(target, sent[-1]))
    return np.array(sent[1:])


def adversarial(rng, n):
    """Targets (n, 7) that want the worst: far away, to and fro, slowly out, below the table, huge, tiny."""
    for i in range(n):
        kind = i // 20 % 6
        if kind == 0:
            yield rng.normal(0, 2, 7)
        elif kind == 1:
            yield np.full(7, (-1) ** i * 1e9)
        elif kind == 2:
            yield START + np.append(np.zeros(6) + 0.02 * (i % 20), 0.04 * (i % 20))
        elif kind == 3:
            yield np.append(LOW + rng.normal(0, 0.3, 6), rng.uniform(-2, 3))
        elif kind == 4:
            corner = 1 - 2 * (i // 120 + np.arange(6) & 1)  # the same for 20 targets: time to get there
            yield np.append(np.radians(1.2 * HARD_LIMITS) * corner, rng.choice([0.0, 1.0]))
        else:
            yield (START + rng.normal(0, 1e-3, 7)).astype(np.float32)


# --- what passes


@pytest.mark.parametrize("name", ["sim_mycobot320_move_cube_scripted", "sim_mycobot320_choose_scripted"])
def test_demonstrations_pass_as_they_are(name):
    task = get_task(name)
    env = make_ee_sim_env(task)
    for i in range(4):
        case = task.case_number(i)
        env.reset(np.random.default_rng(i), case=case if task.cases else None)
        script = ScriptedPolicy(task.variants[case], env.start_xyz(), env.env_state)
        actions = np.array([env.joint_action(script(t)) for t in range(task.episode_len)])
        guard = make_guard()
        sent = follow(guard, actions)
        assert not guard.clamped and guard.commands == len(actions), guard.report()
        assert np.degrees(np.abs(sent - actions)[:, :6].max()) < 0.006
    env.close()


@pytest.mark.parametrize(
    ("above", "place", "frames"),
    [(ABOVE_B1, B1, (10, 10, 15, 30, 15, 25, 10)), (ABOVE_B2, B2, (10, 10, 15, 30, 25, 15, 10))],
)
def test_the_users_sequences_pass_as_they_are(above, place, frames):
    guard = make_guard()
    follow(guard, users_frames(above, place, frames))
    assert not guard.clamped, guard.report()


# --- what does not


@pytest.mark.parametrize(("joint", "sign"), [(0, -1), (0, 1), (3, 1), (4, -1), (4, 1), (5, -1), (5, 1)])
def test_joints_stop_short_of_their_limits(joint, sign):
    """Where nothing is in the way: neither a table, nor a box, nor the arm's own parts, as for the others."""
    guard = make_guard(**WIDE)
    stretched = np.append(np.radians([0, 0, 0, 0, 90.0, 0]), 0.0)
    target = stretched.copy()
    target[joint] = sign * 4.0
    sent = follow(guard, [target] * 14, stretched)[-1]
    assert np.degrees(sent[joint]) == pytest.approx(sign * (HARD_LIMITS[joint] - 2), abs=1e-9)
    assert guard.clamped["joint limit"] == 14


def test_a_step_is_shortened_along_its_way():
    guard = make_guard()
    sent = guard.clamp(START + np.radians([40, 10, -10, 0, 0, 0, 0]), START)
    assert np.degrees(sent - START)[:6] == pytest.approx([20, 5, -5, 0, 0, 0], abs=0.011)
    assert guard.clamped == {"step": 1}


def test_the_gripper_goes_step_by_step():
    guard = make_guard()
    sent = follow(guard, [np.append(START[:6], 0.0)] * 9)
    assert sent[:, 6] == pytest.approx([0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0, 0])
    assert guard.clamped == {"gripper step": 6} and guard.report().startswith(
        "9 commands, clamped: gripper step 6;"
    )


def test_the_tool_point_slides_along_the_table():
    """A command below the table is followed sideways, above it."""
    guard = make_guard()
    down = follow(guard, [np.append(LOW, 0.7)] * 20)
    assert guard.clamped["table"] > 5
    heights = np.array([tool_point(sent[:6])[2] for sent in down])
    assert heights.min() >= 0.02 - 1e-9 and heights[-1] < 0.03
    side = follow(guard, [np.append(LOW + [0.4, 0, 0, 0, 0, 0], 0.7)] * 5, down[-1])
    moved = tool_point(side[-1][:6]) - tool_point(down[-1][:6])
    assert np.linalg.norm(moved[:2]) > 0.05 and tool_point(side[-1][:6])[2] >= 0.02 - 1e-9


def test_the_table_is_where_it_is_told_to_be():
    for height in (-0.05, 0.0, 0.08):
        guard = make_guard(table_height=height, clearance=0.01)
        sent = follow(guard, [np.append(LOW, 0.7)] * 20)
        assert tool_point(sent[-1][:6])[2] == pytest.approx(height + 0.01, abs=0.005)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_sequence_of_targets_gets_past_a_limit(seed):
    rng, guard = np.random.default_rng(seed), make_guard(box_x=(-0.42, 0.1), box_y=(-0.25, 0.2))
    sent = follow(guard, adversarial(rng, 600))
    joints = np.degrees(sent[:, :6])
    assert (np.abs(joints) <= HARD_LIMITS - 2 + 1e-9).all()
    assert np.abs(np.diff(joints, axis=0)).max() <= 20 + 1e-9
    assert (sent[:, 6] >= 0).all() and (sent[:, 6] <= 1).all()
    assert np.abs(np.diff(sent[:, 6])).max() <= 0.1 + 1e-9
    assert max(guard.outside(pose[:6])[0] for pose in sent) < 1e-8
    assert {"joint limit", "step", "gripper step", "gripper range", "table", "box"} <= set(guard.clamped)


def test_an_arm_that_stands_outside_may_only_come_back():
    outside = np.append(np.radians([0, 100, 20, 0, -90, 0]), 0.7)
    guard, rng = make_guard(), np.random.default_rng(0)
    deepest, _ = guard.outside(outside[:6])
    assert deepest > 0.05
    depths, previous = [deepest], on_the_wire(outside)
    for target in itertools.chain(adversarial(rng, 200), [START] * 10):
        previous = guard.clamp(target, previous)
        depths.append(guard.outside(previous[:6])[0])
    assert (np.diff(depths) <= 1e-8).all() and depths[-1] == 0
    assert np.allclose(previous, START)


def test_a_joint_that_stands_beyond_its_limit_may_only_come_back():
    beyond = np.append(np.radians([167.5, *np.degrees(START[1:6])]), 0.7)
    guard = make_guard()
    assert np.degrees(guard.clamp(beyond + 0.1, beyond)[0]) == pytest.approx(167.5)
    assert np.degrees(guard.clamp(START, beyond)[0]) == pytest.approx(147.5)


@pytest.mark.parametrize(
    "bad", [np.full(7, np.nan), np.append(np.zeros(6), np.inf), np.zeros(6), np.zeros(8)]
)
def test_what_is_no_target_is_refused(bad):
    with pytest.raises(SafetyStop, match="must be 7 finite numbers"):
        make_guard().clamp(bad, START)


@pytest.mark.parametrize("acks", [True, False])
def test_no_target_gets_past_a_limit_on_the_wire(acks):
    """As above, but reading the bytes at the arm's end."""
    guard = make_guard()
    with emulated(acks=acks) as firmware:
        link = Link(firmware.port, gap=0.0)
        arm = LinkedArm(link, guard, ServoConfig(command_gap=0, gripper_period=0, health_period=1000))
        for target in adversarial(np.random.default_rng(7), 240 if acks else 60):
            arm.command(target)
            arm.update(math.inf)
        link.close()
        angles, grippers = firmware.told_angles(), np.array(firmware.told_grippers())
    assert len(angles) >= (240 if acks else 60)
    assert (np.abs(angles) <= HARD_LIMITS - 2 + 1e-9).all()
    assert np.abs(np.diff(angles, axis=0)).max() <= 20 + 1e-9
    assert max(guard.outside(np.radians(row))[0] for row in angles) < 1e-8
    assert grippers.min() >= 0 and grippers.max() <= 100 and np.abs(np.diff(grippers)).max() <= 10


# --- all of the arm, and the way there


def geoms_of(model, data, pose):
    """What of the arm touches in MuJoCo at a pose (7,), as pairs of bodies, and how deep (m)."""
    index = ArmIndex(model, MYCOBOT)
    data.qpos[index.qpos] = index.targets(pose)
    LinkedJoints(model).place(data)
    mujoco.mj_fwdPosition(model, data)
    bodies = model.geom_bodyid[data.contact.geom]
    return [
        (tuple(model.body(body).name.split("/")[-1] for body in pair), -depth)
        for pair, depth in zip(bodies, data.contact.dist, strict=True)
        if all(model.body(body).name.startswith(MYCOBOT.name) for body in pair)
    ]


def arm_alone():
    model = build_model(get_task("sim_mycobot320_move_cube_scripted"), has_props=False)
    return model, mujoco.MjData(model)


def anywhere(rng):
    """A pose (7,) within the joints' limits."""
    return np.append(rng.uniform(-1, 1, 6) * np.radians(HARD_LIMITS - 2), rng.uniform())


def test_what_collides_in_the_simulation_is_outside():
    (model, data), rng, collisions = arm_alone(), np.random.default_rng(0), 0
    guard = make_guard(**WIDE)
    for _ in range(1500):
        pose = anywhere(rng)
        deep = [pair for pair, depth in geoms_of(model, data, pose) if depth > 0.001 and pair[0] != pair[1]]
        deep = [
            pair for pair in deep if not all(body.startswith(("gripper", "left", "right")) for body in pair)
        ]
        collisions += bool(deep)
        if deep:
            depth, side = guard.outside(pose[:6], pose[6])
            assert depth > 0 and side == "itself", (np.degrees(pose[:6]), deep)
    assert collisions > 200


def test_the_lowest_point_in_the_simulation_is_outside_when_it_is_in_the_table():
    (model, data), rng, deep = arm_alone(), np.random.default_rng(1), 0
    arm = [i for i in range(model.ngeom) if model.geom(i).name.startswith(f"{MYCOBOT.name}/")]
    moving = [i for i in arm if not model.body(model.geom_bodyid[i]).name.endswith(("base", "link1"))]
    guard = make_guard(**{**WIDE, "table_height": 0.0})
    for _ in range(600):
        pose = anywhere(rng)
        geoms_of(model, data, pose)
        if data.geom_xpos[moving, 2].min() < 0:  # the middle of a shape is in the table
            deep += 1
            assert guard.outside(pose[:6], pose[6])[0] > 0
    assert deep > 100


@pytest.mark.parametrize("seed", range(4))
def test_no_part_of_the_arm_gets_into_the_table_or_into_another(seed):
    """Greedy: of many poses nearby, always the one where flange, wrist or elbow is deepest."""
    guard, rng, pose = make_guard(), np.random.default_rng(seed), START
    link = int(rng.integers(3, 7))
    for _ in range(60):
        nearby = pose[:6] + rng.normal(0, 0.2, (50, 6))
        target = nearby[frames(nearby)[0][:, link, 2].argmin()]
        pose = guard.clamp(np.append(target, rng.uniform()), pose)
        assert guard.outside(pose[:6], pose[6])[0] < 1e-8
    assert frames(pose[None, :6])[0][0, 3:, 2].min() > 0.04, (
        "joints are above the table by more than their radius"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_the_way_between_two_commands_is_inside_too(seed):
    rng, guard = np.random.default_rng(seed), make_guard(box_x=(-0.42, 0.1), box_y=(-0.25, 0.2))
    sent = [START, *follow(guard, adversarial(rng, 300))]
    worst = 0.0
    for before, after in itertools.pairwise(sent):
        ways = [before + share * (after - before) for share in np.linspace(0, 1, 9)]
        worst = max(worst, *(guard.outside(pose[:6])[0] for pose in ways))
    assert worst < 0.004


@pytest.mark.parametrize(
    ("limits", "turned"),
    [
        ({"box_x": (-0.25, 0.25)}, 0.0),
        ({"box_x": (-0.15, 0.15), "box_y": (-0.15, 0.15)}, 0.0),
        ({"box_y": (-0.25, 0.25)}, 60.0),
        ({"max_height": 0.1}, 0.0),
    ],
)
def test_outside_one_side_is_no_way_past_another(limits, turned):
    """An arm that begins outside is driven down: each side is for itself."""
    guard, begun = make_guard(**limits), START + np.append(np.radians([turned, 0, 0, 0, 0, 0]), 0)
    assert guard.outside(begun[:6])[1] == "box"
    down = np.append(np.radians([turned, 90, 20, 0, -90, 0]), 0.7)
    for pose in follow(guard, [down] * 60, begun):
        assert tool_point(pose[:6])[2] >= 0.02 - 1e-6


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_pose_is_refused(bad):
    pose = START.copy()
    pose[2] = bad
    with pytest.raises(SafetyStop, match="7 finite numbers"):
        make_guard().check_start(pose)
    with pytest.raises(SafetyStop, match="the arm says"):
        make_guard().check_state(1.0, pose, 1.0)
    for name in ("table_height", "clearance", "box_x", "max_outside", "max_step", "tool_length"):
        with pytest.raises(ValueError, match=name):
            make_guard(**{name: (bad, 0.5) if name == "box_x" else bad})


def test_a_start_pose_outside_is_refused():
    make_guard().check_start(START)
    with pytest.raises(
        SafetyStop, match=r"start pose: the tool point is 92 mm outside, at x < -0.250 \(--box_x\)"
    ):
        make_guard(box_x=(-0.25, 0.25)).check_start(START)
    with pytest.raises(SafetyStop, match="the tool point is 43 mm outside, at z < 0.200"):
        make_guard(table_height=0.18).check_start(START)


def test_an_arm_that_is_seen_outside_stops():
    guard, low = make_guard(), START.copy()
    low[1] += np.radians(32)
    guard.check_state(1.0, START, 1.0)
    for time in np.arange(1.1, 2.0, 0.1):  # slowly enough to be true
        share = (time - 1) / 0.9
        pose = START + share * (low - START)
        if guard.outside(pose[:6], pose[6])[0] > guard.limits.max_outside:
            with pytest.raises(SafetyStop, match=r"outside|too low"):
                guard.check_state(time, pose, time)
            break
        guard.check_state(time, pose, time)
    else:
        raise AssertionError("it never was outside")
    guard.check_state(2.0, low, 2.0, follows=False)  # in a person's hand it may be anywhere


def test_an_arm_that_began_outside_is_not_stopped_for_that():
    guard, low = make_guard(), START.copy()
    low[1] += np.radians(32)
    guard.begin(low)
    guard.check_state(1.0, low, 1.0)
    lower = low + np.append(np.radians([0, 4, 0, 0, 0, 0]), 0)
    with pytest.raises(SafetyStop, match="max_outside"):
        guard.check_state(1.2, lower, 1.2)


# --- what stops a run


def test_policies_that_are_out_of_their_mind_are_stopped():
    guard = make_guard((START - 0.5, START + 0.5))
    guard.check_action(START)
    guard.check_action(START + 0.99), make_guard().check_action(START + 5)
    with pytest.raises(SafetyStop, match="the policy gave"):
        guard.check_action(np.full(7, np.nan))
    far = START.copy()
    far[2] += 1.1
    with pytest.raises(SafetyStop, match=r"joint 3 to 95.\d\d degrees; in training it was 4.\d\d to 61.\d\d"):
        guard.check_action(far)
    with pytest.raises(SafetyStop, match="the gripper to 3.00"):
        guard.check_action(np.append(START[:6], 3.0))


def test_a_joint_that_hardly_moved_in_training_has_some_room():
    guard = make_guard((START, START))
    guard.check_action(START + 0.19)
    with pytest.raises(SafetyStop):
        guard.check_action(START + 0.21)


def test_stale_states_stop():
    guard = make_guard()
    guard.check_state(10.0, START, 10.79)
    with pytest.raises(SafetyStop, match="the arm's state is 0.81 s old"):
        guard.check_state(10.0, START, 10.81)


def run_joint(guard, measured, seconds=6.0, rate=20, swing=15.0):
    """Targets of joint 2 that swing at 30 degrees a second; `measured(time, told)` is what the arm says."""
    told = []
    for n in range(int(seconds * rate)):
        time, target = n / rate, START.copy()
        target[1] += np.radians(swing - abs(30 * time % (4 * swing) - 2 * swing))
        told.append(target)
        guard.note(time, target)
        qpos = START.copy()
        qpos[1] = measured(time, [pose[1] for pose in told])
        guard.check_state(time, qpos, time)


def test_an_arm_that_lags_by_half_a_second_is_no_reason_to_stop():
    guard = make_guard()
    run_joint(guard, lambda time, told: told[max(0, len(told) - 11)])
    assert guard.deviation < 1


@pytest.mark.parametrize("swing", [8.0, 15.0, 45.0])
def test_a_stuck_joint_stops(swing):
    with pytest.raises(
        SafetyStop, match=r"joint 2 went 0\.0 degrees in \d\.\d s in which it was told to go 1\d"
    ):
        run_joint(make_guard(), lambda time, told: told[0], swing=swing)


def test_a_joint_that_is_elsewhere_stops():
    """It moves, but not where it is told to."""
    with pytest.raises(SafetyStop, match=r"joint 2 is \d+\.\d degrees from its commands for 1\.\d s"):
        run_joint(make_guard(), lambda time, told: told[max(0, len(told) - 8)] - 0.6)


def test_a_joint_that_begins_to_move_late_is_no_reason_to_stop():
    guard = make_guard(table_height=-0.5, max_height=1.5)
    run_joint(guard, lambda time, told: told[max(0, len(told) - 15)], seconds=30, swing=60.0)


def test_one_odd_reading_is_reported_and_does_not_stop():
    guard = make_guard()
    run_joint(guard, lambda time, told: told[-1] + (1.0 if time == 2.0 else 0.0))
    assert guard.deviation > 20 and "degrees from their commands" in guard.report()


def test_hot_and_overloaded_servos_stop():
    guard = make_guard()
    guard.check_servos([40, 65, 40, 40, 40, 40], [2500] * 6)
    guard.check_servos([], [])
    with pytest.raises(SafetyStop, match="servo 2 is at 66 degrees Celsius"):
        guard.check_servos([40, 66, 40, 40, 40, 40], [])


def test_a_current_that_is_too_large_once_is_told_and_twice_in_a_row_stops():
    guard, usual, much = make_guard(), [100.0] * 6, [100.0] * 5 + [2600.0]
    assert guard.check_servos([], usual) is None
    assert guard.check_servos([], much) is None and guard.check_servos([40.0] * 6, []) is None
    assert "servo 6 is at 2600 mA (--max_current 2500) for a moment" in guard.check_servos([], usual)
    assert guard.check_servos([], much) is None
    assert guard.check_servos([], [3000.0] + [100.0] * 5) is not None, "another servo"
    with pytest.raises(SafetyStop, match=r"servo 1 is at 3100 mA \(--max_current 2500\) twice in a row"):
        guard.check_servos([], [3100.0] + [100.0] * 5)


def test_cameras_that_are_old_or_frozen_stop():
    guard = make_guard()
    guard.check_camera("top", 0.7, 9.0, moved=5.0)
    guard.check_camera("top", 0.7, 2.0, moved=50.0)
    with pytest.raises(SafetyStop, match="camera 'top' gave no picture for 0.90 s"):
        guard.check_camera("top", 0.9)
    with pytest.raises(SafetyStop, match="the same picture for 3.1 s .* while the arm moved by 50 degrees"):
        guard.check_camera("top", 0.1, 3.1, moved=50.0)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_step": 0.0}, "--max_step is 0.0; it must be above 0"),
        ({"joint_margin": -1.0}, "--joint_margin is -1.0; it must be 0 to 90"),
        ({"box_x": (0.3, 0.1)}, "--box_x is 0.3 0.1; the first must be less"),
        ({"max_height": 0.01}, "--max_height is 0.01; --clearance 0.02 is not below it"),
        ({"stale": math.nan}, "--stale is nan; it must be a finite number, above 0 and at most 60"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, message):
    with pytest.raises(ValueError, match=message):
        make_guard(**limits)
