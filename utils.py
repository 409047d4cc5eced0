"""Training data, from episode files to batches.

Every draw is a function of the seed and of a sample's number, so that a run resumed at step n sees what an
uninterrupted one would have seen, without any state to restore.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
import torch
from torch import Tensor

from episodes import Episode, EpisodeError, list_episodes

Batch = dict[str, Tensor]
MIN_STD = 1e-2  # rad; a joint that hardly moves must not be blown up (ACT: utils.py)
CACHE_SHARE = 0.5  # of the free memory that decoded frames may fill
PREFETCH = 4  # batches built ahead


def resize_image(image: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 to `image_size` (height, width), averaging; training, evaluation and the arm all use
    this.
    """
    if image.shape[:2] == tuple(image_size):
        return image
    return cv2.resize(image, image_size[::-1], interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Stats:
    """Mean and standard deviation of each entry of the state (D,) and of an action (A,), in robot units."""

    qpos_mean: Tensor
    qpos_std: Tensor
    action_mean: Tensor
    action_std: Tensor

    @staticmethod
    def of(episodes: Sequence[Episode]) -> Stats:
        """Over all steps of all episodes, as ACT (utils.py: get_norm_stats)."""
        moments = []
        for name in ("qpos", "action"):
            rows = np.concatenate([getattr(episode, name) for episode in episodes]).astype(np.float64)
            for moment in (rows.mean(axis=0), rows.std(axis=0).clip(MIN_STD)):
                moments.append(torch.tensor(moment, dtype=torch.float32))
        return Stats(*moments)


class Frames:
    """Frames of all episodes at the size the policy sees. Decoded when first asked for, then kept if they
    fit.
    """

    def __init__(
        self, episodes: Sequence[Episode], cameras: Sequence[str], image_size: tuple[int, int]
    ) -> None:
        self._sources = [[episode.images[camera] for camera in cameras] for episode in episodes]
        self._size = image_size
        self._first = np.cumsum([0, *map(len, episodes)])
        shape = (int(self._first[-1]), len(cameras), *image_size, 3)
        self.bytes = int(np.prod(shape))
        self.cached = self.bytes <= CACHE_SHARE * psutil.virtual_memory().available
        if self.cached:  # the system hands out pages only as they are filled
            self._cache = np.empty(shape, np.uint8)
            self._filled = np.zeros(shape[0], bool)

    def __call__(self, episode: int, step: int) -> np.ndarray:
        """(cameras, H, W, 3) uint8 RGB."""
        row = self._first[episode] + step
        if self.cached and self._filled[row]:
            return self._cache[row]
        frames = np.stack([resize_image(source[step], self._size) for source in self._sources[episode]])
        if self.cached:
            self._cache[row] = frames
            self._filled[row] = True
        return frames


class Demonstrations:
    """Episodes that a policy is trained on, in memory; JPEG frames stay encoded until they are needed.

    Raises EpisodeError if a file is damaged, lacks a camera, or differs from the first in dimensions.
    """

    def __init__(self, paths: Sequence[Path], cameras: Sequence[str], image_size: tuple[int, int]) -> None:
        self.episodes = [Episode.load(path, cameras) for path in paths]
        first = self.episodes[0]
        for path, episode in zip(paths, self.episodes, strict=True):
            for name in ("qpos", "action"):
                found, wanted = getattr(episode, name).shape[1], getattr(first, name).shape[1]
                if found != wanted:
                    raise EpisodeError(
                        f"{path}: {name} has {found} entries a step, but {paths[0]} has {wanted}"
                    )
            if episode.render_quality != first.render_quality:
                raise EpisodeError(
                    f"{path}: rendered {episode.render_quality!r}, but {paths[0]} {first.render_quality!r}; "
                    "one folder must hold one kind"
                )
        self.frames = Frames(self.episodes, cameras, image_size)
        self.lengths = np.array([len(episode) for episode in self.episodes])

    def batch(self, samples: Sequence[tuple[int, int]], chunk_size: int) -> Batch:
        """Samples (episode, step) as tensors, in robot units.

        Returns:
            qpos (B, D), images (B, cameras, H, W, 3) uint8, actions (B, chunk, A), and is_pad (B, chunk),
            True past the end of the episode.
        """
        qpos, images, actions, pads = [], [], [], []
        for index, step in samples:
            episode = self.episodes[index]
            chunk = episode.action[step : step + chunk_size]
            qpos.append(episode.qpos[step])
            images.append(self.frames(index, step))
            actions.append(np.pad(chunk, ((0, chunk_size - len(chunk)), (0, 0))))
            pads.append(np.arange(chunk_size) >= len(chunk))
        named = {"qpos": qpos, "images": images, "actions": actions, "is_pad": pads}
        return {name: torch.from_numpy(np.stack(rows)) for name, rows in named.items()}


def split_episodes(dataset_dir: str | Path, train_ratio: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Training and validation episodes: a random split of those in the folder, at least one each."""
    paths = list_episodes(dataset_dir)
    if not 0 < train_ratio < 1:
        raise ValueError(f"--train_ratio is {train_ratio}; it must lie between 0 and 1")
    if len(paths) < 2:
        raise ValueError(
            f"{dataset_dir} holds {len(paths)} episode; at least 2 are needed, one of them to validate"
        )
    order = np.random.default_rng(seed).permutation(len(paths))
    n_train = min(max(round(train_ratio * len(paths)), 1), len(paths) - 1)
    train, validation = np.sort(order[:n_train]), np.sort(order[n_train:])
    return [paths[i] for i in train], [paths[i] for i in validation]


class StartSampler:
    """Which step of which episode is sample number i. An epoch, as in ACT, is one random start in each
    episode.

    Args:
        lengths: steps of each episode.
        key: `[seed, purpose, ...]` of the random stream.
        early_share: share of the samples whose start is drawn from the first `early_steps` only, where the
            image alone tells what to do; later the joints give it away, and a network that sees mostly those
            learns not to look.
    """

    def __init__(
        self, lengths: np.ndarray, key: Sequence[int], early_share: float = 0.0, early_steps: int = 40
    ) -> None:
        if not 0 <= early_share <= 1:
            raise ValueError(f"--early_share is {early_share}; it must lie in [0, 1]")
        if early_steps < 1:
            raise ValueError(f"--early_steps is {early_steps}; it must be at least 1")
        self._lengths, self._key = np.asarray(lengths), list(key)
        self._early_share, self._early_steps = early_share, early_steps
        self._epoch: tuple[int, np.ndarray] | None = None

    def epoch(self, number: int) -> np.ndarray:
        """(N, 2): episode and start, for each of the N samples of an epoch."""
        if self._epoch is None or self._epoch[0] != number:
            rng = np.random.default_rng([*self._key, number])
            order = rng.permutation(len(self._lengths))
            ends = self._lengths[order]
            is_early = rng.random(len(order)) < self._early_share
            starts = rng.integers(0, np.where(is_early, np.minimum(ends, self._early_steps), ends))
            self._epoch = number, np.stack([order, starts], axis=1)
        return self._epoch[1]

    def draw(self, first: int, count: int) -> list[tuple[int, int]]:
        """Samples number `first` to `first + count`; epochs follow one another without a gap."""
        size = len(self._lengths)
        return [tuple(self.epoch(i // size)[i % size].tolist()) for i in range(first, first + count)]


def batches(
    data: Demonstrations,
    sampler: StartSampler,
    batch_size: int,
    chunk_size: int,
    steps: range,
    num_workers: int = 2,
) -> Iterator[Batch]:
    """The batches of training steps `steps`, built ahead by threads: decoding and copying release Python's
    lock.
    """
    with ThreadPoolExecutor(num_workers) as pool:
        queue: list[Future[Batch]] = []
        todo = iter(steps)
        while True:
            for step in todo:
                samples = sampler.draw(step * batch_size, batch_size)
                queue.append(pool.submit(data.batch, samples, chunk_size))
                if len(queue) > PREFETCH:
                    break
            if not queue:
                return
            try:
                yield queue.pop(0).result()
            except GeneratorExit:
                for future in queue:
                    future.cancel()
                raise
