"""What growth.py measures: jobs of a size, and made-up episodes to do them on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from _harness import TASK
from recording import ours as recorder
from rollouts import small_policy

from common import Workers, join_world, keep_freed_memory
from constants import get_task
from dataset_tools import InfoFlags, info
from episodes import Episode, JpegFrames, Shares, StartSampler, episode_path, list_episodes
from evaluation import EvalConfig, EvalJob, evaluate
from policy import save_policy
from tasks import Task
from training import Run, TrainConfig, TrainingRunConfig, load_data
from utils import Loader
from viewers import write_viewer

CAMERAS = ("top", "left_wrist", "right_wrist", "angle")
BATCH, STEPS = 8, 5  # of training
DIFFERENT = 4  # made-up episodes; the others are copies
Job = Callable[[Path], float | None]  # writes to a new folder; returns what its seconds are shared by, if any


@dataclass(frozen=True)
class Size:
    """Of a job. The policy sees frames of half their height and width."""

    episodes: int = 50
    cameras: int = 1
    processes: int = 1
    chunk: int = 100
    height: int = 240  # of the recorded frames (pixels); the width is a third more
    steps: int = 50  # of an episode

    @property
    def names(self) -> tuple[str, ...]:
        """Of the cameras."""
        return CAMERAS[: self.cameras]

    @property
    def seen(self) -> tuple[int, int]:
        """Height and width (pixels) that the policy sees."""
        return self.height // 2, self.height * 2 // 3

    def task(self) -> Task:
        """The task that is simulated."""
        return replace(get_task(TASK), cameras=self.names, episode_len=self.steps)

    def folder(self, data: Path) -> Path:
        """Of the episodes; made if it is missing."""
        folder = data / f"{self.episodes}_{self.cameras}_{self.height}_{self.steps}"
        if not episode_path(folder, self.episodes - 1).is_file():
            make_episodes(folder, self)
        return folder


def make_episodes(folder: Path, size: Size) -> None:
    """A few episodes of a square that wanders over a ground, as if recorded here, and copies of them."""
    rng = np.random.default_rng(0)
    shape = (size.height, size.height * 4 // 3)
    tiles = rng.integers(60, 120, (shape[0] // 8, shape[1] // 8, 3), np.uint8)
    ground = tiles.repeat(8, axis=0).repeat(8, axis=1)
    for number in range(min(DIFFERENT, size.episodes)):
        images = {name: JpegFrames() for name in size.names}
        for frames in images.values():
            for x in rng.integers(0, shape[1] - 16, size.steps):
                picture = ground.copy()
                picture[20:36, x : x + 16] = (255, 40, 40)
                frames.append(picture)
        qpos = rng.normal(size=(size.steps, size.task().dim)).cumsum(axis=0).astype(np.float32)
        facts = {"task": TASK, "seed": 0, "render_quality": "fast", "success": True}
        episode = Episode(qpos=qpos, action=qpos, images=images, **facts)
        episode.save(episode_path(folder, number), overwrite=True)
    for number, copied in zip(range(DIFFERENT, size.episodes), cycle(range(DIFFERENT))):
        shutil.copyfile(episode_path(folder, copied), episode_path(folder, number))


def flags(size: Size, data: Path) -> TrainingRunConfig:
    """A run's, on the made-up episodes."""
    places = {"ckpt_dir": "unused", "dataset_dir": (str(size.folder(data)),)}
    return TrainingRunConfig(task_name=TASK, image_size=size.seen, camera_names=size.names, **places)


@contextmanager
def record(size: Size, data: Path) -> Iterator[Job]:
    """Two episodes more for each process, in a folder that holds `episodes`."""
    more = 2 * size.processes

    with recorder(size.task(), size.processes, "fast", 2, size.names) as record_to:

        def job(folder: Path) -> float:
            for path in list_episodes(size.folder(data)):
                (folder / path.name).hardlink_to(path)
            record_to(folder, episodes=size.episodes + more)
            return more

        yield job


@contextmanager
def recorded(size: Size, data: Path) -> Iterator[Job]:
    """The command that records what is there already."""
    with recorder(size.task(), 1, "fast", 2, size.names) as record_to:
        yield lambda _: record_to(size.folder(data), episodes=size.episodes) and None


@contextmanager
def load(size: Size, data: Path) -> Iterator[Job]:
    """All that comes before the first batch of training, and that batch."""
    config = flags(size, data)

    def job(_: Path) -> None:
        (size.folder(data) / "dataset_stats.json").unlink(missing_ok=True)
        loaded = load_data(config, TASK, size.names, 0)
        sampler = StartSampler(loaded.train.lengths, [0, 0])
        with closing(Loader(loaded.train, sampler, Shares(BATCH), size.chunk).batches(range(1))) as source:
            next(source)

    yield job


@contextmanager
def step(size: Size, data: Path) -> Iterator[Job]:
    """Training steps, with their data; a batch for each process."""
    keep_freed_memory()
    with join_world(torch.device("cpu")) as world:
        loaded = load_data(flags(size, data), TASK, size.names, 0)
        policy = small_policy(size.task(), size.seen, size.chunk).train()
        run = Run(policy, TrainConfig(batch_size=BATCH), total=1000, world=world)
        sampler, shares = StartSampler(loaded.train.lengths, [0, 0]), Shares(BATCH, 1, world.rank, world.size)
        with closing(Loader(loaded.train, sampler, shares, size.chunk).batches(range(1000))) as source:

            def job(_: Path) -> float:
                for _ in range(STEPS):
                    run.update([next(source)])
                return STEPS

            job(data)  # to warm up
            yield job


@contextmanager
def roll_out(size: Size, data: Path) -> Iterator[Job]:
    """An evaluation of `episodes` rollouts; the start of its processes counts."""
    task = size.task()
    policy = small_policy(task, size.seen, size.chunk)

    def job(folder: Path) -> None:
        checkpoint = folder / "policy_best.ckpt"
        save_policy(checkpoint, policy)
        evaluation = EvalJob(checkpoint, task, EvalConfig(num_videos="0"), folder)
        evaluate(evaluation, range(size.episodes), Workers(num_workers=size.processes))

    yield job


@contextmanager
def page(size: Size, data: Path) -> Iterator[Job]:
    """The page of a dataset and its videos."""
    yield (
        lambda folder: (
            write_viewer(list_episodes(size.folder(data)), folder, Workers(num_workers=size.processes))
            and None
        )
    )


@contextmanager
def page_again(size: Size, data: Path) -> Iterator[Job]:
    """The page, where all videos are there."""

    def job(folder: Path) -> None:
        paths = list_episodes(size.folder(data))
        for path in paths:
            (folder / f"{path.stem}_{CAMERAS[0]}.mp4").touch()
        write_viewer(paths, folder, Workers(num_workers=size.processes))

    yield job


@contextmanager
def tell(size: Size, data: Path) -> Iterator[Job]:
    """`edit_episodes.py info`."""
    yield lambda _: info(InfoFlags(str(size.folder(data))))


JOBS: dict[str, Callable[[Size, Path], AbstractContextManager[Job]]] = {
    "recording an episode more": record,
    "recording what is there": recorded,
    "loading, to the first batch": load,
    "a training step": step,
    "evaluation": roll_out,
    "page of the dataset": page,
    "the page again": page_again,
    "info": tell,
}
