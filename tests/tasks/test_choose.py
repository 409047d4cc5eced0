"""The task of which place to choose: both cases, right and wrong, and how they are told and counted."""

from dataclasses import replace

import numpy as np
import pytest

from constants import Stream, get_task
from ee_sim_env import make_ee_sim_env
from episodes.episode import Episode
from episodes.folders import episode_path
from evaluation import demonstrations
from evaluation import rollouts as evaluation
from evaluation.demonstrations import Demonstration, close_environments, run_episode, run_script
from evaluation.episode_loop import follow
from evaluation.results.outcomes import Outcome, Summary
from evaluation.rollouts import EvalJob, run_one
from record_sim_episodes import RecordConfig, record_episode

TASK = get_task("sim_mycobot320_choose_scripted")
FREE, OCCUPIED = range(2)
UPRIGHT = (1, 0, 0, 0)
AT_B1, AT_B2, ON_BOX = (-0.265, -0.219, 0.1205), (-0.232, -0.342, 0.1205), (-0.265, -0.224, 0.1445)  # m
ON_SHELF, BOX_AT_B1, BOX_ON_TABLE = (0, -0.12, -0.6775), (-0.265, -0.224, 0.1125), (-0.4, -0.35, 0.0125)


@pytest.fixture(scope="module")
def env():
    env = make_ee_sim_env(TASK)
    yield env
    env.close()


def driven(env, case, script):
    """An episode of one case, driven by the script of one; and what was chosen."""
    wrong = replace(TASK, cases=tuple(replace(c, script=TASK.variants[script].script) for c in TASK.cases))
    episode = run_script(env, wrong, np.random.default_rng(0), how=Demonstration(case))
    return episode, env.strict_success, env.choice


@pytest.fixture(scope="module")
def episodes(env):
    """By case and script."""
    return {(case, script): driven(env, case, script) for case in (0, 1) for script in (0, 1)}


def test_the_right_place_succeeds(episodes):
    for case, choice in ((FREE, "B1"), (OCCUPIED, "B2")):
        episode, strict, chosen = episodes[case, case]
        assert episode.success and strict and chosen == choice
        assert {1, 2, 3} <= set(episode.reward)


def test_the_wrong_place_is_no_success_and_is_counted_where_it_belongs(episodes):
    for case, choice in ((FREE, "B2"), (OCCUPIED, "B1")):
        episode, strict, chosen = episodes[case, 1 - case]
        assert not episode.success and not strict and chosen == choice
        assert episode.reward.max() == 2
    outcomes = tuple(
        Outcome(i, int(e.reward.max()), 0.0, strict, TASK.cases[case].label, chosen)
        for i, ((case, _), (e, strict, chosen)) in enumerate(episodes.items())
    )
    labels = [tuple(one.label for one in many) for many in (TASK.stages, TASK.cases, TASK.choices)]
    summary = Summary("t", "c", "chunks", 0, outcomes, labels[0], "", *labels[1:])
    assert summary.choice_counts == {
        label: {"B1": 1, "B2": 1, "neither": 0} for label in ("B1 free", "B1 occupied")
    }
    assert summary.successes == 2 == summary.strict_successes


@pytest.mark.parametrize(
    ("cube", "box", "reward", "choice"),
    [
        (AT_B1, ON_SHELF, 3, "B1"),
        (AT_B2, BOX_AT_B1, 3, "B2"),
        (AT_B2, ON_SHELF, 0, "B2"),
        (ON_BOX, BOX_AT_B1, 0, "B1"),
        (AT_B1, BOX_ON_TABLE, 0, "B1"),  # the box was pushed off
        (AT_B2, BOX_ON_TABLE, 0, "B2"),
        ((-0.345, -0.07, 0.0605), ON_SHELF, 0, None),  # still at A
    ],
)
def test_which_place_is_right(env, cube, box, reward, choice):
    action = env.reset(env_state=np.array([*cube, *UPRIGHT, *box, *UPRIGHT])).observation["qpos"]
    rewards = [env.env.step(action).reward for _ in range(10)]
    assert rewards[-1] == reward and env.choice == choice
    assert env.strict_success == (reward == 3)
    env.reset(0)
    assert env.choice is None, "of this episode"


def test_a_replay_from_the_start_earns_and_chooses_the_same(env, episodes):
    for (case, _), (episode, strict, choice) in episodes.items():
        step = env.env.reset(env_state=episode.env_state)
        again = run_episode(env.env, TASK, step, follow(episode.action))
        assert env.case == case
        assert np.array_equal(again.reward, episode.reward)
        assert (env.strict_success, env.choice) == (strict, choice)


def yellow(image):
    """Pixels of the box."""
    red, green, blue = image.astype(int).transpose(2, 0, 1)
    return int(((red > 120) & (green > 0.65 * red) & (blue < 0.5 * green)).sum())


def test_only_a_box_on_b1_is_seen(env, episodes):
    """Where the box waits otherwise nobody looks, so that the picture tells the case by B1 alone."""
    seen = {}
    for case in (FREE, OCCUPIED):
        step = env.reset(1, case=case)
        seen[case] = {name: yellow(step.observation["images"][name]) for name in TASK.cameras}
    assert not any(seen[FREE].values()) and seen[OCCUPIED]["top"] > 300, seen


def test_recorded_cases_take_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(demonstrations, "_envs", {})
    short = replace(TASK, name="short", episode_len=2)
    config = RecordConfig(task_name="short", dataset_dir=str(tmp_path), camera_names=(), keep_failures=True)
    starts = []
    for index in range(4):
        record_episode(config, short, index)
        starts.append(Episode.load(episode_path(tmp_path, index)).env_state)
    close_environments()
    assert [start[9] > 0 for start in starts] == [False, True, False, True], "height of the box"


def test_evaluated_cases_take_turns(env, monkeypatch):
    job = EvalJob(checkpoint=None, task=replace(TASK, episode_len=1))
    home = env.reset(0).observation["qpos"]

    def stay(_):
        return home

    stay.reset, stay.chunk_starts = lambda key: None, []
    monkeypatch.setitem(evaluation._players, job, evaluation._Player(stay, env.env, job.task))
    outcomes = [run_one(job, index) for index in range(4)]
    assert [one.case for one in outcomes] == ["B1 free", "B1 occupied"] * 2
    assert {one.choice for one in outcomes} == {None}


@pytest.mark.slow
def test_scripts_succeed_from_200_of_200_starts(env):
    strict = 0
    for i in range(200):
        rng = np.random.default_rng([0, Stream.RECORD, i])
        assert run_script(env, TASK, rng, how=Demonstration(TASK.case_number(i))).success, i
        assert env.choice == ("B1", "B2")[TASK.case_number(i)]
        strict += env.strict_success
    assert strict >= 195
