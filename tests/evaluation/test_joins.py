"""How chunks are joined: against brute force; nothing changes and nothing lags where there is no offset."""

import math
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from actors import Interface
from evaluation.execution.background import BackgroundEnsemble, BackgroundExecution
from evaluation.execution.chunks import ChunkedExecution, TemporalEnsemble
from evaluation.execution.ensembling import Predictions
from evaluation.execution.joins import Join, joints_of
from policies import TorchActor

FPS, WIDTH = 10, 3  # actions: two joints and a gripper
JOINTS = np.array([True, True, False])
CHUNK = 12


class Policy:
    """Gives the next of `chunks` (n, 3) each time it is asked."""

    device, observation_horizon = torch.device("cpu"), 1

    def __init__(self, chunks):
        self.chunks, self.calls = [np.asarray(chunk, dtype=float) for chunk in chunks], 0
        self.chunk_size = self.execution_horizon = max(map(len, self.chunks))
        self.interface = Interface(7, 7, ("top",), (48, 64))

    def observe(self, observations, device):
        return {"qpos": torch.zeros(1, 1)}

    def act(self, obs, generator=None):
        self.calls += 1
        return torch.from_numpy(self.chunks[min(self.calls, len(self.chunks)) - 1][None])


class AtOnce:
    """An executor that is done before anybody looks, but took as many seconds as it says."""

    def __init__(self, seconds=0.0):
        self.time, self.seconds, self.due = 0.0, seconds, []

    def now(self):
        return self.time

    def submit(self, function, *args):
        before, self.time = self.time, self.time + 0.0
        result = function(*args)
        self.time = before
        return Done(self, result, before + self.seconds)

    def shutdown(self):
        pass


class Done(Future):
    def __init__(self, executor, value, at):
        super().__init__()
        self.executor, self.value, self.at = executor, value, at

    def done(self):
        return self.executor.time >= self.at - 1e-9

    def result(self, timeout=None):
        self.executor.time = max(self.executor.time, self.at)
        return self.value

    def exception(self, timeout=None):
        return None

    def cancel(self):
        return True


def run(execute, steps, clock=None):
    actions = []
    for _ in range(steps):
        actions.append(np.array(execute({})))
        if clock is not None:
            clock.time += 1 / FPS
    return np.array(actions)


def brute_force(parts, steps, joints):
    """What is executed of parts of chunks, each added its offset action by action."""
    done = []
    for part in parts:
        offset = np.zeros(part.shape[1])
        if done:
            before = done[-2] if len(done) > 1 else done[-1]
            offset = np.where(joints, done[-1] + (done[-1] - before) - part[0], 0)
        span = min(steps, len(part))
        for k, action in enumerate(part, start=1):
            weight = (1 + math.cos(math.pi * k / span)) / 2 if k < span else 0
            done.append(action + weight * offset)
    return np.array(done)


def random_chunks(rng, count, length=CHUNK):
    """Smooth chunks, each somewhere else."""
    turns = rng.normal(0, 0.3, (count, 1, WIDTH)) + np.cumsum(
        rng.normal(0, 0.05, (count, length, WIDTH)), axis=1
    )
    return list(turns)


@pytest.mark.parametrize("query_every", [1, 2, 5, 12])
@pytest.mark.parametrize("steps", [0, 1, 2, 4, 30])
def test_chunks_are_joined_as_by_brute_force(query_every, steps):
    chunks = random_chunks(np.random.default_rng(0), 60)
    execute = ChunkedExecution(TorchActor(Policy(chunks)), query_every, join=Join(steps, JOINTS))
    expected = brute_force([chunk[:query_every] for chunk in chunks], steps, JOINTS)
    for _ in range(2):  # a new episode knows nothing of the last
        execute.reset()
        execute.actor.policy.calls = 0
        np.testing.assert_allclose(run(execute, 50), expected[:50], rtol=0, atol=1e-12)


def test_an_offset_is_gone_when_the_chunk_ends_and_the_gripper_never_has_one():
    chunks = [np.zeros((CHUNK, WIDTH)), np.ones((CHUNK, WIDTH))]
    actions = run(ChunkedExecution(TorchActor(Policy(chunks)), join=Join(100, JOINTS)), 2 * CHUNK)
    assert np.all(np.diff(actions[CHUNK:, 0]) > 0) and actions[-1].tolist() == [1, 1, 1]
    assert np.abs(np.diff(actions[:, 0])).max() < 0.2, "where the policy jumps by 1"
    assert actions[:, 2].tolist() == [0] * CHUNK + [1] * CHUNK


@pytest.mark.parametrize("kind", ["chunks", "background", "ensemble", "background ensemble"])
def test_where_chunks_agree_nothing_is_changed_and_nothing_lags(kind):
    """One motion at constant speed, in whatever pieces: what is executed is the motion, to the bit."""
    path = np.arange(400)[:, None] * np.array([0.25, -0.125, 0.5])
    clock = AtOnce(0.3 if kind.startswith("background") else 0.0)
    make = {
        "chunks": lambda policy, join: ChunkedExecution(TorchActor(policy), 5, join=join),
        "background": lambda policy, join: BackgroundExecution(
            TorchActor(policy), FPS, 5, executor=clock, now=clock.now, join=join
        ),
        "ensemble": lambda policy, join: TemporalEnsemble(TorchActor(policy), join=join),
        "background ensemble": lambda policy, join: BackgroundEnsemble(
            TorchActor(policy), FPS, executor=clock, now=clock.now, join=join
        ),
    }[kind]

    class Follows(Policy):
        def act(self, obs, generator=None):
            step = max(0, execute._step) if hasattr(execute, "_step") else 0
            return torch.from_numpy(path[step : step + 40][None])

    class Lagging(Follows):
        def act(self, obs, generator=None):
            execute.latencies.append(clock.seconds)
            return super().act(obs, generator)

    policy = Lagging([path[:40]])
    execute = make(policy, Join(5, JOINTS))
    execute.reset()
    actions = run(execute, 60, clock)
    compare = np.array_equal if "ensemble" not in kind else lambda a, b: np.allclose(a, b, atol=1e-9)
    assert compare(actions, path[:60])


def test_in_the_background_a_chunk_joins_at_the_action_of_the_step_it_is_needed_at():
    rng = np.random.default_rng(1)
    chunks = random_chunks(rng, 20, 20)
    clock = AtOnce(0.25)

    def policy():
        made = Policy(chunks)
        act = made.act
        made.act = lambda *args: (execute.latencies.append(0.25), act(*args))[1]
        return made

    results = []
    for steps in (0, 6):
        clock.time = 0.0
        actor, join = TorchActor(policy()), Join(steps, JOINTS)
        execute = BackgroundExecution(actor, FPS, 8, executor=clock, now=clock.now, join=join)
        results.append(run(execute, 60, clock))
    plain, joined = results
    rows = [np.flatnonzero((chunk == action).all(axis=1)) for action in plain for chunk in chunks]
    assert sum(len(row) for row in rows) == 60, "without a join each action is one of a chunk's"
    which = [
        next(i for i, chunk in enumerate(chunks) if (chunk == action).all(axis=1).any()) for action in plain
    ]
    borders = 1 + np.flatnonzero(np.diff(which))
    parts = np.split(plain, borders)
    assert len(parts) > 5
    np.testing.assert_allclose(joined[:56], brute_force(parts, 6, JOINTS)[:56], atol=1e-12)


def test_the_arm_that_held_starts_again_from_rest():
    join = Join(5)
    join(np.zeros(1)), join(np.ones(1))
    assert join.hold() == 1
    join.begin(np.zeros(1), 100)
    assert join(np.zeros(1)) == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 5)), "no speed is taken on"


def test_which_entries_are_joined():
    def joints(task, state_dim, action_dim):
        interface = Interface(state_dim, action_dim, ("top",), (48, 64), task)
        return joints_of(SimpleNamespace(interface=interface)).tolist()

    arm = [True] * 6 + [False]
    assert joints("sim_transfer_cube_scripted", 14, 14) == arm * 2
    assert joints("", 14, 16) == [*arm * 2, False, False], "a mobile base's speeds come as they are"
    assert joints("mycobot320_choose", 7, 7) == arm


# --- ensembling


def acts_ensembling(chunks, steps, k=0.01):
    """ACT's: imitate_episodes.py, all_time_actions."""
    size = len(chunks[0])
    table = np.full((steps, steps + size, WIDTH), np.nan)
    actions = []
    for t in range(steps):
        table[t, t : t + size] = chunks[t]
        mine = table[:, t]
        mine = mine[~np.isnan(mine).any(axis=1)]
        weights = np.exp(-k * np.arange(len(mine)))
        weights = weights / weights.sum()
        actions.append((mine * weights[:, None]).sum(axis=0))
    return np.array(actions)


@pytest.mark.parametrize("join", [Join(), Join(25, JOINTS)])
@pytest.mark.parametrize("decay", [0.01, 0.5, 0.0, -0.3])
def test_ensembling_is_acts(decay, join):
    """Joined or not: there is nothing to join."""
    chunks = random_chunks(np.random.default_rng(2), 40)
    execute = TemporalEnsemble(TorchActor(Policy(chunks)), decay, join=join)
    np.testing.assert_allclose(run(execute, 40), acts_ensembling(chunks, 40, decay), rtol=0, atol=1e-12)


def test_the_default_decay_is_acts():
    chunks = random_chunks(np.random.default_rng(3), 30)
    np.testing.assert_allclose(
        run(TemporalEnsemble(TorchActor(Policy(chunks))), 30), acts_ensembling(chunks, 30), rtol=0, atol=1e-12
    )


def test_a_large_decay_either_way_leaves_one_prediction():
    for decay, expected in ((10.0, 0.0), (-10.0, 199.0)):
        predictions = Predictions(decay)
        for first in range(200):
            predictions.add(first, np.full((400, 1), float(first)), first)
        assert predictions.at(199) == pytest.approx(expected, abs=1e-3)


def test_chunks_that_disagree_with_the_newest_are_dropped():
    spread = np.array([0.1, 0.1, np.inf])
    predictions = Predictions(0.0, 1.0, spread)
    assert not predictions.add(0, np.zeros((10, 3)), 0)
    assert not predictions.add(1, np.full((10, 3), [0.05, 0.05, 9.0]), 1), "grippers do not count"
    assert np.allclose(predictions.at(1), [0.025, 0.025, 4.5])
    assert predictions.add(2, np.tile([0.5, 0.0, 0.0], (10, 1)), 2), "0.35 away: 3.5 of a deviation"
    assert predictions.at(3).tolist() == [0.5, 0, 0]


def test_what_comes_later_counts_as_well():
    """Plans that begin alike and part."""
    predictions = Predictions(0.0, 1.0, np.array([0.1]))
    predictions.add(0, np.zeros((20, 1)), 0)
    assert predictions.add(1, np.linspace(0, 1, 20)[:, None], 1)
    assert predictions.at(1) == 0


def test_where_chunks_are_dropped_the_jump_is_joined():
    spread = torch.tensor([0.1] * 7)
    chunks = [np.zeros((20, 7))] * 5 + [np.ones((20, 7))] * 30
    results = []
    for steps in (0, 10):
        policy = Policy(chunks)
        actor = TorchActor(policy)
        actor.traits = SimpleNamespace(action_std=spread)
        execute = TemporalEnsemble(actor, join=Join(steps, joints_of(actor)), most=1.0)
        results.append(run(execute, 30))
    plain, joined = results
    assert plain[4, 0] == 0 and plain[5, 0] == 1, "forgotten at once"
    assert np.abs(np.diff(joined[:, 0])).max() < 0.25
    np.testing.assert_allclose(joined[5 + 10 :, 0], 1, atol=1e-12)
    assert np.array_equal(plain[:, 6], joined[:, 6])
