"""Training data, from episode files to batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from episodes import CameraError, Episode, EpisodeError, list_episodes, whole_action
from frames import Frames
from stats import check_widths

Batch = dict[str, Tensor]
Look = Callable[[np.ndarray, tuple[int, int]], np.ndarray]  # as resize_image; views.View is one
MIRRORED = "mirror"  # in the name of a folder or file of mirrored episodes (ACT++: utils.py)


class Demonstrations:
    """Episodes that a policy is trained on: states and actions in memory, frames as `cache` says (`Frames`).

    Raises EpisodeError if a file is damaged, lacks a camera, or differs from the first in dimensions.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        cameras: Sequence[str],
        image_size: tuple[int, int],
        cache: str = "auto",
        views: Mapping[str, Look] | None = None,
    ) -> None:
        self.episodes = []
        for path in paths:
            try:
                self.episodes.append(Episode.load(path, cameras, in_memory=False))
            except CameraError as error:
                others = f", unlike {paths[0]}" if self.episodes else ""
                raise EpisodeError(f"{error}{others}") from error
        self.actions = [whole_action(episode) for episode in self.episodes]
        self.qpos = [episode.qpos for episode in self.episodes]
        self.paths = list(paths)
        check_alike(self)
        sources = [[episode.images[camera] for camera in cameras] for episode in self.episodes]
        looks = [(views or {}).get(camera) for camera in cameras]
        self.frames = Frames(sources, image_size, cache, looks)
        self.lengths = np.array([len(episode) for episode in self.episodes])

    def describe(self, samples: Sequence[tuple[int, int]]) -> list[str]:
        """Samples (episode, step) as the user knows them: file and step."""
        return [f"{self.paths[index]}, step {step}" for index, step in samples]

    def chunks(self, samples: Sequence[tuple[int, int]], chunk_size: int) -> tuple[Tensor, Tensor]:
        """Actions (B, chunk, A) from each sample (episode, step) on, and is_pad (B, chunk): True past the end
        of the episode, where they are 0.
        """
        actions, pads = [], []
        for index, step in samples:
            chunk = self.actions[index][step : step + chunk_size]
            actions.append(np.pad(chunk, ((0, chunk_size - len(chunk)), (0, 0))))
            pads.append(np.arange(chunk_size) >= len(chunk))
        return torch.from_numpy(np.stack(actions)), torch.from_numpy(np.stack(pads))

    def batch(
        self,
        samples: Sequence[tuple[int, int]],
        chunk_size: int,
        valid_steps: float | None = None,
        pin: bool = False,
        history: int = 1,
    ) -> Batch:
        """Samples (episode, step) as tensors, in robot units.

        Args:
            samples: episodes and their steps.
            chunk_size: actions from each step on.
            valid_steps: see below.
            pin: in memory that a GPU copies from while everything else goes on.
            history: observations up to the sample's step; the first of the episode stands for those before
                it. With more than one, qpos is (B, history, D) and images likewise, oldest first.

        Returns:
            qpos (B, D), images (B, cameras, H, W, 3) uint8, actions (B, chunk, A), is_pad (B, chunk), True
            past the end of the episode, and valid_steps (), by which a sum over the chunks' steps is
            divided: as given, or how many of this batch are no padding.
        """
        qpos, images = [], []
        for index, step in samples:
            past = [max(0, step - back) for back in reversed(range(history))]
            seen = [self.frames(index, t) for t in past]
            qpos.append(self.qpos[index][past if history > 1 else step])
            images.append(np.stack(seen) if history > 1 else seen[0])
        batch = {n: torch.from_numpy(np.stack(rows)) for n, rows in (("qpos", qpos), ("images", images))}
        batch["actions"], batch["is_pad"] = self.chunks(samples, chunk_size)
        valid = (~batch["is_pad"]).sum() if valid_steps is None else valid_steps
        batch["valid_steps"] = torch.as_tensor(valid, dtype=torch.float32)
        return {name: tensor.pin_memory() for name, tensor in batch.items()} if pin else batch


def hold_last(actions: Tensor, is_pad: Tensor) -> Tensor:
    """Chunks (B, chunk, A) whose padding (B, chunk) is replaced by the last action before it."""
    steps = torch.arange(actions.shape[1], device=actions.device)
    last = (~is_pad).sum(dim=1, keepdim=True) - 1  # (B, 1)
    return actions.take_along_dim(torch.minimum(steps, last)[..., None], dim=1)


def check_alike(*datasets: Demonstrations) -> None:
    """EpisodeError for the first episode that differs from the first of all in dimensions, or from the first
    of its folder in rendering.
    """
    paths = [path for data in datasets for path in data.paths]
    for name, arrays in (
        ("qpos", [array for data in datasets for array in data.qpos]),
        ("action (with base_action)", [array for data in datasets for array in data.actions]),
    ):
        check_widths(name, paths, [array.shape[1] for array in arrays])
    firsts: dict[Path, tuple[Path, str]] = {}
    qualities = [episode.render_quality for data in datasets for episode in data.episodes]
    for path, quality in zip(paths, qualities, strict=True):
        first, expected = firsts.setdefault(path.parent, (path, quality))
        if quality != expected:
            raise EpisodeError(
                f"{path}: rendered {quality!r}, but {first} {expected!r}; one folder must hold one kind"
            )


def list_datasets(
    dataset_dirs: Sequence[str | Path],
    sample_weights: Sequence[float] | None = None,
    skip_mirrored: bool = False,
) -> tuple[list[list[Path]], list[float]]:
    """Episode files of each folder, and the share of the samples that is to come from it.

    Args:
        dataset_dirs: the folders.
        sample_weights: one for each, of any sum; all the same if not given (ACT++: utils.py).
        skip_mirrored: leave out folders and files with "mirror" in their name.

    Raises:
        ValueError: the weights make no sense, or all episodes are mirrored.
        FileNotFoundError: a folder holds no episodes.
    """
    weights = [1.0] * len(dataset_dirs) if sample_weights is None else list(sample_weights)
    if len(weights) != len(dataset_dirs) or min(weights) < 0:
        raise ValueError(
            f"--sample_weights is {' '.join(map(str, weights))}; give one number, not negative, "
            f"for each of the {len(dataset_dirs)} folders of --dataset_dir"
        )
    datasets = [
        [
            p
            for p in list_episodes(folder)
            if not (skip_mirrored and MIRRORED in f"{Path(folder).name}/{p.name}")
        ]
        for folder in dataset_dirs
    ]
    kept = [(paths, weight) for paths, weight in zip(datasets, weights, strict=True) if paths]
    total = sum(weight for _, weight in kept)
    if not total:
        folders = ", ".join(map(str, dataset_dirs))
        raise ValueError(f"no episode is left of {folders}; check --sample_weights and --skip_mirrored_data")
    return [paths for paths, _ in kept], [weight / total for _, weight in kept]


def split_episodes(paths: Sequence[Path], train_ratio: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Training and validation episodes: a random split, at least one each."""
    if not 0 < train_ratio < 1:
        raise ValueError(f"--train_ratio is {train_ratio}; it must lie between 0 and 1")
    if len(paths) < 2:
        raise ValueError(
            f"{paths[0].parent} holds {len(paths)} episode; at least 2 are needed, one of them to validate"
        )
    order = np.random.default_rng(seed).permutation(len(paths))
    n_train = min(max(round(train_ratio * len(paths)), 1), len(paths) - 1)
    train, validation = np.sort(order[:n_train]), np.sort(order[n_train:])
    return [paths[i] for i in train], [paths[i] for i in validation]
