"""Rewards by contacts: ACT's, and what stages say; strict success."""

import itertools
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import pytest
from simulated_tasks import SIMULATED

from constants import get_task
from tasks.parts import Stage
from tasks.scene.building import build_model
from tasks.schema import mirrored
from tasks.stages import Judge, places_of

TRANSFER, INSERTION = get_task("sim_transfer_cube_scripted"), get_task("sim_insertion_scripted")
MOVE = get_task("sim_move_cube_scripted")
LEFT, RIGHT = (f"vx300s_{side}/10_{side}_gripper_finger" for side in ("left", "right"))  # those that count


class ByName:
    """A judge that takes contacts as pairs of names, or of patterns, for the first geoms that fit them."""

    def __init__(self, task):
        model = build_model(task)
        self.geoms = [model.geom(i).name for i in range(model.ngeom)]
        self.judge = Judge(task, self.geoms)

    def _contacts(self, touching):
        ids = [
            [next(i for i, name in enumerate(self.geoms) if fnmatchcase(name, one)) for one in pair]
            for pair in touching
        ]
        return np.array(ids, np.int32).reshape(-1, 2)

    def reward(self, touching):
        return self.judge.reward(self._contacts(touching))

    def after(self, *steps):
        """Reward after one step with each of these lists of contacts."""
        for touching in steps:
            self.judge.observe(self._contacts(touching))
        return self.reward(touching)


def subsets(items):
    return itertools.chain.from_iterable(itertools.combinations(items, n) for n in range(len(items) + 1))


def test_reward_is_acts():
    judge = ByName(TRANSFER)
    right, left, table = (RIGHT, "red_box"), ("red_box", LEFT), ("table", "red_box")
    for touching in subsets([right, left, table]):
        wanted = 0  # ACT: sim_env.py, TransferCubeTask.get_reward
        if right in touching:
            wanted = 1
        if right in touching and table not in touching:
            wanted = 2
        if left in touching:
            wanted = 3
        if left in touching and table not in touching:
            wanted = 4
        for order in itertools.permutations(touching):
            for pairs in itertools.product(*([pair, pair[::-1]] for pair in order)):
                assert judge.reward(pairs) == wanted, pairs


def test_other_contacts_earn_nothing():
    judge = ByName(TRANSFER)
    other_fingers = [("red_box", "vx300s_right/10_left_gripper_finger"), (LEFT, RIGHT), (LEFT, "table")]
    assert judge.reward(other_fingers) == 0
    assert judge.reward([*other_fingers, (RIGHT, "red_box")]) == 2


def standing(spec, near):
    """Where things are: all far from each other, but what `near` wants together."""
    where = {name: np.array([10.0 * i, 50.0, 90.0]) for i, name in enumerate(places_of(spec), start=1)}
    if near is not None:
        prop, place, _ = near
        place = where[place] if isinstance(place, str) else place
        where[prop] = np.array([*place, 0.0][:3])
    return where


def is_near(near, where):
    prop, place, metres = near
    goal = where[place] if isinstance(place, str) else place
    return sum((a - b) ** 2 for a, b in zip(where[prop], goal, strict=False)) <= metres**2


@pytest.mark.parametrize("spec", SIMULATED, ids=lambda task: task.name)
def test_reward_is_the_highest_stage_that_holds(spec):
    judge = ByName(spec)
    ways = [way for stage in spec.stages for way in stage.ways]
    for _ in range(max(way.after for way in ways)):
        judge.after([])
    named = {frozenset(pair) for way in ways for pair in (*way.touch, *way.clear)}
    nears = [near for way in ways for near in way.nears]
    reached = set()
    for touching, near in itertools.product(
        subsets(sorted(tuple(sorted(pair)) for pair in named)), [None, *nears]
    ):
        where = standing(spec, near)
        there = {frozenset(pair) for pair in touching}
        held = [
            number
            for number, stage in enumerate(spec.stages, start=1)
            if any(
                {frozenset(p) for p in way.touch} <= there
                and not {frozenset(p) for p in way.clear} & there
                and all(is_near(one, where) for one in way.nears)
                for way in stage.ways
            )
        ]
        reward = judge.judge.reward(judge._contacts(touching), where)
        assert reward == max(held, default=0)
        reached.add(reward)
    assert set(range(1, spec.max_reward + 1)) <= reached, "every stage can be reached"


def test_reward_of_insertion_is_acts():
    judge = ByName(INSERTION)
    left, right = ("socket-2", LEFT), ("red_peg", RIGHT)
    peg_on_table, socket_on_table = ("red_peg", "table"), ("socket-1", "table")
    at_socket, pin = ("red_peg", "socket-4"), ("red_peg", "pin")
    for touching in subsets([left, right, peg_on_table, socket_on_table, at_socket, pin]):
        in_the_air = peg_on_table not in touching and socket_on_table not in touching
        wanted = 0  # ACT: sim_env.py, InsertionTask.get_reward
        if left in touching and right in touching:
            wanted = 1
        if left in touching and right in touching and in_the_air:
            wanted = 2
        if at_socket in touching and in_the_air:
            wanted = 3
        if pin in touching:
            wanted = 4
        assert judge.reward(touching) == wanted, touching


@pytest.mark.parametrize("wall", range(1, 5))
def test_every_wall_of_the_socket_counts(wall):
    judge = ByName(INSERTION)
    grasps = [(f"socket-{wall}", LEFT), ("red_peg", RIGHT)]
    assert judge.reward(grasps) == 2
    assert judge.reward([*grasps, (f"socket-{wall}", "table")]) == 1
    assert judge.reward([("red_peg", f"socket-{wall}")]) == 3


ON_PLATFORM = [("red_box", "yellow_box"), ("yellow_box", "table")]


def test_the_cube_is_placed_only_after_a_second_in_the_air():
    judge = ByName(MOVE)
    lifted, down = [("red_box", RIGHT)], [("red_box", RIGHT), ("red_box", "table")]
    assert judge.after(*[down] * 200, *[lifted] * 48, ON_PLATFORM) == 0
    assert judge.after(*[down] * 9, ON_PLATFORM) == 3, "48 and two on the platform make 50, in all"


@pytest.mark.parametrize(
    "broken",
    [
        [("red_box", "yellow_box")],  # the platform does not stand on the table
        [*ON_PLATFORM, ("yellow_box", "vx300s_right/10_left_gripper_finger")],
        [*ON_PLATFORM, ("yellow_box", "vx300s_right/10_right_gripper_finger")],
        [*ON_PLATFORM, ("red_box", "table")],
    ],
)
def test_a_broken_scene_is_no_success(broken):
    judge = ByName(MOVE)
    assert judge.after(*[[("red_box", RIGHT)]] * 60, broken) == 0
    assert judge.after(ON_PLATFORM) == 3


# --- strict success


@pytest.mark.parametrize(
    ("spec", "held", "spoilt"),
    [
        (TRANSFER, [("red_box", LEFT)], ("red_box", RIGHT)),
        (TRANSFER, [("red_box", LEFT)], ("red_box", "vx300s_right/10_left_gripper_finger")),
        (TRANSFER, [("red_box", LEFT)], ("red_box", "table")),
        (INSERTION, [("red_peg", "pin")], ("red_peg", "table")),
        (INSERTION, [("red_peg", "pin")], ("socket-1", "table")),
        (MOVE, ON_PLATFORM, ("red_box", RIGHT)),
    ],
)
def test_strict_success_holds_ten_steps_running(spec, held, spoilt):
    judge = ByName(spec)
    before, other = [[]] * 60, [*held, spoilt]
    judge.after(*before, *[held] * 9, other, *[held] * 9)
    assert not judge.judge.strict_success
    judge.after(held)
    assert judge.judge.strict_success
    judge.after(other)
    assert judge.judge.strict_success, "once is enough"
    judge = ByName(spec)
    judge.after(*before, *[other] * 50)
    assert not judge.judge.strict_success


def test_an_episode_begins_anew():
    judge = ByName(MOVE)
    assert judge.after(*[[("red_box", RIGHT)]] * 60, *[ON_PLATFORM] * 10) == 3 and judge.judge.strict_success
    judge.judge.reset()
    assert judge.after(ON_PLATFORM) == 0 and not judge.judge.strict_success


def test_a_stage_that_names_no_geom_of_the_scene():
    broken = replace(TRANSFER, stages=(replace(TRANSFER.stages[0], touch=(("blue_box", LEFT),)),))
    with pytest.raises(ValueError, match="lacks a geom of the pair .'blue_box', .*; it has .*red_box"):
        ByName(broken)


# --- near

AT = {
    "red_box": np.array([0.1, 0.5, 0.02]),
    "goal": np.array([0.1, 0.52, 0.0]),
    "blue": np.array([0.1, 0.5, 0]),
}
NOTHING = np.zeros((0, 2), np.int32)


def near_judge(**stage):
    task = replace(TRANSFER, stages=(Stage("near", **stage),), strict=None)
    return Judge(task, ["red_box", "table"])


@pytest.mark.parametrize(
    ("near", "holds"),
    [
        (("red_box", (0.1, 0.52), 0.021), True),  # height does not count
        (("red_box", (0.1, 0.52), 0.019), False),
        (("red_box", (0.1, 0.5, 0.0), 0.021), True),
        (("red_box", (0.1, 0.5, 0.0), 0.019), False),
        (("red_box", "goal", 0.029), True),
        (("red_box", "goal", 0.028), False),
        ((("red_box", "goal", 0.029), ("red_box", (0.1, 0.5), 0.01)), True),  # both
        ((("red_box", "goal", 0.029), ("red_box", (0.2, 0.5), 0.01)), False),
    ],
)
def test_a_prop_may_have_to_be_near_a_place(near, holds):
    judge = near_judge(near=near)
    judge.observe(NOTHING, AT)
    assert judge.reward(NOTHING, AT) == holds


def test_near_goes_with_contacts_and_other_ways():
    judge = near_judge(near=("red_box", "goal", 0.03), touch=(("red_box", "table"),))
    assert judge.reward(NOTHING, AT) == 0
    assert judge.reward(np.array([[1, 0]], np.int32), AT) == 1
    other = Stage("elsewhere", near=("red_box", (0.1, 0.5), 0.001))
    judge = near_judge(near=("red_box", "goal", 0.001), otherwise=other)
    assert judge.reward(NOTHING, AT) == 1


def test_places_of_a_task_are_named_once_each():
    stage = Stage("s", near=("red_box", "table", 1.0), otherwise=Stage("t", near=("red_box", (0, 0), 1.0)))
    assert places_of(replace(TRANSFER, stages=(stage,))) == ["red_box", "table"]
    assert places_of(TRANSFER) == []


def test_a_mirrored_place_is_on_the_other_side():
    stage = Stage(
        "s", near=("red_box", (0.2, 0.5), 0.02), otherwise=Stage("t", near=("red_box", "left_goal", 1))
    )
    mirror = mirrored(replace(TRANSFER, stages=(stage,), strict=None), "m").stages[0]
    assert mirror.near == ("red_box", (-0.2, 0.5), 0.02) and mirror.otherwise.near[1] == "right_goal"


# --- strict success of a task that says no more than its stages


def test_without_a_strict_stage_the_last_one_must_hold_in_the_end():
    judge = ByName(replace(TRANSFER, strict=None, strict_steps=5))
    held, lost = [("red_box", LEFT)], [("red_box", "table")]
    judge.after(*[held] * 4)
    assert judge.judge.strict_success is False
    judge.after(held)
    assert judge.judge.strict_success is True
    judge.after(*[lost] * 3)
    assert judge.judge.strict_success is False, "highest once, and lying on the table in the end"
    judge.after(*[held] * 5)
    assert judge.judge.strict_success is True


def test_strict_success_is_told_in_words_for_every_task_with_stages():
    assert replace(TRANSFER, strict=None).strict_label == "transferred in the end, for 10 steps"
    assert TRANSFER.strict_label == "held by the receiving gripper alone for 10 steps running"
    assert replace(TRANSFER, stages=(), strict=None).strict_label == ""
    assert Judge(replace(TRANSFER, stages=(), strict=None), ["table"]).strict_success is None
