"""The loader on 50 episodes of three cameras at 480x640: memory, frames a second, and what a step waits for.

Wanted: at most 2 GB with `--cache jpeg`, under 0.5 GB with `none`; with two workers and a step of 100 ms or
more, waiting for data under 10 % of the step from JPEG, under 5 % from decoded frames. The step is an idle
wait, as while a GPU computes. Memory is the growth of the process; frames a second are those of one thread.
Decoded frames are measured after they are decoded, and only those that the measurement draws.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import cv2
import psutil
from _harness import (
    TASK,
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
from recording import ours

from constants import get_task
from episodes import Shares, StartSampler, episode_path, list_episodes
from tasks import Task

CAMERAS = ("top", "left_wrist", "right_wrist")
CACHES = ("none", "jpeg", "decoded")
RENDERED = 2  # episodes; the others are copies
CHUNK = 100  # actions a sample
FOLDER = "ACT_BENCH_EPISODES"  # environment variable: where the contenders find the episodes


def make_episodes(task: Task, count: int, folder: Path) -> None:
    """Record a few episodes and copy them, so that there are `count` files."""
    with (
        open(os.devnull, "w") as silence,
        redirect_stdout(silence),
        ours(task, 1, "fast", RENDERED, CAMERAS) as record,
    ):
        record(folder)
    for i, rendered in zip(range(RENDERED, count), cycle(range(RENDERED))):
        shutil.copyfile(episode_path(folder, rendered), episode_path(folder, i))


def resident() -> int:
    """Bytes of memory that this process occupies."""
    return psutil.Process().memory_info().rss


@contextmanager
def contend(cache: str, args: argparse.Namespace) -> Iterator[Job]:
    """Be the contender: load all episodes, then draw from them."""
    from utils import Demonstrations, Loader

    cv2.setNumThreads(1)
    paths = list_episodes(os.environ[FOLDER])
    before = resident()
    data = Demonstrations(paths, CAMERAS, tuple(args.image_size), cache)
    sampler = StartSampler(data.lengths, [0, 0])
    drawn = sampler.draw(0, args.steps * args.batch_size)

    def rate(scaled_decoding: bool) -> float:
        """Frames a second."""
        data.frames.scaled_decoding = scaled_decoding
        began = time.perf_counter()
        for sample in drawn:
            data.frames(*sample).copy()  # as a batch does
        return len(drawn) * len(CAMERAS) / (time.perf_counter() - began)

    def wait_share() -> float:
        """Share of the time that goes to waiting for a batch."""
        waits = []
        loader = Loader(data, sampler, Shares(args.batch_size), CHUNK, num_workers=args.workers)
        source = loader.batches(range(args.steps))
        while True:
            began = time.perf_counter()
            if next(source, None) is None:
                break
            waits.append(time.perf_counter() - began)
            time.sleep(args.step_ms / 1000)
        waited = sum(waits[1:])  # nothing hides the wait for the first batch of a run
        return waited / (waited + len(waits[1:]) * args.step_ms / 1000)

    def job(folder: Path) -> dict[str, float]:
        scaled, full = rate(True), rate(False)
        data.frames.scaled_decoding = True
        waited = wait_share()
        grown = resident() - before
        return {
            "scaled": scaled,
            "full": full,
            "wait": waited,
            "grown": grown,
            "whole": data.frames.sizes[cache],
        }

    for sample in drawn if cache == "decoded" else ():
        data.frames(*sample)
    yield job


def compare(args: argparse.Namespace, task: Task) -> None:
    """Measure all caches and print the table."""
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        make_episodes(task, args.episodes, Path(folder))
        contenders = {f"--cache {cache}": Contender(cache, {FOLDER: folder}) for cache in args.caches}
        with ready(contenders) as runs:
            results = alternate(runs, args.repeats)
    rows = []
    for name, measured in results.items():
        one = medians(measured)
        rates = (f"{one[key]:.0f}" for key in ("scaled", "full"))
        rows.append(
            (name, f"{one['grown'] / 1e9:.2f}", f"{one['whole'] / 1e9:.2f}", *rates, f"{one['wait']:.1%}")
        )
    height, width = args.image_size
    title = (
        f"Loader: {args.episodes} episodes, {task.episode_len} steps, {len(CAMERAS)} cameras, 480x640 -> "
        f"{height}x{width}; batch {args.batch_size}, {args.workers} workers, a step of {args.step_ms:g} ms"
    )
    header = ("frames", "memory, GB", "when all are held", "frames/s", "without scaled decoding", "data wait")
    report(title, facts, header, rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--episodes", type=int, default=50, help="episodes of the dataset")
    parser.add_argument(
        "--image_size", type=int, nargs=2, default=[240, 320], help="height and width (pixels)"
    )
    parser.add_argument("--caches", nargs="+", default=CACHES, choices=CACHES, help="those to measure")
    parser.add_argument("--batch_size", type=int, default=8, help="samples a step")
    parser.add_argument("--step_ms", type=float, default=100.0, help="length of a training step (ms)")
    parser.add_argument("--steps", type=int, default=50, help="steps of a measurement")
    parser.add_argument("--workers", type=int, default=2, help="threads that build batches")
    args, task = parse(parser), get_task(TASK)
    if args.quick:
        args.episodes, args.steps, args.step_ms, task = 3, 3, 5.0, replace(task, episode_len=20)
    if args.contender:
        serve(contend(args.contender, args))
    else:
        compare(args, task)


if __name__ == "__main__":
    main()
