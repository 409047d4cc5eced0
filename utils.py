"""Training data, from episode files to batches.

Every draw is a function of the seed and a sample's number. So a run resumed at step n gets what an
uninterrupted one would have got, with no state to restore.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from episodes import (
    CameraError,
    Episode,
    EpisodeError,
    Frames,
    Sample,
    Shares,
    StartSampler,
    check_widths,
    starts_in_one_look,
    whole_action,
)

Batch = dict[str, Tensor]
PREFETCH = 4  # batches built ahead
LOADER_THREADS = min(8, max(2, (os.cpu_count() or 1) // 2))
STILL = 0.2  # share of an episode, from its start, in which no object is moved yet
PHASES = {
    "start": (0, 0.01),  # after five steps of a script, the arm's pose tells where it goes
    "early": (0.01, 1 / 3),
    "middle": (1 / 3, 2 / 3),
    "late": (2 / 3, 1),
}  # shares of an episode


class Demonstrations:
    """Episodes to train a policy on: states and actions in memory, frames as `cache` says (`Frames`).

    EpisodeError if a file is damaged, lacks a camera, or has other dimensions than the first.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        cameras: Sequence[str],
        image_size: tuple[int, int],
        cache: str = "auto",
        views: Mapping[str, Callable] | None = None,
    ) -> None:
        self.episodes = []
        for path in paths:
            try:
                self.episodes.append(Episode.load(path, cameras, in_memory=False))
            except CameraError as error:
                contrast = f", unlike {paths[0]}" if self.episodes else ""
                raise EpisodeError(f"{error}{contrast}") from error
        self.actions = [whole_action(episode) for episode in self.episodes]
        self.qpos = [episode.qpos for episode in self.episodes]
        self.paths = list(paths)
        check_alike(self)
        sources = [[episode.images[camera] for camera in cameras] for episode in self.episodes]
        views_in_order = [(views or {}).get(camera) for camera in cameras]
        self.frames = Frames(sources, image_size, cache, views_in_order)
        self.lengths = np.array([len(episode) for episode in self.episodes])
        self.places = start_places(self.episodes)
        self.ends = self.lengths.copy()  # of what each episode's actions teach
        self._starts: dict[int, list[np.ndarray]] = {}  # by history

    def silence(self, folders: Collection[Path]) -> None:
        """Let the actions of these folders teach nothing: they count as padding. EpisodeError if episodes do
        not tell where their objects are either.
        """
        for index, path in enumerate(self.paths):
            if path.parent.resolve() in folders:
                self.ends[index] = 0
                if not np.isfinite(self.places[index]).all() or not self.places.shape[1]:
                    raise EpisodeError(
                        f"{path} does not tell where its objects are, so with --places_only it teaches "
                        "nothing; edit_episodes.py places finds them"
                    )

    def starts(self, history: int) -> list[np.ndarray]:
        """Of each episode, the steps (N,) at which a sample of so many observations may begin, as they have
        one look. EpisodeError if no look lasts that long.
        """
        if history not in self._starts:
            pairs = zip(self.episodes, self.paths, strict=True)
            self._starts[history] = [starts_in_one_look(episode, history, path) for episode, path in pairs]
        return self._starts[history]

    def describe(self, samples: Sequence[Sample]) -> list[str]:
        """Samples (episode, step) as the user knows them: file and step."""
        return [f"{self.paths[index]}, step {step}" for index, step in samples]

    def taught(self, index: int, step: int, chunk_size: int) -> int:
        """How many actions of an episode's chunk from a step on teach."""
        return min(chunk_size, max(0, int(self.ends[index]) - step))

    def chunks(self, samples: Sequence[Sample], chunk_size: int) -> tuple[Tensor, Tensor]:
        """Actions (B, chunk, A) from each sample (episode, step) on, and is_pad (B, chunk): True past the end
        of the episode, and where its actions teach nothing; there they are 0.
        """
        actions, pads = [], []
        for index, step in samples:
            chunk = self.actions[index][step : step + self.taught(index, step, chunk_size)]
            actions.append(np.pad(chunk, ((0, chunk_size - len(chunk)), (0, 0))))
            pads.append(np.arange(chunk_size) >= len(chunk))
        return torch.from_numpy(np.stack(actions)), torch.from_numpy(np.stack(pads))

    def batch(
        self,
        samples: Sequence[Sample],
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
            pin: use memory that a GPU can copy from in the background.
            history: number of observations, up to the sample's step; the episode's first stands for those
                before it. With more than one, qpos is (B, history, D) and images likewise, oldest first.

        Returns:
            qpos (B, D), images (B, cameras, H, W, 3) uint8, actions (B, chunk, A), is_pad (B, chunk), True
            past the end of the episode, places (B, P), where the objects are (NaN: not known, or they may
            have been moved), and valid_steps (), the divisor of a sum over the chunks' steps: as given, or
            the number in this batch that are no padding.
        """
        qpos, images = [], []
        for index, step in samples:
            past = [max(0, step - back) for back in reversed(range(history))]
            frames = [self.frames(index, t) for t in past]
            qpos.append(self.qpos[index][past if history > 1 else step])
            images.append(np.stack(frames) if history > 1 else frames[0])
        batch = {name: _stacked(rows, pin) for name, rows in (("qpos", qpos), ("images", images))}
        batch["actions"], batch["is_pad"] = self.chunks(samples, chunk_size)
        may_have_moved = [step >= STILL * self.lengths[index] for index, step in samples]
        places = self.places[[index for index, _ in samples]]  # a copy
        places[may_have_moved] = np.nan
        batch["places"] = torch.from_numpy(places)
        valid = (~batch["is_pad"]).sum() if valid_steps is None else valid_steps
        batch["valid_steps"] = torch.as_tensor(valid, dtype=torch.float32).clamp_min(1)
        return {name: tensor.pin_memory() for name, tensor in batch.items()} if pin else batch


def start_places(episodes: Sequence[Episode]) -> np.ndarray:
    """(N, P) float32: where each episode's objects were at its start (`Episode.env_state`), NaN where that is
    not known; P is 0 if it is known of none, or the episodes have other objects.
    """
    known = [episode.env_state for episode in episodes if episode.env_state is not None]
    widths = {len(state) for state in known}
    width = widths.pop() if len(widths) == 1 else 0
    places = np.full((len(episodes), width), np.nan, np.float32)
    for row, episode in zip(places, episodes, strict=True):
        if width and episode.env_state is not None:
            row[:] = episode.env_state
    return places


def _stacked(rows: Sequence[np.ndarray], pin: bool) -> Tensor:
    """Rows as one tensor; in memory that a GPU can copy from, if it is to be, without another copy."""
    shape, kind = (len(rows), *rows[0].shape), torch.from_numpy(np.empty(0, rows[0].dtype)).dtype
    stacked = torch.empty(shape, dtype=kind, pin_memory=pin)
    np.stack(rows, out=stacked.numpy())
    return stacked


def hold_last(actions: Tensor, is_pad: Tensor) -> Tensor:
    """Chunks (B, chunk, A) with the padding (B, chunk) replaced by the last action before it."""
    steps = torch.arange(actions.shape[1], device=actions.device)
    last = ((~is_pad).sum(dim=1, keepdim=True) - 1).clamp_min(0)  # (B, 1)
    return actions.take_along_dim(torch.minimum(steps, last)[..., None], dim=1)


def check_alike(*datasets: Demonstrations) -> None:
    """EpisodeError for the first episode whose dimensions differ from the first's, or its rendering or looks
    from those of its folder's first.
    """
    paths = [path for data in datasets for path in data.paths]
    for name, arrays in (
        ("qpos", [array for data in datasets for array in data.qpos]),
        ("action (with base_action)", [array for data in datasets for array in data.actions]),
    ):
        check_widths(name, paths, [array.shape[1] for array in arrays])
    firsts: dict[Path, tuple[Path, str]] = {}
    kinds = [_kind(episode) for data in datasets for episode in data.episodes]
    for path, kind in zip(paths, kinds, strict=True):
        first, expected = firsts.setdefault(path.parent, (path, kind))
        if kind != expected:
            raise EpisodeError(f"{path}: {kind}, but {first} {expected}; one folder must hold one kind")


def _kind(episode: Episode) -> str:
    """How an episode was rendered, in words."""
    looks = f", {episode.looks} looks" if episode.looks != "mild" else ""
    hold = f", a new look every {episode.looks_hold} steps" if episode.looks_hold else ""
    return f"rendered {episode.render_quality!r}{looks}{hold}"


# --- batches


@dataclass(frozen=True)
class Loader:
    """Batches of training steps, built ahead by threads: decoding and copying release Python's lock."""

    data: Demonstrations
    sampler: StartSampler
    shares: Shares
    chunk_size: int  # this and the next two as for `Demonstrations.batch`
    history: int = 1
    pin: bool = False
    num_workers: int = LOADER_THREADS

    def samples(self, step: int) -> list[Sample]:
        """The samples of all batches and processes in a step."""
        starts = self.data.starts(self.history)
        drawn = self.sampler.draw(step * self.shares.samples, self.shares.samples)
        return [(index, int(starts[index][number])) for index, number in drawn]

    def describe(self, step: int) -> list[str]:
        """The samples of a step as the user knows them."""
        return self.data.describe(self.samples(step))

    def batches(self, steps: range) -> Iterator[Batch]:
        """This process's batches, `accumulate` for each of the steps."""
        todo = self._samples_of_batches(steps)
        queue: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(self.num_workers) as pool:
            try:
                while True:
                    for samples, valid in islice(todo, 1 + max(PREFETCH, self.num_workers) - len(queue)):
                        arguments = samples, self.chunk_size, valid, self.pin, self.history
                        queue.append(pool.submit(self.data.batch, *arguments))
                    if not queue:
                        return
                    yield queue.popleft().result()
            finally:  # the consumer has stopped
                for future in queue:
                    future.cancel()

    def _samples_of_batches(self, steps: range) -> Iterator[tuple[list[Sample], float]]:
        """The samples of each batch, and its number of valid actions, averaged over the step's batches."""
        for step in steps:
            drawn = self.samples(step)
            valid = sum(self.data.taught(index, start, self.chunk_size) for index, start in drawn)
            for first in self.shares.parts():
                samples = drawn[first : first + self.shares.batch_size]
                yield samples, float(valid) * self.shares.batch_size / self.shares.samples


def phase_batches(
    data: Demonstrations,
    samples: int,
    batch_size: int,
    chunk_size: int,
    key: Sequence[int],
    history: int = 1,
) -> dict[str, list[Batch]]:
    """Batches of starts from each phase of the episodes, `samples` for each phase; `key` seeds the draw.

    The phases differ in what shows where things are: at the start only the picture, later the arm's own pose
    too.
    """
    by_phase, starts = {}, data.starts(history)
    for number, (phase, (low, high)) in enumerate(PHASES.items()):
        rng = np.random.default_rng([*key, number])
        episodes = rng.integers(0, len(data.lengths), samples)
        shares = rng.uniform(low, high, samples)
        pairs = zip(episodes, shares, strict=True)
        drawn = [(int(i), int(starts[i][int(share * len(starts[i]))])) for i, share in pairs]
        by_phase[phase] = [
            data.batch(drawn[first : first + batch_size], chunk_size, history=history)
            for first in range(0, samples, batch_size)
        ]
    return by_phase
