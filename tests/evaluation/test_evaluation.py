"""Rollouts and evaluation."""

import dataclasses
import json
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from synthetic import make_act

from common.work.parallel import PACKAGES, Workers
from constants import TASKS, Stream
from disturbances import room_look
from evaluation import rollouts as evaluation
from evaluation.episode_loop import rollout
from evaluation.flags import EvalConfig
from evaluation.results.intervals import wilson_interval
from evaluation.results.outcomes import Outcome, Summary
from evaluation.rollouts import EvalJob, evaluate, run_one
from policies.act import ACTPolicy
from policy import save_policy
from sim_env import SimEnv
from tasks.looks.ranges import LEVELS, LookPlan, Ranges
from tasks.timestep import TimeStep

TASK = TASKS["sim_transfer_cube_scripted"]
SHORT = dataclasses.replace(TASK, episode_len=25)


@pytest.fixture
def job(tmp_path) -> EvalJob:
    save_policy(tmp_path / "policy_best.ckpt", make_act())
    flags = EvalConfig(num_videos="0")
    return EvalJob(checkpoint=tmp_path / "policy_best.ckpt", task=SHORT, flags=flags, output_dir=tmp_path)


def with_flags(job: EvalJob, **flags) -> EvalJob:
    return dataclasses.replace(job, flags=dataclasses.replace(job.flags, **flags))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (90, 100, 0.8256, 0.9448)],
)
def test_wilson_interval(successes, n, low, high):
    """Values of statsmodels.stats.proportion.proportion_confint(method="wilson")."""
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-4)


def test_wilson_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    for rate in (0.5, 0.9, 0.98):
        intervals = [wilson_interval(int(k), 50) for k in rng.binomial(50, rate, 2000)]
        covered = np.mean([low <= rate <= high for low, high in intervals])
        assert 0.91 < covered < 0.99


class CountingEnv:
    """Rewards the 3rd step; its state is the number of steps taken."""

    def reset(self, rng, case=None):
        self.t = 0
        return TimeStep(self._observation())

    def step(self, action):
        self.t += 1
        return TimeStep(self._observation(), 4 if self.t == 3 else 0, sent=action)

    def _observation(self):
        state = np.full(14, float(self.t))
        return {"qpos": state, "qvel": state, "images": {}}


@pytest.mark.parametrize("temporal_agg", [False, True])
def test_what_is_driven_is_what_the_episode_has(job, monkeypatch, temporal_agg):
    """To the bit: an ensemble's float64 too."""
    driven, kept = [], []
    step, changes = SimEnv.step, evaluation.action_changes
    monkeypatch.setattr(SimEnv, "step", lambda env, action: driven.append(action) or step(env, action))
    monkeypatch.setattr(evaluation, "action_changes", lambda *args: kept.append(args[0]) or changes(*args))
    evaluate(with_flags(job, temporal_agg=temporal_agg), range(1), Workers(1))
    assert len(driven) == SHORT.episode_len and np.array_equal(driven, kept[0])


def test_a_simulation_that_breaks_down_is_a_failed_rollout(job, monkeypatch):
    def wild(self, obs, generator):
        return 10 * torch.randn((1, 10, 14), generator=generator)  # rad

    monkeypatch.setattr(ACTPolicy, "act", wild)
    summary = evaluate(with_flags(job, num_videos="1"), range(2), Workers(1))
    assert [outcome.highest_reward for outcome in summary.outcomes] == [0, 0]
    assert all(1 <= outcome.unstable_at < SHORT.episode_len for outcome in summary.outcomes)
    assert "2 of them ended early" in summary.text()


def test_summary_counts_stages():
    outcomes = tuple(Outcome(i, highest, float(highest)) for i, highest in enumerate((0, 1, 4, 4)))
    summary = Summary("t", "policy_best.ckpt", "chunks", 0, outcomes, tuple(s.label for s in TASK.stages))
    assert summary.successes == 2 and [summary.reached(n) for n in (1, 2, 3, 4)] == [3, 2, 2, 2]
    assert summary.mean_return == 9 / 4
    assert "2 of 4 rollouts succeeded: 50.0% (95 % interval 15.0% to 85.0%)" in summary.text()
    assert "reward >= 1 (touched): 3/4 = 75%" in summary.text()
    assert "strictly" not in summary.text() and summary.as_dict()["strict_successes"] is None


def test_strict_success_is_reported_beside_the_papers():
    outcomes = tuple(Outcome(i, 4, 4.0, strict) for i, strict in enumerate((True, False, False, True, False)))
    stages = tuple(stage.label for stage in TASK.stages)
    summary = Summary("t", "policy_best.ckpt", "chunks", 0, outcomes, stages, TASK.strict_label)
    assert (summary.successes, summary.strict_successes) == (5, 2)
    lines = summary.text().splitlines()
    assert lines[0].startswith("t: 5 of 5 rollouts succeeded: 100.0%"), "the paper's is the headline"
    wanted = (
        "  strictly (held by the receiving gripper alone for 10 steps running): 2/5 = 40.0% (95 % interval "
    )
    assert lines[-1] == wanted + "11.8% to 76.9%)"
    written = json.loads(json.dumps(summary.as_dict()))
    assert (written["strict_successes"], written["strict_success_rate"]) == (2, 0.4)
    assert written["strict_success_rate_95"] == pytest.approx([0.1176, 0.7693], abs=1e-4)
    assert [one["strict_success"] for one in written["outcomes"]] == [o.strict_success for o in outcomes]


def test_choices_are_counted_by_case():
    seen = [("B1 free", "B1")] * 3 + [("B1 occupied", "B2")] * 2 + [("B1 occupied", "B1"), ("B1 free", None)]
    outcomes = tuple(Outcome(i, 3, 3.0, case=case, choice=choice) for i, (case, choice) in enumerate(seen))
    summary = Summary(
        *("t", "policy_best.ckpt", "chunks", 0, outcomes, ("touched", "lifted", "placed")),
        cases=("B1 free", "B1 occupied"),
        choices=("B1", "B2"),
    )
    assert summary.text().splitlines()[-3:] == [
        "  chosen:      B1  B2  neither",
        "  B1 free       3   0        1",
        "  B1 occupied   1   2        0",
    ]
    written = json.loads(json.dumps(summary.as_dict()))
    assert written["choice_counts"] == {
        "B1 free": {"B1": 3, "B2": 0, "neither": 1},
        "B1 occupied": {"B1": 1, "B2": 2, "neither": 0},
    }
    assert written["outcomes"][6]["case"] == "B1 free" and written["outcomes"][6]["choice"] is None
    plain = dataclasses.replace(summary, cases=(), choices=())
    assert "chosen" not in plain.text() and plain.as_dict()["choice_counts"] == {}


@pytest.mark.parametrize("told", [True, False, None])
def test_an_outcome_notes_strict_success(job, monkeypatch, told):
    env = CountingEnv()
    if told is not None:  # environments other than the simulator need not tell
        env.strict_success = told
    stay = Mock(side_effect=lambda seen: seen["qpos"], chunk_starts=[])
    monkeypatch.setitem(evaluation._players, job, evaluation._Player(stay, env, SHORT))
    wanted = Outcome(
        0,
        highest_reward=4,
        total_reward=4.0,
        strict_success=told,
        change=1.0,
        bend=0.0,
        steps=SHORT.episode_len,
    )
    assert run_one(job, 0) == wanted


def test_evaluation_writes_results_videos_and_plots(job):
    job = with_flags(job, num_videos="1")
    summary = evaluate(job, range(3), workers=Workers(1))
    assert [outcome.index for outcome in summary.outcomes] == [0, 1, 2]
    result = json.loads((job.output_dir / "result_policy_best.json").read_text())
    assert result["rollouts"] == 3 and result["success_rate"] == 0 == result["strict_success_rate"]
    assert set(result["stage_counts"]) == {"touched", "lifted", "handed over", "transferred"}
    assert "0 of 3 rollouts succeeded" in (job.output_dir / "result_policy_best.txt").read_text()
    assert (job.output_dir / "rollout_0.mp4").stat().st_size > 1000
    assert (job.output_dir / "rollout_0_qpos.png").stat().st_size > 1000
    assert not (job.output_dir / "rollout_1.mp4").exists()


@pytest.mark.parametrize(
    ("num_videos", "filmed"),
    [(0, []), (1, [0, 2]), (2, [0, 1, 2, 5]), (3, [0, 1, 2, 5, 6]), (8, [*range(8)])],
)
def test_as_many_failures_are_filmed_as_there_are_to_be_videos(job, monkeypatch, num_videos, filmed):
    """Of eight rollouts 2, 5 and 6 fail."""
    calls = []

    def run(job, index, view, is_filmed):
        calls.append((index, is_filmed))
        return Outcome(index, 2 if index in (2, 5, 6) else 4, 9.0, filmed=is_filmed)

    monkeypatch.setattr(evaluation, "run_one", run)
    summary = evaluate(with_flags(job, num_videos=str(num_videos)), range(8), Workers(1))
    assert [o.index for o in summary.outcomes if o.filmed] == filmed
    assert sorted(index for index, is_filmed in calls if is_filmed) == filmed
    written = json.loads((job.output_dir / "result_policy_best.json").read_text())
    assert (written["rollouts"], written["successes"]) == (8, 5)
    assert [o["index"] for o in written["outcomes"] if o["filmed"]] == filmed


def test_a_repetition_that_goes_another_way_counts_for_nothing(job, monkeypatch):
    def run(job, index, view, is_filmed):
        return Outcome(index, 4 if is_filmed else 1, 9.0, filmed=is_filmed)

    monkeypatch.setattr(evaluation, "run_one", run)
    summary = evaluate(with_flags(job, num_videos="1"), range(3), Workers(1))
    assert summary.successes == 1 and [o.filmed for o in summary.outcomes] == [True, False, False]


@pytest.mark.parametrize("backend", PACKAGES)
def test_outcomes_do_not_depend_on_the_workers(job, backend):
    pytest.importorskip(PACKAGES[backend])
    ways = Workers(1), Workers(2, backend)
    alone, side_by_side = (evaluate(job, range(4), workers).outcomes for workers in ways)
    assert alone == side_by_side


def record_starts(monkeypatch) -> list:
    starts = []

    def note(env, *others):
        starts.append(env.env_state)
        return rollout(env, *others)

    monkeypatch.setattr(evaluation, "rollout", note)
    return starts


def test_any_part_of_the_rollouts_can_be_run(job):
    outcomes = evaluate(job, range(4), Workers(1)).outcomes
    assert evaluate(job, range(2, 4), Workers(1)).outcomes == outcomes[2:]


def test_changes_of_the_action_at_chunk_borders_and_elsewhere():
    actions = np.zeros((6, TASK.dim))
    actions[1:, 0] = 0.1  # the first step after the first chunk's start, which is no border
    actions[3:, 9] = -0.4
    actions[3:, 13] = 1.0  # a gripper
    at_borders, elsewhere = evaluation.action_changes(actions, [0, 3, 5], TASK)
    assert at_borders == pytest.approx(0.4 / 2) and elsewhere == pytest.approx(0.1 / 3)
    at_borders, elsewhere = evaluation.action_changes(actions, [0, 3], TASK, order=2)
    assert at_borders == pytest.approx((0.4 + 0.4) / 2) and elsewhere == pytest.approx((0.1 + 0) / 2)
    assert evaluation.action_changes(actions, [], TASK)[0] is None
    assert evaluation.action_changes(actions[:1], [0], TASK) == (None, None)


def test_chunk_borders_are_told(job):
    outcome = evaluate(with_flags(job, query_every=5), range(1), Workers(1)).outcomes[0]
    assert outcome.border_change > 0 and outcome.change > 0
    ensemble = evaluate(with_flags(job, temporal_agg=True), range(1), Workers(1)).outcomes[0]
    assert ensemble.border_change is None and ensemble.change > 0


def test_a_rollout_takes_as_long_as_the_longest_demonstration_and_what_was_for_nothing():
    policy = make_act()
    assert evaluation.rollout_steps(SHORT, policy) == 25
    policy.interface = dataclasses.replace(policy.interface, episode_len=30)
    assert evaluation.rollout_steps(SHORT, policy) == 30
    assert evaluation.rollout_steps(SHORT, policy, 7) == 37


@pytest.mark.parametrize("name", ["sim_transfer_cube_scripted", "sim_mycobot320_choose_scripted"])
def test_a_prop_that_is_knocked_loose_lies_at_another_start(name):
    """It did not move before; after it, it is seen elsewhere in the region, and stays."""
    from sim_env import make_sim_env

    task = TASKS[name]
    env = make_sim_env(task)
    places = []
    for index in (0, 1, 0):
        knocked = evaluation.KnockedLoose(env, 3, np.random.default_rng(index))
        step = env.reset(np.random.default_rng(0), case=0)
        rest = step.observation["qpos"]

        def place():
            return env.physics.data.ptr.joint(f"{task.props[0].name}_joint").qpos[:3].copy()

        start = place()
        for _ in range(2):
            knocked.step(rest)
        assert np.linalg.norm((place() - start)[:2]) < 1e-3
        step = knocked.step(rest)
        assert env.strict_success is False and env.choice is None
        places.append(place())
        seen = step.observation["images"][task.cameras[0]]
        low, high = np.array(task.props[0].low), np.array(task.props[0].high)
        assert (low - 1e-6 <= places[-1]).all() and (places[-1] <= high + 1e-6).all()
        knocked.step(rest)
        assert np.linalg.norm((place() - places[-1])[:2]) < 1e-3
    assert np.allclose(places[0], places[2]) and not np.allclose(places[0], places[1])
    assert seen.shape == (480, 640, 3)
    env.close()


def test_what_was_achieved_before_a_knock_does_not_count():
    observation = {"qpos": np.zeros(2)}
    steps = iter(TimeStep(observation, reward) for reward in (4, 4, 4, 1, 2))
    env = SimpleNamespace(step=lambda _: next(steps), knock_loose=lambda _: observation)
    knocked = evaluation.KnockedLoose(env, 3, np.random.default_rng(0))
    assert [knocked.step(None).reward for _ in range(5)] == [0, 0, 0, 1, 2]


def test_starts_are_given_by_seed_and_index_and_are_not_those_of_recording(job, monkeypatch):
    starts = record_starts(monkeypatch)
    for index in (0, 1, 1):
        run_one(job, index)
    run_one(with_flags(job, seed=1), 0)
    assert (starts[1] == starts[2]).all()
    assert not np.allclose(starts[0], starts[1]) and not np.allclose(starts[0], starts[3])
    env = evaluation._player(job).env
    recorded = [env.task.sample_start(np.random.default_rng([0, Stream.RECORD, i])) for i in range(50)]
    assert not any(np.allclose(start, starts[0]) for start in recorded)
    evaluation.close_players()


def test_a_part_of_each_chunk_is_executed_if_asked_for(job, monkeypatch):
    asked = []
    act = ACTPolicy.act
    monkeypatch.setattr(ACTPolicy, "act", lambda *args: asked.append(args) or act(*args))
    summary = evaluate(with_flags(job, query_every=5), range(1), Workers(1))
    assert len(asked) == 5 and "5 actions of each chunk" in summary.text()  # of 25 steps


def test_a_policy_that_can_recover_looks_again_every_half_second(tmp_path, job):
    policy = make_act()
    assert policy.execution_horizon == policy.chunk_size == 10
    policy.interface = dataclasses.replace(policy.interface, recovers=True, fps=12.0)
    save_policy(tmp_path / "policy_best.ckpt", policy)
    assert [policy.execution_horizon, job.load("cpu").execution_horizon] == [6, 6]
    assert "6 actions of each chunk" in job.settings(range(1), policy).execution
    for flags, words in (({"query_every": 3}, "3 actions"), ({"temporal_agg": True}, "temporal ensembling")):
        assert with_flags(job, **flags).settings(range(1), policy).execution.startswith(words)
    for fps, count in ((50.0, 10), (1.0, 1), (0.0, 10)):  # a chunk at most, one action at least; 0: not known
        policy.interface = dataclasses.replace(policy.interface, fps=fps)
        assert policy.execution_horizon == count


def test_evaluation_renders_as_training_did(tmp_path, job):
    policy = make_act()
    policy.interface = dataclasses.replace(policy.interface, render_quality="full")
    save_policy(tmp_path / "policy_best.ckpt", policy)
    assert evaluation._player(job).env.task.render_quality == "full"
    evaluation.close_players()


def test_looks_of_an_evaluation_are_its_own(job, monkeypatch):
    from sim_env import SimEnv

    looks = []
    monkeypatch.setattr(SimEnv, "set_looks", lambda self, plan: looks.append(plan))
    assert "looks" not in evaluate(job, range(2), Workers(1)).text() and not looks
    summary = evaluate(with_flags(job, randomize="rollout", seed=6), range(2), Workers(1))
    assert looks == [LookPlan((6, Stream.EVALUATE_LOOKS, index)) for index in range(2)]
    assert "one chunk after another, joined over 0.2 s; randomized looks" in summary.text()
    summary = evaluate(with_flags(job, randomize="drift", looks="real"), range(1), Workers(1))
    assert looks[-1] == LookPlan((0, Stream.EVALUATE_LOOKS, 0), LEVELS["real"], drift_fps=job.task.fps)
    assert "one chunk after another, joined over 0.2 s; randomized real looks that drift" in summary.text()
    summary = evaluate(with_flags(job, room=5), range(2), Workers(1))
    assert looks[-2:] == [room_look(5)] * 2 and "joined over 0.2 s; in room 5" in summary.text()


def test_a_disturbed_look_is_that_of_the_room_disturbed(job, monkeypatch):
    looks = []
    monkeypatch.setattr(SimEnv, "set_looks", lambda self, plan: looks.append(plan))
    evaluate(with_flags(job, room=5, disturb=("light=strong",)), range(1), Workers(1))
    assert looks[-1].room == room_look(5) and looks[-1].ranges.light != Ranges().light


def test_a_level_of_looks_that_would_mean_nothing_is_refused():
    EvalConfig(randomize="drift", looks="wild").check_evaluation()
    with pytest.raises(ValueError, match="^--looks is wild; it needs --randomize$"):
        EvalConfig(looks="wild").check_evaluation()
    with pytest.raises(ValueError, match="^--room is 5; --randomize gives each rollout a look"):
        EvalConfig(room=5, randomize="rollout").check_evaluation()


def test_open_loop_renders_one_frame_per_chunk(job, monkeypatch):
    from sim_env import SimTask

    rendered = []
    render = SimTask.render
    monkeypatch.setattr(SimTask, "render", lambda *args: rendered.append(args) or render(*args))
    evaluate(job, range(2), workers=Workers(1))
    assert len(rendered) == 2 * 3  # 25 steps in chunks of 10
    rendered.clear()
    evaluate(with_flags(job, temporal_agg=True), range(1), workers=Workers(1))
    assert len(rendered) == 25
