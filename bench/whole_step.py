"""Whole training steps of ACT, data included: ours against ACT's own arrangement.

ACT's way: seven decoder layers, float32, a DataLoader with one worker, which opens the episode's raw HDF5
file for each sample and divides by 255 on the CPU (ACT: utils.py, EpisodicDataset). Ours: the same episodes
as JPEG, read, cached and batched as `imitate_episodes.py` does. Batch 8, one camera.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import torch
from _harness import (
    Contender,
    Job,
    alternate,
    machine,
    make_parser,
    medians,
    parse,
    ready,
    report,
    serve,
)
from _published import PublishedACT
from torch.utils.data import DataLoader, Dataset
from training_step import QUICK, STATE_DIM, StepSize, make_run, plain_adamw

from common import keep_freed_memory
from episodes import Episode, JpegFrames, Shares, StartSampler, episode_path, list_episodes
from utils import Demonstrations, Loader

CAMERA = "0"  # as training_step names it
ACTS_WAY, JPEG, FILES = "ACT's way", "ours, frames decoded once", "ours, frames read and decoded each time"
FOLDER = "ACT_BENCH_EPISODES"  # environment variable: where the contenders find the episodes
STEPS = 400  # of an episode


def make_episodes(folder: Path, size: StepSize, n: int, steps: int) -> None:
    """The same episodes raw and as JPEG: a square that wanders over a textured ground."""
    rng = np.random.default_rng(0)
    ground = np.repeat(
        np.repeat(rng.integers(60, 120, (size.image[0] // 8, size.image[1] // 8, 3)), 8, 0), 8, 1
    )
    for number in range(n):
        frames = np.broadcast_to(ground.astype(np.uint8), (steps, *ground.shape)).copy()
        for step, x in enumerate(rng.integers(0, size.image[1] - 16, steps)):
            frames[step, 20:36, x : x + 16] = (255, 40, 40)
        numbers = rng.normal(size=(steps, STATE_DIM)).astype(np.float32)
        kept = JpegFrames()
        for frame in frames:
            kept.append(frame)
        for kind, images in (("raw", frames), ("jpeg", kept)):
            episode = Episode(qpos=numbers, action=numbers, images={CAMERA: images})
            episode.save(episode_path(folder / kind, number))


class ActsDataset(Dataset):
    """A random start of each episode, as ACT reads it."""

    def __init__(self, paths: list[Path], steps: int) -> None:
        self._paths, self._steps = paths, steps

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        with h5py.File(self._paths[index]) as root:
            start = np.random.default_rng().integers(self._steps)
            qpos = root["/observations/qpos"][start]
            image = root[f"/observations/images/{CAMERA}"][start]
            action = root["/action"][start:]
        padded = np.zeros((self._steps, STATE_DIM), np.float32)  # ACT pads to the whole episode
        padded[: len(action)] = action
        is_pad = np.arange(self._steps) >= len(action)
        return {
            "qpos": torch.from_numpy(qpos).float(),
            "images": torch.einsum("h w c -> c h w", torch.from_numpy(image))[None] / 255.0,
            "actions": torch.from_numpy(padded).float(),
            "is_pad": torch.from_numpy(is_pad),
        }


def acts_batches(size: StepSize, paths: list[Path], steps: int) -> Iterator[dict[str, torch.Tensor]]:
    """Epoch after epoch, with ACT's settings; chunks are cut by the training loop, as there."""
    dataset = ActsDataset(paths, steps)
    loader = DataLoader(
        dataset,
        size.batch,
        shuffle=True,
        num_workers=1,
        prefetch_factor=1,
        pin_memory=torch.cuda.is_available(),
    )
    while True:
        for batch in loader:
            for name in ("actions", "is_pad"):
                batch[name] = batch[name][:, : size.chunk_size]
            yield batch


def acts_steps(size: StepSize, paths: list[Path], steps: int) -> Iterator[None]:
    """Trains a step whenever the next one is asked for."""
    network = PublishedACT(STATE_DIM, **size.network).train()
    optimiser = plain_adamw(network.parameters())
    for batch in acts_batches(size, paths, steps):
        optimiser.zero_grad()
        network.loss(batch).backward()
        optimiser.step()
        yield


def our_steps(size: StepSize, paths: list[Path], cache: str) -> Iterator[None]:
    """Trains a step whenever the next one is asked for."""
    keep_freed_memory()
    run = make_run(size)
    data = Demonstrations(paths, (CAMERA,), size.image, cache)
    sampler = StartSampler(data.lengths, [0, 0])
    loader = Loader(data, sampler, Shares(size.batch), size.chunk_size)
    with closing(loader.batches(range(10**9))) as source:
        for batch in source:
            run.update([batch])
            yield


@contextmanager
def contend(name: str, size: StepSize, args: argparse.Namespace) -> Iterator[Job]:
    """Be the contender `name`, warmed up."""
    folder = Path(os.environ[FOLDER])
    paths = list_episodes(folder / ("raw" if name == ACTS_WAY else "jpeg"))
    if name == ACTS_WAY:
        steps = acts_steps(size, paths, args.episode_len)
    else:
        steps = our_steps(size, paths, "decoded" if name == JPEG else "none")
    for _ in range(2):
        next(steps)

    def job(folder: Path) -> dict[str, float]:
        for _ in range(args.steps):
            next(steps)
        return {}

    with closing(steps):
        yield job


def compare(args: argparse.Namespace, size: StepSize) -> None:
    """Measure all ways and print the table."""
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        make_episodes(Path(folder), size, args.episodes, args.episode_len)
        names = (ACTS_WAY, FILES, JPEG)
        with ready({name: Contender(name, {FOLDER: folder}) for name in names}) as runs:
            results = alternate(runs, args.repeats)
    seconds = {name: medians(result)["seconds"] / args.steps for name, result in results.items()}
    rows = [(name, f"{s:.3f}", f"{seconds[ACTS_WAY] / s:.2f}x") for name, s in seconds.items()]
    title = f"Whole training steps of ACT: batch {size.batch}, {size.image[0]}x{size.image[1]}, one camera"
    report(title, f"{facts}, {torch.get_num_threads()} threads", ("way", "s/step", "faster"), rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--image_size", type=int, nargs=2, default=(240, 320), help="height, width (pixels)")
    parser.add_argument("--episodes", type=int, default=40, help="episodes of the dataset")
    parser.add_argument("--episode_len", type=int, default=STEPS, help="steps of each")
    parser.add_argument(
        "--steps",
        type=int,
        default=5,
        help="steps of a measurement; ACT starts its worker anew after all episodes",
    )
    args = parse(parser)
    size = StepSize(image=tuple(args.image_size))
    if args.quick:
        args.episodes, args.episode_len, size = 4, 30, replace(QUICK, image=(48, 64))
    torch.manual_seed(0)
    if args.contender:
        serve(contend(args.contender, size, args))
    else:
        compare(args, size)


if __name__ == "__main__":
    main()
