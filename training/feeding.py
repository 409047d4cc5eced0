"""From the flags of a run to its episodes, and to batches for training and validation."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from common import World, choose
from constants import TASKS, Stream
from episodes import (
    Episode,
    Shares,
    StartSampler,
    Stats,
    View,
    check_frame_sizes,
    check_widths,
    data_dir,
    dataset_stats,
    entries_of,
    gathered_notes,
    list_datasets,
    split_datasets,
)
from policies import Augmentation, Policy, centre_crop
from training.flags import FeedConfig, TrainConfig
from training.loop import Feed
from utils import (
    Demonstrations,
    Loader,
    check_alike,
    phase_batches,
)

PHASE_SAMPLES = 16  # of each phase of the episodes, to validate on


@dataclass(frozen=True)
class Data:
    """What a policy is trained and validated on."""

    train: Demonstrations
    validation: Demonstrations
    folders: tuple[Path, ...]
    sizes: tuple[int, ...]  # training episodes of each folder
    weights: tuple[float, ...]  # share of the samples that comes from each folder
    stats: Stats
    views: dict[str, View]  # of the cameras that are not seen whole

    def episodes(self) -> dict[Path, Episode]:
        """All episodes, those to train on first."""
        both = (self.train, self.validation)
        return {path: e for data in both for path, e in zip(data.paths, data.episodes, strict=True)}

    def text(self) -> str:
        """How many episodes there are, and from where."""
        folders = ", ".join(map(str, self.folders))
        n_train, n_validation = len(self.train.paths), len(self.validation.paths)
        count = f"{n_train} episodes to train on and {n_validation} to validate, from {folders}"
        notes = {str(path): episode.notes for path, episode in self.episodes().items()}
        return "\n".join([count, *gathered_notes(notes), str(self.train.frames)])

    def strangers(self, task_name: str) -> list[str]:
        """A line for each other task of ours that episodes are of, as their files say, and for each rate that
        is not the first's.
        """
        notes: dict[str, list[str]] = {}
        first = self.train.episodes[0].fps
        for path, episode in self.episodes().items():
            notes[str(path)] = own = []
            if {episode.task, task_name} <= set(TASKS) and _kin(episode.task) != _kin(task_name):
                own.append(f"the task is {episode.task}, not {task_name}, as the file says")
            if episode.fps != first:
                own.append(f"{episode.fps} steps a second, not {first}; edit_episodes.py resample mends that")
        return gathered_notes(notes)


def _kin(task_name: str) -> str:
    """What a task's variants have in common: on a real arm, by script or by people, mirrored."""
    return re.sub("^sim_|_(scripted|human|mirror)(?=_|$)", "", task_name)


def load_data(
    config: FeedConfig, task_name: str, cameras: Sequence[str], seed: int, places_only: Sequence[str] = ()
) -> Data:
    """Load the episodes of all folders; validation takes from one alone. Training frames are cached."""
    dataset_dirs = config.dataset_dir or (data_dir(task_name),)
    silent, there = places_only, {Path(folder).resolve() for folder in dataset_dirs}
    for name in silent:
        if Path(name).resolve() not in there:
            choose("folder of --dataset_dir", name, dataset_dirs)
    if config.sample_weights is not None and len(config.sample_weights) != len(dataset_dirs):
        raise ValueError(
            f"--sample_weights is {' '.join(map(str, config.sample_weights))}; give one number for each of "
            f"the {len(dataset_dirs)} folders of --dataset_dir"
        )
    datasets, weights = list_datasets(dataset_dirs, config.sample_weights, config.skip_mirrored_data)
    train_paths, val_paths = split_datasets(datasets, config.train_ratio, seed, silent)
    views = config.views(cameras, train_paths[0][0])
    load = partial(Demonstrations, cameras=cameras, image_size=config.image_size, views=views)
    validation = load(val_paths, cache="none")  # each of its frames is read once
    train = load([path for paths in train_paths for path in paths], cache=config.cache)
    train.silence({Path(folder).resolve() for folder in silent})
    check_alike(train, validation)
    loaded = {p: e for data in (train, validation) for p, e in zip(data.paths, data.episodes, strict=True)}
    check_frame_sizes(views, loaded)
    sources = datasets
    if config.stats_dir:
        sources, _ = list_datasets(config.stats_dir, None, config.skip_mirrored_data)
    stats = dataset_stats(sources, loaded)
    for name, mean, width in (
        ("qpos", stats.qpos_mean, train.qpos[0].shape[1]),
        ("action (with base_action)", stats.action_mean, train.actions[0].shape[1]),
    ):
        check_widths(name, [train.paths[0], sources[0][0]], [width, len(mean)])
    folders = tuple(paths[0].parent for paths in datasets)
    return Data(train, validation, folders, tuple(map(len, train_paths)), tuple(weights), stats, views)


def joint_offset(degrees: float, policy: Policy) -> Tensor | None:
    """(D,) by how much joints are off at most (rad), and grippers not at all; None: nothing is."""
    if not degrees:
        return None
    entries = entries_of(policy.interface.task, len(policy.qpos_mean))
    offset = [0.0 if entry.is_gripper else math.radians(degrees) for entry in entries]
    return torch.tensor(offset, device=policy.device)


def make_feed(config: FeedConfig, training: TrainConfig, world: World, policy: Policy, data: Data) -> Feed:
    """Batches for training, changed at random as the flags say, and for validation."""
    key, chunk_size, history = [training.seed, Stream.TRAIN], policy.chunk_size, policy.observation_horizon
    early, mixture = (config.early_share, config.early_steps), (data.sizes, data.weights)
    loader = Loader(
        data.train,
        StartSampler(list(map(len, data.train.starts(history))), [*key, 0], *early, *mixture),
        Shares(training.batch_size, training.accumulate, world.rank, world.size),
        chunk_size,
        history,
        pin=policy.device.type == "cuda",
    )
    validation = phase_batches(
        data.validation, PHASE_SAMPLES, training.batch_size, chunk_size, [*key, 1], history
    )
    augmentations = policy.interface.augmentations
    for batch in (batch for phase in validation.values() for batch in phase):
        batch["images"] = centre_crop(batch["images"], augmentations)
    prepare = Augmentation(
        augmentations,
        policy.qpos_mean,
        policy.qpos_std,
        config.state_dropout,
        config.state_noise,
        joint_offset(config.joint_offset, policy),
        config.darkness(policy.interface.cameras),
    )
    return Feed(loader.batches, validation, loader.describe, prepare)
