"""Every policy on episodes: robots of any kind, chunks longer than an episode, two episodes by heart."""

import numpy as np
import pytest
import torch
from synthetic import can_look_back, make_dataset, make_small

from episodes.episode import Episode
from episodes.folders import list_episodes
from episodes.frames import JpegFrames
from episodes.selection.sampling import Shares, StartSampler
from episodes.stats import dataset_stats
from evaluation.execution.chunks import ChunkedExecution, TemporalEnsemble
from policies.acting.actor import TorchActor
from policies.base import Policy
from policies.registry import POLICIES
from training.flags import TrainConfig
from training.loop import Run
from utils import Demonstrations, Loader

OVERFIT = {  # flags with which two episodes are soon known by heart, steps
    "ACT": ({"dropout": 0.0, "kl_weight": 0.01}, 300),
    "Diffusion": ({"down_dims": (32, 64)}, 1500),
    "Flow": ({"down_dims": (32, 64)}, 1500),
    "VINN": ({"k": 1}, 1),
    "CNNMLP": ({}, 300),
}


def load(folder, cameras=("top",), **episodes) -> Demonstrations:
    """Two made-up episodes."""
    paths = list_episodes(make_dataset(folder, 2, cameras=cameras, **episodes))
    return Demonstrations(paths, cameras, (48, 64))


def learn(policy: Policy, data: Demonstrations, samples, steps: int) -> None:
    """Train on the same samples again and again, and finish."""
    run = Run(
        policy.train(), TrainConfig(lr=3e-3, lr_schedule="cosine", grad_clip=1.0, amp="no", ema=0.0), steps
    )
    batch = data.batch(samples, policy.chunk_size, history=policy.observation_horizon)
    for _ in range(steps):
        run.update([batch])
    policy.eval()
    if policy.config.needs_finish:
        policy.finish(data, data)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(
    ("dim", "cameras"), [(7, ("top",)), (14, ("top", "wrist")), (7, ("top", "left_wrist", "right_wrist"))]
)
def test_one_and_two_arms_up_to_three_cameras_chunks_longer_than_the_episode(name, dim, cameras, tmp_path):
    data = load(tmp_path, cameras, steps=6, dim=dim)
    policy = make_small(name, cameras, dim, frames=0)
    learn(policy, data, [(0, 0), (1, 5)], 2)
    batch = data.batch([(0, 3), (1, 0), (1, 2)], policy.chunk_size, history=policy.observation_horizon)
    with torch.inference_mode():
        actions = policy.act(batch)
    assert actions.shape == (3, policy.chunk_size, dim) and actions.isfinite().all()


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("kind", [ChunkedExecution, TemporalEnsemble])
def test_every_policy_is_executed_either_way(name, kind):
    """As an environment shows it one observation after the other; an episode can be repeated exactly."""
    flags = {"observation_horizon": 2, "action_horizon": 4} if can_look_back(name) else {}
    execute = kind(TorchActor(make_small(name, **flags).eval()))
    rng = np.random.default_rng(0)
    shown = [
        {"qpos": rng.random(14), "images": {"top": rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)}}
        for _ in range(13)
    ]
    episodes = []
    for key in ([0, 1], [0, 1]):
        execute.reset(key)
        episodes.append(np.stack([execute(observation) for observation in shown]))
    assert episodes[0].shape == (13, 14) and np.isfinite(episodes[0]).all()
    assert np.array_equal(*episodes) and len(np.unique(episodes[0], axis=0)) == 13


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if can_look_back(n) else ()) for n in POLICIES]
)
def test_overfits_two_episodes(name, tmp_path):
    """At the first step, where the picture alone tells them apart, as well as later."""
    data = load(tmp_path)
    config, steps = OVERFIT[name]
    policy = make_small(name, **config)
    for field, value in vars(dataset_stats([data.paths])).items():
        getattr(policy, field).copy_(value)
    samples = [(episode, step) for episode in (0, 1) for step in (0, 10, 20)]
    batch = data.batch(samples, policy.chunk_size, history=policy.observation_horizon)

    @torch.inference_mode()
    def error() -> float:
        actions = policy.act(batch, torch.Generator().manual_seed(0))
        return (actions - batch["actions"]).abs().mean().item()

    before = error()
    learn(policy, data, samples, steps)
    assert error() < 0.1 * before, (error(), before)


def with_looks(folder, hold: int) -> None:
    """Tint the pictures of a folder's episodes anew every `hold` steps, as looks do."""
    rng = np.random.default_rng(0)
    for path in list_episodes(folder):
        episode = Episode.load(path)
        frames = JpegFrames()
        for step, picture in enumerate(episode.images["top"]):
            if step % hold == 0:
                tint, ground = rng.uniform(0.6, 1.0, 3), rng.integers(0, 80, 3)
            is_square = picture.max(axis=2, keepdims=True) > 100
            frames.append(np.where(is_square, tint * picture, ground).astype(np.uint8))
        episode.images["top"], episode.randomized, episode.looks_hold = frames, True, hold
        episode.save(path, overwrite=True)


@pytest.mark.slow
def test_diffusion_learns_from_pairs_of_observations_whose_looks_change(tmp_path):
    """Looks last for 5 steps; each pair lies in one of them."""
    make_dataset(tmp_path, 2)
    with_looks(tmp_path, 5)
    data = Demonstrations(list_episodes(tmp_path), ("top",), (48, 64))
    policy = make_small("Diffusion", observation_horizon=2, down_dims=(32, 64))
    for field, value in vars(dataset_stats([data.paths])).items():
        getattr(policy, field).copy_(value)
    steps, sampler = 1500, StartSampler(list(map(len, data.starts(2))), [0, 1])
    loader = Loader(data, sampler, Shares(6), policy.chunk_size, history=2)
    batch = data.batch([(0, 4), (1, 9), (0, 14)], policy.chunk_size, history=2)

    @torch.inference_mode()
    def error() -> float:
        actions = policy.eval().act(batch, torch.Generator().manual_seed(0))
        return (actions - batch["actions"]).abs().mean().item()

    before = error()
    run = Run(
        policy.train(), TrainConfig(lr=3e-3, lr_schedule="cosine", grad_clip=1.0, amp="no", ema=0.0), steps
    )
    for drawn in loader.batches(range(steps)):
        run.update([drawn])
    assert error() < 0.45 * before, (error(), before)
