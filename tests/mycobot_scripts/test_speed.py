"""Limits of velocity and acceleration: they hold at the wire, whatever comes, and cost nothing inside."""

import numpy as np
import pytest
from emulated import make_guard

from constants import MYCOBOT
from evaluation.execution.joins import Join
from mycobot_scripts.kinematics.units import on_the_wire
from mycobot_scripts.safety.speed import LEAST_ACCELERATION, LEAST_VELOCITY, SpeedFilter

START = on_the_wire(np.append(MYCOBOT.start, 0.7))
PERIOD = 0.1  # s
VELOCITY, ACCELERATION = np.array([1.0, 0.5, 2.0, 0.3, 1.0, 0.7]), np.array([4.0, 3.0, 9.0, 2.0, 30.0, 2.0])
WIRE = 2 * np.radians(0.005)  # rad; by which rounding changes a step


def make(pose=START, velocity=VELOCITY, acceleration=ACCELERATION):
    speed = SpeedFilter(velocity, acceleration, PERIOD)
    speed.begin(pose)
    return speed


def run(speed, actions):
    """What comes out (T, 7), and what each exceeded."""
    out, changes = [], []
    for action in actions:
        out.append(speed(action))
        changes.append(speed.changed)
    return np.array(out), changes


def check(sent, start=START, room=1e-9):
    """Velocity and acceleration of commands (T, 7) that begin at rest."""
    steps = np.diff(np.vstack([start, start, sent])[:, :6], axis=0)
    assert (np.abs(steps) <= VELOCITY * PERIOD + room).all()
    assert (np.abs(np.diff(steps, axis=0)) <= ACCELERATION * PERIOD**2 + 2 * room).all()


def chunks(rng):
    """Chunks of all kinds: far away, jumping, noisy, still; grippers too."""
    for _ in range(30):
        n, kind = rng.integers(1, 40), rng.integers(4)
        path = rng.normal(0, (0.02, 0.5, 3.0)[rng.integers(3)], (n, 7))
        yield START + (path, np.cumsum(path, axis=0), np.repeat(path[:1], n, axis=0), 0 * path)[kind]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("join", [Join(), Join(5)])
def test_limits_hold_at_the_wire_whatever_chunks_come(seed, join):
    speed, sent = make(), []
    for chunk in chunks(np.random.default_rng(seed)):
        join.begin(chunk[0], len(chunk))
        sent += [on_the_wire(speed(join(action))) for action in chunk]
    check(np.array(sent), room=WIRE)


@pytest.mark.parametrize("seed", range(3))
def test_limits_hold_at_the_wire_behind_the_guard_where_it_changes_nothing(seed):
    """And where the guard did, the arm goes on from where it was really sent."""
    guard, speed, sent, previous = make_guard(max_step=4.0), make(), [], START
    rng, free = np.random.default_rng(seed), []
    for chunk in chunks(rng):
        for action in np.clip(chunk, START - 0.4, START + 0.4):
            speed.follow(previous)
            before = guard.clamped.total()
            previous = guard.clamp(speed(action), previous)
            free.append(guard.clamped.total() == before)
            sent.append(previous)
    steps = np.diff(np.vstack([START, START, sent])[:, :6], axis=0)
    bends = np.abs(np.diff(steps, axis=0))
    free = np.array(free)
    calm = free & np.roll(free, 1)
    assert (np.abs(steps[1:][calm]) <= VELOCITY * PERIOD + WIRE).all()
    assert 0.2 < calm.mean() < 1 and (bends[calm] <= ACCELERATION * PERIOD**2 + 2 * WIRE + 1e-6).all()


@pytest.mark.parametrize("seed", range(3))
def test_what_is_inside_passes_to_the_bit_and_at_once(seed):
    rng = np.random.default_rng(seed)
    bends = rng.uniform(-0.9, 0.9, (300, 6)) * ACCELERATION * PERIOD**2
    steps = np.zeros(6)
    path, pose = [], START[:6]
    for bend in bends:
        steps = np.clip(steps + bend, -VELOCITY * PERIOD * 0.99, VELOCITY * PERIOD * 0.99)
        pose = pose + steps
        path.append(np.append(pose, rng.random()))
    out, changes = run(make(), path)
    assert np.array_equal(out, path) and set(changes) == {""}


def test_after_a_jump_it_arrives_in_time_and_does_not_swing():
    for far in (0.01, 0.1, 1.0, -2.0):
        target = START + far * np.append(np.ones(6), 0)
        out, changes = run(make(), [target] * 120)
        check(out)
        beyond = (out - target)[:, :6] * np.sign(far)
        assert beyond.max() < 1e-9, "not too far"
        fastest = abs(far) / (VELOCITY * PERIOD) + VELOCITY / (ACCELERATION * PERIOD) + 3
        for joint, steps in enumerate(np.ceil(fastest).astype(int)):
            assert (out[steps:, joint] == target[joint]).all()
        assert (changes[0] == "") == (far == 0.01) and changes[-1] == ""


def test_it_catches_up_with_what_moves():
    """A jump onto a path: soon on it, to the bit."""
    path = START + np.arange(1, 101)[:, None] * np.append(np.full(6, 0.01), 0.002)
    path[20:, 1] += 0.3
    out, changes = run(make(), path)
    check(out)
    assert np.array_equal(out[:20], path[:20]) and np.array_equal(out[60:], path[60:])
    assert set(changes[60:]) == {""} and "velocity" in changes


def test_a_gripper_is_not_slowed_and_a_joint_that_rested_may_move_a_little():
    speed = make(velocity=np.zeros(6), acceleration=np.zeros(6))
    far = START + 5.0
    out, _ = run(speed, [far] * 40)
    steps = np.diff(np.vstack([START, out]), axis=0)
    assert (out[:, 6] == far[6]).all()
    assert steps[:, :6].max() == pytest.approx(LEAST_VELOCITY * PERIOD)
    assert steps[0, :6] == pytest.approx(
        np.full(6, min(LEAST_VELOCITY, LEAST_ACCELERATION * PERIOD) * PERIOD)
    )


def test_a_person_is_not_slowed_and_the_policy_goes_on_from_there():
    speed = make()
    run(speed, [START] * 3)
    there = START + np.append(np.full(6, 0.5), 0)
    speed.drive(there)
    speed.drive(there)
    out, _ = run(speed, [START] * 60)
    check(np.vstack([there, out]), start=there)
    assert np.array_equal(out[-1], START)
