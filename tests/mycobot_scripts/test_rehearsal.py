"""Rehearsal: what demonstrations do passes, what would hit something is refused before the arm moves."""

import numpy as np
import pytest
from emulated import START, WIDE
from test_mycobot_twin import ABOVE_B1, ABOVE_B2, B1, B2, users_frames

from actors import Actor, Traits
from constants import get_task
from mycobot_scripts.safety.limits import Limits, SafetyStop
from mycobot_scripts.safety.rehearsal import Rehearsal, Rehearsed

FREE = Limits(**WIDE)  # bodies alone decide


@pytest.fixture(scope="module", params=["mycobot320_move_cube", "sim_mycobot320_move_cube_scripted"])
def task(request):
    return get_task(request.param)


def path_to(degrees, n=30, gripper=0.7):
    """A chunk (n, 7) from the start pose to another."""
    return np.linspace(START, np.append(np.radians(degrees), gripper), n + 1)[1:]


@pytest.mark.parametrize(
    ("above", "place", "frames"),
    [(ABOVE_B1, B1, (10, 10, 15, 30, 15, 25, 10)), (ABOVE_B2, B2, (10, 10, 15, 30, 25, 15, 10))],
)
def test_the_users_sequences_pass(task, above, place, frames):
    Rehearsal(task, Limits()).check(users_frames(above, place, frames), START)


def test_the_table_is_in_the_way(task):
    with pytest.raises(
        SafetyStop, match=r"refused action \d+ of 30: \w+ would be \d+ mm inside (table|place_a)"
    ):
        Rehearsal(task, FREE).check(path_to([0, 95, 20, 0, -90, 0]), START)


def test_what_stands_on_the_table_is_in_the_way():
    chunk = users_frames(ABOVE_B1, B1, (10, 10, 15, 30, 15, 25, 10))[:105]
    lower = chunk.copy()
    lower[-10:, 1] += np.radians(15)  # at B1, into its block
    scene = get_task("sim_mycobot320_move_cube_scripted")
    with pytest.raises(SafetyStop, match=r"inside (block|place)_b1"):
        Rehearsal(scene, FREE).check(lower, START)
    Rehearsal(get_task("mycobot320_move_cube"), FREE).check(lower, START)  # a bare table


def test_the_arm_is_in_its_own_way(task):
    with pytest.raises(SafetyStop, match=r"refused action \d+ of 30: \w+ would be \d+ mm inside \w+"):
        Rehearsal(task, FREE).check(path_to([0, -60, 140, 140, 0, 0]), START)


def test_the_way_between_two_actions_counts(task):
    rehearsal, low = Rehearsal(task, FREE), path_to([-3.07, 95, 20, 0, -90, 0], n=1)
    with pytest.raises(SafetyStop, match="action 1 of 1"):
        rehearsal.check(low, START)
    far = np.append(np.radians([177 - 3.07 - 40, 33.39, 32.78, 6.94, -88.33, -1.58]), 0.7)
    rehearsal.check(far[None], START)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (START + np.append(np.zeros(5), [3.15, 0]), r"it is beyond a limit \(joint limit\)"),
        (np.append(np.radians([0, 95, 20, 0, -90, 0]), 0.7), r"it is beyond a limit \(table\)"),
        (np.full(7, np.nan), "an action is 7 finite numbers"),
    ],
)
def test_limits_count(task, action, message):
    with pytest.raises(SafetyStop, match=message):
        Rehearsal(task, Limits()).check(np.stack([START, action]), START)


def test_a_gripper_that_closes_is_no_collision(task):
    chunk = np.repeat(START[None], 10, axis=0)
    chunk[:, 6] = np.linspace(0.7, 0.0, 10)
    Rehearsal(task, Limits()).check(chunk, START)


class Sender(Actor):
    """Always sends the same chunk."""

    interface, traits = None, Traits(30, 20, 1, False, (), (), (), ())

    def __init__(self, chunk):
        self.chunk = chunk

    def observe(self, observation):
        return observation

    def act(self, seen, rest=None):
        return self.chunk


def test_a_policys_chunks_are_rehearsed(task):
    reasons, rehearsal = [], Rehearsal(task, FREE)
    for chunk, refused in ((path_to([0, 40, 30, 0, -90, 0]), 0), (path_to([0, 95, 20, 0, -90, 0]), 1)):
        actor = Rehearsed(Sender(chunk), rehearsal, reasons.append)
        assert (actor.chunk_size, actor.execution_horizon) == (30, 20), "in all else it is the actor"
        assert actor.act({"qpos": START}) is chunk and len(reasons) == refused
    history = {"qpos": np.stack([START + 1.0, START])}
    Rehearsed(Sender(path_to([0, 40, 30, 0, -90, 0])), rehearsal, reasons.append).act(history)
    assert len(reasons) == 1, "of several observations the newest counts"
