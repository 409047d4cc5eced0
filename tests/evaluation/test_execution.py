"""Chunks that are computed in the background: against the plain executions, and on a simulated clock."""

import threading
from concurrent.futures import Future

import numpy as np
import pytest
import torch
from synthetic import make_act

from evaluation.execution.background import BackgroundEnsemble, BackgroundExecution
from evaluation.execution.chunks import ChunkedExecution, TemporalEnsemble
from policies import TorchActor

FPS = 10


class Clock:
    """Time (s) that goes on when it is told to; work takes up time of its own."""

    def __init__(self):
        self.time = self.work = 0.0

    def __call__(self):
        return self.time + self.work


class Later:
    """An executor whose results are there as soon as the clock has gone on by the time their work takes."""

    def __init__(self, clock):
        self.clock, self.alone = clock, True

    def submit(self, function, *args):
        assert self.alone, "one at a time"
        self.clock.work = 0.0
        result = function(*args)
        return _Due(self, result, self.clock.time + self.clock.work)

    def shutdown(self):
        pass


class _Due(Future):
    def __init__(self, executor, value, at):
        super().__init__()
        self.executor, self.value, self.at = executor, value, at
        executor.clock.work = 0.0
        executor.alone = False

    def done(self):
        return self.executor.clock.time >= self.at - 1e-9

    def result(self, timeout=None):
        self.executor.clock.time = max(self.executor.clock.time, self.at)
        self.executor.alone = True
        return self.value

    def exception(self, timeout=None):
        self.result()

    def cancel(self):
        return False


class Policy:
    """Predicts, at its n-th call about step s, s + the place in the chunk, and n.

    A call takes the next of `seconds`, the last again and again.
    """

    device = torch.device("cpu")

    def __init__(self, chunk=8, horizon=1, seconds=(0.0,), clock=None):
        self.chunk_size = self.execution_horizon = chunk
        self.observation_horizon, self.seconds, self.clock = horizon, list(seconds), clock
        self.calls, self.seen, self.drawn = 0, [], []

    def observe(self, observations, device):
        return {"qpos": torch.tensor([observation["qpos"] for observation in observations])}

    def act(self, obs, generator=None):
        self.seen.append(obs["qpos"].flatten().tolist())
        self.drawn.append(torch.rand(1, generator=generator).item())
        if self.clock is not None:
            self.clock.work += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1
        steps = self.seen[-1][-1] + torch.arange(self.chunk_size, dtype=torch.float64)
        return torch.stack([steps, torch.full_like(steps, self.calls)], dim=-1)[None]


def run(execute, steps, clock=None, first=0):
    """Actions (T, 2) of an episode whose observation tells the step; the clock goes on step by step."""
    actions = []
    for t in range(first, first + steps):
        actions.append(execute({"qpos": [float(t)]}).copy())
        if clock is not None:
            clock.time += 1 / FPS
    return np.array(actions)


def simulated(kind, seconds, **flags):
    clock = Clock()
    names = ("chunk", "horizon")
    policy = Policy(
        seconds=seconds, clock=clock, **{name: flags.pop(name) for name in names if name in flags}
    )
    execute = kind(TorchActor(policy), FPS, executor=Later(clock), now=clock, **flags)
    return execute, policy, clock


# --- no latency: the same as the plain ones


@pytest.mark.parametrize("query_every", [None, 1, 3, 8])
@pytest.mark.parametrize("horizon", [1, 3])
def test_without_latency_chunks_are_those_of_the_plain_execution(query_every, horizon):
    plain = Policy(horizon=horizon)
    execute, policy, clock = simulated(BackgroundExecution, [0.0], horizon=horizon, query_every=query_every)
    expected = ChunkedExecution(TorchActor(plain), query_every)
    for key in ([0, 1], [0, 2]):
        expected.reset(key)
        execute.reset(key)
        assert np.array_equal(run(execute, 30, clock), run(expected, 30))
    assert policy.seen == plain.seen and policy.drawn == plain.drawn
    assert execute.held == 0 and execute.lead == 0


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("horizon", [1, 3])
def test_without_latency_the_ensemble_is_the_plain_one(horizon, every):
    plain = Policy(horizon=horizon)
    flags = {"horizon": horizon, "decay": 0.3, "query_every": every}
    execute, policy, clock = simulated(BackgroundEnsemble, [0.0], **flags)
    expected = TemporalEnsemble(TorchActor(plain), 0.3, query_every=every)
    for key in ([0, 1], [0, 2]):
        expected.reset(key)
        execute.reset(key)
        np.testing.assert_allclose(run(execute, 30, clock), run(expected, 30), rtol=1e-12)
    assert policy.seen == plain.seen and policy.drawn == plain.drawn and execute.held == 0


@pytest.mark.parametrize("kind", [BackgroundExecution, BackgroundEnsemble])
def test_a_quick_policy_in_a_real_thread_is_waited_for(kind):
    plain, policy = Policy(), Policy()
    execute = kind(TorchActor(policy), 0.01)  # a step takes so long that any machine is quick
    expected = {BackgroundExecution: ChunkedExecution, BackgroundEnsemble: TemporalEnsemble}[kind](
        TorchActor(plain)
    )
    try:
        np.testing.assert_allclose(run(execute, 30), run(expected, 30), rtol=1e-12)
    finally:
        execute.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("policy")]


@pytest.mark.parametrize("kind", [BackgroundExecution, BackgroundEnsemble])
def test_a_quick_policy_that_falls_silent_is_not_waited_for(kind):
    """As behind a line that dies: whoever drives the arm must stay in charge."""
    answers = threading.Event()

    class Silent(Policy):
        def act(self, obs, generator=None):
            assert self.calls < 2 or answers.wait(60), "the loop did not go on"
            return super().act(obs, generator)

    execute = kind(TorchActor(Silent(chunk=4)), 2)  # any machine answers within 0.025 s
    try:
        before = run(execute, 8 if kind is BackgroundExecution else 2)
        held = run(execute, 6, first=len(before))
        assert execute.held > 0 and np.array_equal(held[-1], held[-2])
        answers.set()
        assert run(execute, 4, first=len(before) + 6)[-1, 1] > before[-1, 1]
    finally:
        answers.set()
        execute.close()


# --- latency


@pytest.mark.parametrize("seconds", [0.04, 0.1, 0.24, 0.4])
def test_a_slow_policy_causes_no_pause_and_every_action_is_for_its_step(seconds):
    execute, policy, clock = simulated(BackgroundExecution, [seconds], chunk=20)
    actions = run(execute, 100, clock)
    assert np.array_equal(actions[:, 0], np.arange(100)), "chunks join in at the action of the present step"
    assert execute.held == 0
    lead = int(np.ceil(seconds * FPS + 0.5))
    asked = [seen[-1] for seen in policy.seen]
    assert asked[:3] == [0, 20 - lead, 40 - 2 * lead] and execute.lead == lead


def test_an_observation_is_asked_about_as_late_as_may_be():
    execute, policy, clock = simulated(BackgroundExecution, [0.18], chunk=20, query_every=10)
    run(execute, 60, clock)
    assert [seen[-1] for seen in policy.seen] == [0, 7, 17, 27, 37, 47, 57]
    borders = 1 + np.flatnonzero(np.diff(run(execute, 40, clock, first=60)[:, 1]))
    assert np.all(np.diff(borders) == 10), "each chunk is executed for as long as was asked for"


def test_a_late_chunk_makes_the_arm_hold_and_then_skips_what_is_over():
    execute, policy, clock = simulated(BackgroundExecution, [0.1, 0.1, 0.7, 0.1], chunk=10)
    actions = run(execute, 40, clock)[:, 0]
    # asked at steps 0, 8 and 16; the third takes 0.7 s and is needed at step 18, there at 23
    assert actions[:18].tolist() == list(range(18))
    assert actions[18:23].tolist() == [17] * 5 and execute.held == 5
    assert actions[23] == 23, "it joins in where it would be by now"


def test_a_chunk_that_comes_after_its_end_leaves_its_last_action():
    execute, policy, clock = simulated(BackgroundExecution, [0.1, 0.9, 0.1], chunk=4)
    actions = run(execute, 30, clock)[:, 0]
    # asked at step 2 about steps 2 to 5; there at 11
    assert actions[:4].tolist() == [0, 1, 2, 3]
    assert actions[4:11].tolist() == [3] * 7 and actions[11] == 5
    assert np.abs(np.diff(actions)).max() < 30 and policy.calls > 2


def test_a_policy_that_never_keeps_up_is_asked_all_the_time():
    execute, policy, clock = simulated(BackgroundExecution, [0.5], chunk=3)
    run(execute, 60, clock)
    asked = [seen[-1] for seen in policy.seen]
    assert np.diff(asked[1:]).max() <= 6


def test_the_ensemble_averages_predictions_for_the_present_step():
    execute, policy, clock = simulated(BackgroundEnsemble, [0.3], chunk=20, decay=0.1)
    actions = run(execute, 60, clock)
    np.testing.assert_allclose(actions[:, 0], np.arange(60), err_msg="all predict the step itself")
    asked = np.array([seen[-1] for seen in policy.seen])
    assert asked[:5].tolist() == [0, 1, 4, 7, 10], (
        "the first is waited for; then as soon as the last one came"
    )
    assert execute.held == 0
    at = (asked + 3 <= 30) & (asked + 20 > 30)  # has come by step 30, and reaches so far
    weights = np.exp(-0.1 * (asked[at] - asked[at][0]))
    assert actions[30, 1] == pytest.approx(weights @ (1 + np.flatnonzero(at)) / weights.sum())


def test_the_ensemble_holds_where_nothing_was_predicted():
    execute, policy, clock = simulated(BackgroundEnsemble, [0.0, 0.9], chunk=4)
    actions = run(execute, 12, clock)[:, 0]
    assert actions[:4].tolist() == [0, 1, 2, 3] and execute.held > 3
    assert np.all(actions[4:] <= np.arange(4, 12)), "never ahead of its time"


def test_a_new_episode_waits_for_what_is_being_computed():
    gate, started = threading.Event(), threading.Event()

    class Slow(Policy):
        def act(self, obs, generator=None):
            if self.calls:
                started.set()
                assert gate.wait(10)
            return super().act(obs, generator)

    policy = Slow(chunk=4)
    execute = BackgroundExecution(TorchActor(policy), FPS)
    execute.latencies.append(0.2)  # so that it is asked in advance
    run(execute, 3)
    assert started.wait(10)
    threading.Timer(0.05, gate.set).start()
    execute.reset([0, 1])
    assert policy.calls == 2 and execute({"qpos": [7.0]})[0] == 7, "nothing of the old episode is left"
    execute.close()


def test_an_error_of_the_policy_reaches_the_caller():
    class Broken(Policy):
        def act(self, obs, generator=None):
            raise ValueError("no weights")

    execute = BackgroundExecution(TorchActor(Broken()), FPS)
    with pytest.raises(ValueError, match="no weights"):
        run(execute, 1)
    execute.reset()
    execute.close()


@pytest.mark.parametrize("kind", [BackgroundExecution, BackgroundEnsemble, ChunkedExecution])
def test_warming_up_acts_as_a_run_does_and_leaves_no_trace(kind, monkeypatch):
    policy, calls = make_act().eval(), []
    act = policy.act

    def noted(obs, generator):
        calls.append((threading.current_thread().name, torch.is_autocast_enabled("cpu"), obs["images"].sum()))
        return act(obs, generator)

    monkeypatch.setattr(policy, "act", noted)
    execute = kind(TorchActor(policy, "bf16"), **({} if kind is ChunkedExecution else {"fps": FPS}))
    state = torch.get_rng_state()
    execute.warm_up()
    assert len(calls) == 3 and execute.latencies == [] and execute.held == 0
    assert torch.equal(torch.get_rng_state(), state)
    picture = np.full((48, 64, 3), 9, np.uint8)
    execute({"qpos": np.zeros(14), "images": {"top": picture}})
    execute.close()
    assert {call[:2] for call in calls} == {calls[-1][:2]}  # the same thread, in the same arithmetic
    assert calls[-1][2] == picture.sum(), "nothing of the black pictures is left"


def test_how_many_actions_a_chunk_has_is_checked():
    with pytest.raises(ValueError, match="query_every is 9; the policy's chunks have 1 to 8"):
        BackgroundExecution(TorchActor(Policy()), FPS, 9)
