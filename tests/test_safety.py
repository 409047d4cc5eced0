"""Limits: what demonstrations need passes, and nothing beyond reaches the wire, whatever is asked for."""

import itertools
import math

import numpy as np
import pytest
from emulated import START, WIDE, emulated, make_guard
from test_mycobot_twin import ABOVE_B1, ABOVE_B2, B1, B2, users_frames

from constants import get_task
from ee_sim_env import make_ee_sim_env
from mycobot_scripts.arm import Arm, ServoConfig
from mycobot_scripts.kinematics import tool_point
from mycobot_scripts.link import Link
from mycobot_scripts.safety import HARD_LIMITS, SafetyStop
from mycobot_scripts.units import on_the_wire
from scripted_policy import ScriptedPolicy

LOW = np.radians([0, 90, 20, 0, -90, 0])  # where the tool point is below the table


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
        script = ScriptedPolicy(task.variants[case], env.start_xyz(), env.env.env_state)
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


def test_joints_stop_short_of_their_limits():
    guard = make_guard(max_step=360.0, **WIDE)
    for sign in (-1, 1):
        sent = guard.clamp(np.append(np.full(6, sign * 4.0), 0.7), START)
        assert np.degrees(sent[:6]) == pytest.approx(sign * (HARD_LIMITS - 2), abs=1e-9)
    assert guard.clamped == {"joint limit": 2}


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


@pytest.mark.parametrize("seed", range(3))
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


def test_no_sequence_of_targets_gets_past_a_joint_limit():
    """Where no table and no box is in the way."""
    guard = make_guard(**WIDE)
    joints = np.degrees(follow(guard, adversarial(np.random.default_rng(0), 600))[:, :6])
    assert (np.abs(joints) <= HARD_LIMITS - 2 + 1e-9).all()
    assert (np.abs(joints).max(axis=0) > HARD_LIMITS - 2.01).all(), "it got there"
    assert np.abs(np.diff(joints, axis=0)).max() <= 20 + 1e-9


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
        arm = Arm(link, guard, ServoConfig(command_gap=0, gripper_period=0, health_period=1000))
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


# --- what stops a run


def test_policies_that_are_out_of_their_mind_are_stopped():
    guard = make_guard()
    low, high = START - 0.5, START + 0.5
    guard.check_action(START, low, high)
    guard.check_action(START + 0.99, low, high), guard.check_action(START + 5)
    with pytest.raises(SafetyStop, match="the policy gave"):
        guard.check_action(np.full(7, np.nan), low, high)
    far = START.copy()
    far[2] += 1.1
    with pytest.raises(SafetyStop, match=r"joint 3 to 95.\d\d degrees; in training it was 4.\d\d to 61.\d\d"):
        guard.check_action(far, low, high)
    with pytest.raises(SafetyStop, match="the gripper to 3.00"):
        guard.check_action(np.append(START[:6], 3.0), low, high)


def test_a_joint_that_hardly_moved_in_training_has_some_room():
    guard = make_guard()
    guard.check_action(START + 0.19, START, START)
    with pytest.raises(SafetyStop):
        guard.check_action(START + 0.21, START, START)


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
    with pytest.raises(SafetyStop, match=r"joint 2 is \d+\.\d degrees from what it was told for 1\.\d s"):
        run_joint(make_guard(), lambda time, told: told[max(0, len(told) - 8)] - 0.6)


def test_a_joint_that_begins_to_move_late_is_no_reason_to_stop():
    run_joint(make_guard(), lambda time, told: told[max(0, len(told) - 15)], seconds=30, swing=60.0)


def test_one_odd_reading_is_reported_and_does_not_stop():
    guard = make_guard()
    run_joint(guard, lambda time, told: told[-1] + (1.0 if time == 2.0 else 0.0))
    assert guard.deviation > 20 and "degrees from what they were told" in guard.report()


def test_hot_and_overloaded_servos_stop():
    guard = make_guard()
    guard.check_servos([40, 65, 40, 40, 40, 40], [2500] * 6)
    guard.check_servos([], [])
    with pytest.raises(SafetyStop, match="servo 2 is at 66 degrees Celsius"):
        guard.check_servos([40, 66, 40, 40, 40, 40], [])
    with pytest.raises(SafetyStop, match=r"servo 6 is at 2600 mA \(--max_current 2500\)"):
        guard.check_servos([], [100, 100, 100, 100, 100, 2600])


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
