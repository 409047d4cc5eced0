"""How far a policy's actions are from those of demonstrations that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from episodes import BASE, Episode, action_entries, whole_action
from evaluation.rollouts import SMALL
from policies import Policy
from utils import PHASES

MOST_EPISODES, FEWER = 16, 4  # episodes that are looked at: of a small policy, of a larger one


def held_out_errors(policy: Policy, paths: Sequence[Path]) -> np.ndarray:
    """(N, phases) mean difference of the joints, in degrees, of the chunk that begins in the middle of each
    phase of `utils.PHASES` (the first: at the episode's first step). Of the first N episodes; a large policy
    looks at fewer.

    Only the actions of the chunk that are executed before the next is asked for count.

    Raises:
        EpisodeError: an episode cannot be read, or lacks one of the policy's cameras.
    """
    size = sum(parameter.numel() for parameter in policy.parameters())
    paths = paths[: MOST_EPISODES if size < SMALL else FEWER]
    return np.array([_errors(policy, path) for path in paths]).reshape(len(paths), len(PHASES))


def _errors(policy: Policy, path: Path) -> list[float]:
    episode = Episode.load(path, policy.interface.cameras, in_memory=False)
    actions = whole_action(episode)
    is_joint = [not entry.is_gripper and entry not in BASE for entry in action_entries(episode)]
    steps = [
        0 if begin == 0 else min(len(episode) - 1, round((begin + end) / 2 * len(episode)))
        for begin, end in PHASES.values()
    ]
    chunks = _chunks(policy, episode, steps)  # (phases, chunk, A)
    errors = []
    for step, chunk in zip(steps, chunks, strict=True):
        shown = actions[step : step + policy.execution_horizon]
        apart = np.abs(chunk[: len(shown)] - shown)[:, is_joint]
        errors.append(float(np.degrees(apart.mean())))
    return errors


@torch.inference_mode()
def _chunks(policy: Policy, episode: Episode, steps: Sequence[int]) -> np.ndarray:
    """(steps, chunk, A) that the policy predicts at these steps, with the same random numbers each time."""
    history = policy.observation_horizon
    pasts = [[max(0, step - back) for back in reversed(range(history))] for step in steps]
    rows = [policy.observe([_observation(episode, t) for t in past]) for past in pasts]
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    if history == 1:
        batch = {name: tensor[:, 0] for name, tensor in batch.items()}
    generator = torch.Generator(policy.device).manual_seed(0)
    return policy.act(batch, generator).float().cpu().numpy()


def _observation(episode: Episode, step: int) -> dict:
    images = {camera: frames[step] for camera, frames in episode.images.items()}
    return {"qpos": episode.qpos[step], "images": images}
