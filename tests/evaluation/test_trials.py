"""Where rollouts started, from what their results say; how far a policy is off where it was not trained."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from synthetic import make_act, make_dataset, make_flow

from constants import Stream, get_task
from episodes.episode import Episode, whole_action
from episodes.folders import episode_path, list_episodes
from evaluation.held_out import held_out_errors
from evaluation.results.outcomes import Outcome, Summary
from evaluation.results.trials import has_looks, is_plain, share_failed, tried_starts
from evaluation.settings import Settings
from sim_env import make_sim_env
from utils import PHASES

CHOOSE = get_task("sim_mycobot320_choose_scripted")


def summary(outcomes, task=CHOOSE, **settings):
    return Summary.of(task, "policy_last.ckpt", Settings(seed=settings.pop("seed", 3), **settings), outcomes)


def outcome(index, reward=3, **values):
    case = CHOOSE.cases[index % 2].label
    return Outcome(index, reward, 0.0, **{"case": case, **values})


def test_starts_are_those_of_the_simulation():
    env = make_sim_env(CHOOSE, image_size=(48, 64))
    tried = tried_starts(summary([outcome(4), outcome(7, 1)]), CHOOSE)
    for each, index in zip(tried, (4, 7), strict=True):
        env.reset(np.random.default_rng([3, Stream.EVALUATE, index]), case=CHOOSE.case_number(index))
        assert np.array_equal(each.start, env.env_state)
    env.close()
    assert [each.failed for each in tried] == [False, True]
    assert tried[1].name == "rollout 7, got as far as 'touched'"


def test_only_what_counts_and_is_known_has_a_start(tmp_path):
    helped, unknown = outcome(0, takeovers=1), outcome(1, None)
    assert tried_starts(summary([helped, unknown]), CHOOSE) == []
    assert tried_starts(summary([outcome(0, case="another")]), CHOOSE) == [], "of the task as it was"
    real = summary([outcome(0, 0, episode="episode_5.hdf5")], robot="mycobot320")
    assert tried_starts(real, None, tmp_path) == [], "its episode is gone"
    (path,) = list_episodes(make_dataset(tmp_path, 1))
    start = np.arange(14.0)
    replace(Episode.load(path), env_state=start).save(episode_path(tmp_path, 5))
    (tried,) = tried_starts(real, None, tmp_path)
    assert np.array_equal(tried.start, start) and tried.failed and tried.name.startswith("run 0")


def test_an_evaluation_with_something_in_the_way_does_not_tell_of_places():
    assert is_plain(summary([])) and not is_plain(summary([], knock_loose=20))
    assert not is_plain(summary([], disturb=("noise=middle",)))
    assert has_looks(summary([], randomize=True)) and not has_looks(replace(summary([]), settings=None))


def test_attempts_from_one_start_are_one_share():
    tried = [each for rewards in ((3, 3), (3, 0)) for each in tried_starts(
        summary([outcome(i, reward) for i, reward in enumerate(rewards)]), CHOOSE
    )]  # fmt: skip
    shares = share_failed(tried)
    assert [share for _, share in shares] == [0.0, 0.5] and shares[1][0].failed


@pytest.mark.parametrize("make", [make_act, partial(make_flow, observation_horizon=2)])
def test_held_out_errors_are_those_of_a_loop(make, tmp_path):
    policy = make().eval()
    paths = list_episodes(make_dataset(tmp_path, 2, steps=30))
    errors = held_out_errors(policy, paths)
    assert errors.shape == (2, len(PHASES)) and np.array_equal(errors, held_out_errors(policy, paths))
    if make is not make_act:
        return
    episode = Episode.load(paths[1])
    for phase, step in enumerate((0, 5, 15, 25)):
        observation = {"qpos": episode.qpos[step], "images": {"top": episode.images["top"][step]}}
        chunk = policy.act(policy.observe([observation]))[0].detach().numpy()
        shown = whole_action(episode)[step : step + policy.execution_horizon]
        joints = [i for i in range(14) if i % 7 != 6]
        apart = np.abs(chunk[: len(shown)] - shown)[:, joints]
        assert errors[1, phase] == pytest.approx(np.degrees(apart.mean()), rel=1e-4)
