"""`--join inpaint`: what a new chunk is told of the one that is being executed."""

import numpy as np
import pytest
import torch
from synthetic import make_act, make_flow

import imitate_episodes
from evaluation.execution.background import BackgroundExecution
from evaluation.execution.chunks import ChunkedExecution
from evaluation.execution.joins import Join
from evaluation.flags import EvalConfig
from policies import TorchActor
from policies.drawing import overlap_weights

INPAINT, FPS, CHUNK = EvalConfig(join="inpaint"), 50, 10


class Told:
    """Keeps the chunks of a policy, and what it was told before each."""

    def __init__(self, policy):
        self.policy, self.chunks, self.known = policy.eval(), [], []
        self.actor = TorchActor(policy, "no")
        self.act, self.act_given = policy.act, policy.act_given
        policy.act = lambda obs, generator: self.keep(self.act(obs, generator), None)
        policy.act_given = lambda obs, known, generator: self.keep(
            self.act_given(obs, known, generator), known
        )

    def keep(self, chunk, known):
        self.chunks.append(chunk[0])
        self.known.append(known)
        return chunk


class AtOnce:
    """An executor that is done before anybody looks."""

    def submit(self, function, *args):
        self.value = function(*args)
        return self

    def done(self):
        return True

    def result(self):
        return self.value

    def cancel(self):
        return True

    def shutdown(self):
        pass


class Ahead(BackgroundExecution):
    """Asks two steps ahead, whatever the last chunks took."""

    lead = 2


def run(execute, steps):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (48, 64, 3), np.uint8)
    return np.stack([execute({"qpos": rng.random(14), "images": {"top": image}}) for _ in range(steps)])


@pytest.mark.parametrize("query_every", [4, CHUNK])
def test_a_chunk_is_told_what_is_left_of_the_one_before(query_every):
    told = Told(make_flow())
    execute = ChunkedExecution(told.actor, query_every, Join.of(told.actor, INPAINT, FPS))
    run(execute, 3 * query_every)
    assert len(told.known) == 3 and told.known[0] is None
    for before, known in zip(told.chunks, told.known[1:], strict=False):
        if query_every == CHUNK:
            assert known is None  # nothing is left
        else:
            assert torch.equal(known.actions[0], before[query_every:])
            assert torch.equal(known.weights, overlap_weights(0, CHUNK - query_every))
    execute.reset()
    run(execute, 1)
    assert told.known[-1] is None  # a new episode knows nothing of the last


def test_in_the_background_what_is_executed_meanwhile_is_settled():
    told = Told(make_flow())
    execute = Ahead(told.actor, FPS, 6, executor=AtOnce(), join=Join(inpaints=True))
    run(execute, 14)
    first, second, third = told.chunks
    assert told.known[0] is None
    assert torch.equal(told.known[1].actions[0], first[4:])  # asked at step 4, needed at step 6
    assert torch.equal(told.known[1].weights, overlap_weights(2, 6))
    assert torch.equal(second[:2], first[4:6])
    assert torch.equal(told.known[2].actions[0], second[6:])
    assert torch.equal(told.known[2].weights, overlap_weights(2, 4))
    assert torch.equal(third[:2], second[6:8])


def test_warming_up_warms_what_is_used():
    told = Told(make_flow())
    execute = ChunkedExecution(told.actor, 4, Join(inpaints=True))
    execute.warm_up()
    assert [known is None for known in told.known] == [True, False, False]


def test_other_joins_tell_nothing():
    told = Told(make_flow())
    run(ChunkedExecution(told.actor, 4, Join.of(told.actor, EvalConfig(), FPS)), 12)
    assert told.known == [None] * 3


def test_a_policy_that_does_not_draw_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="--join inpaint is for policies that draw"):
        Join.of(TorchActor(make_act()), INPAINT, FPS)
    words = f"x --task_name any --ckpt_dir {tmp_path / 'run'} --join inpaint"
    monkeypatch.setattr("sys.argv", words.split())
    with pytest.raises(ValueError, match="--join inpaint is for policies that draw"):
        imitate_episodes.main()
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="--join inpaint does not go with --temporal_agg"):
        EvalConfig(join="inpaint", temporal_agg=True).check_evaluation()
