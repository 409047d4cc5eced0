"""Where props start: today's tasks as ever, to the last bit; turned props."""

import json
from dataclasses import replace

import numpy as np
import pytest
from repository import REFERENCE

from constants import Stream, get_task
from scripted_policy import ScriptedPolicy
from sim_env import make_sim_env
from tasks.parts import Case, Prop
from tasks.schema import mirrored
from tasks.starts.sampling import distance_from, pose_of, sample_prop, sample_start

REFERENCE = json.loads((REFERENCE / "starts.json").read_text(encoding="utf-8"))
every_reference = pytest.mark.parametrize("name", REFERENCE)


@every_reference
def test_starts_are_what_they_were_when_the_published_numbers_were_made(name):
    task = get_task(name)
    for i, row in enumerate(REFERENCE[name]["starts"]):
        rng = np.random.default_rng([0, Stream.RECORD, i])
        start = sample_start(task, rng, task.case_number(i) if i < 2 else None)
        assert start.tolist() == row["start"]
        assert rng.random() == row["next"], "and no more is drawn"


@every_reference
def test_scripts_are_what_they_were(name):
    task, wanted = get_task(name), REFERENCE[name].get("actions")
    assert bool(task.script) == (wanted is not None)
    if wanted is None:
        return
    start = {arm.label: np.array([0.1, 0.2, 0.3]) for arm in task.arms}
    env_state = sample_start(task, np.random.default_rng(7), 0)
    script = ScriptedPolicy(task.variants[0], start, env_state, 0.01, np.random.default_rng(3), hesitate=5)
    steps = (0, task.episode_len // 3, task.episode_len // 2, task.episode_len - 10)
    np.testing.assert_allclose([script(step) for step in steps], wanted, rtol=0, atol=1e-11)


# --- turned props

TURNED = Prop("red_box", low=(0.0, 0.4, 0.05), high=(0.2, 0.6, 0.05), yaw=(-30.0, 60.0))


def yaw_of(pose) -> float:
    return float(np.degrees(2 * np.arctan2(pose[6], pose[3])))


def test_the_turn_of_a_prop_is_drawn_from_its_range():
    rng = np.random.default_rng(0)
    yaws = [yaw_of(sample_prop(TURNED, rng)) for _ in range(500)]
    assert -30 <= min(yaws) < -27 and 57 < max(yaws) <= 60
    assert np.linalg.norm(sample_prop(TURNED, rng)[3:]) == pytest.approx(1)
    assert (sample_prop(TURNED, rng)[4:6] == 0).all(), "about the vertical"


def test_a_turn_changes_nothing_else_of_a_start():
    plain = replace(TURNED, yaw=(0.0, 0.0))
    one, other = (sample_prop(prop, np.random.default_rng(5)) for prop in (plain, TURNED))
    assert (one[:3] == other[:3]).all() and (one[3:] == [1, 0, 0, 0]).all()
    fixed = replace(TURNED, yaw=(45.0, 45.0))
    assert yaw_of(sample_prop(fixed, np.random.default_rng(5))) == pytest.approx(45)


def test_how_far_a_start_is_from_where_it_may_be():
    inside = pose_of((0.1, 0.5, 0.05), 60)
    assert distance_from(inside[None], [TURNED]) == pytest.approx(0, abs=1e-12)
    assert distance_from(pose_of((0.3, 0.5, 0.05), 0)[None], [TURNED]) == pytest.approx(0.1)
    assert distance_from(pose_of((0.1, 0.5, 0.05), 70)[None], [TURNED]) > 0.01
    assert distance_from(-inside[None] * [-1, -1, -1, 1, 1, 1, 1], [TURNED]) == pytest.approx(0, abs=1e-12)
    assert distance_from(np.zeros((0, 7)), []) == 0


def test_a_mirrored_prop_turns_the_other_way():
    task = replace(get_task("sim_transfer_cube_scripted"), props=(TURNED,))
    assert mirrored(task, "m").props[0].yaw == (-60.0, 30.0)


def test_cases_may_differ_in_their_turn_alone():
    task = get_task("sim_move_cube_scripted")
    cube, platform = task.props
    cases = (Case("straight"), Case("across", props=(replace(cube, yaw=(80.0, 90.0)),)))
    task = replace(task, props=(cube, platform), cases=cases)
    env = make_sim_env(task, image_size=(48, 64))
    try:
        for seed in range(4):
            env.reset(seed, case=seed % 2)
            assert env.case == seed % 2
    finally:
        env.close()
