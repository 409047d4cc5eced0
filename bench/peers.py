"""A training step and a chunk of actions: ours against LeRobot's ACT, at ACT's size.

Batch 8 for a step and 1 for a chunk, one camera, width 512, 4 encoder layers, chunk 100, ResNet-18 with
frozen batch norm. LeRobot runs as it does by default, in float32, and at its best, under bf16 autocast and
with freed memory kept. Ours is trained and run as the scripts do. LeRobot needs an environment of its own:

    python3.12 -m venv lerobot && lerobot/bin/pip install lerobot==0.6.1 torch==2.11.0
    python3 bench/peers.py --lerobot lerobot/bin/python

Without one, ours runs alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

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
    timed,
)

OURS, FLOAT32, BF16 = "ours", "LeRobot, float32 (its default)", "LeRobot, bf16 (its best)"
DIM = 14  # of state and action
# what `common.keep_freed_memory` sets, for a process that cannot import it (glibc: mallopt)
KEPT = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(2**28),
}
Calls = tuple[Callable[[], object], Callable[[], object]]  # a training step, a chunk


@dataclass(frozen=True)
class Sizes:
    """What is measured; the defaults are ACT's."""

    images: tuple[tuple[int, int], ...] = ((480, 640), (240, 320))
    batch: int = 8
    chunks: int = 9  # a round
    hidden_dim: int = 512
    dim_feedforward: int = 3200
    nheads: int = 8
    enc_layers: int = 4
    chunk_size: int = 100

    @property
    def network(self) -> dict[str, int]:
        """Sizes of the network, by our names."""
        names = ("chunk_size", "hidden_dim", "dim_feedforward", "nheads", "enc_layers")
        return {name: getattr(self, name) for name in names}


QUICK = Sizes(((48, 64),), 2, 1, hidden_dim=32, dim_feedforward=64, nheads=4, enc_layers=1, chunk_size=10)


def ours(image: tuple[int, int], sizes: Sizes) -> Calls:
    """Ours: a step of `Run.update`, and a chunk as an evaluation has it, from a checkpoint."""
    import numpy as np
    from training_step import StepSize, make_batch, make_run

    from evaluation import ChunkedExecution, open_actor
    from policy import save_policy

    size = StepSize(batch=sizes.batch, image=image, **sizes.network)
    run, batch = make_run(size), make_batch(size)
    with tempfile.TemporaryDirectory() as folder:
        save_policy(Path(folder) / "policy.ckpt", run.policy)
        actor = open_actor(Path(folder) / "policy.ckpt")
    execution = ChunkedExecution(actor, query_every=1)
    frame = np.random.default_rng(0).integers(0, 256, (*image, 3), np.uint8)
    seen = {"qpos": np.zeros(DIM), "images": dict.fromkeys(actor.interface.cameras, frame)}
    return lambda: run.update([batch]), lambda: execution(seen)


def theirs(image: tuple[int, int], sizes: Sizes, amp: bool) -> Calls:
    """LeRobot's; its step and its chunk have a policy each, as ours have."""
    from _lerobot import LeRobotACT

    trained, acting = (LeRobotACT(DIM, sizes.batch, image, sizes.network, amp) for _ in range(2))
    return trained.step(), acting.chunk()


@contextmanager
def contend(name: str, sizes: Sizes) -> Iterator[Job]:
    """Be the contender `name`: at each size of the image one step, and a few chunks."""
    if name == OURS:
        from common import keep_freed_memory

        keep_freed_memory()
        calls = {image: ours(image, sizes) for image in sizes.images}
    else:
        calls = {image: theirs(image, sizes, name == BF16) for image in sizes.images}
    for step, chunk in calls.values():
        step()
        chunk()

    def job(folder: Path) -> dict[str, float]:
        counted = {}
        for image, (step, chunk) in calls.items():
            counted[step_row(image)] = timed(step)
            chunk()  # what a step leaves in the caches is not its fault
            counted[chunk_row(image)] = median(timed(chunk) for _ in range(sizes.chunks))
        return counted

    yield job


def step_row(image: tuple[int, int]) -> str:
    return f"a training step, {image[0]}x{image[1]}"


def chunk_row(image: tuple[int, int]) -> str:
    return f"a chunk, {image[0]}x{image[1]}"


def start(lerobot: str | None) -> Mapping[str, Contender]:
    """All contenders, each in its interpreter."""
    contenders = {}
    if lerobot is not None:
        contenders[FLOAT32] = Contender(FLOAT32, python=lerobot)
        contenders[BF16] = Contender(BF16, KEPT if os.name == "posix" else None, python=lerobot)
    return {**contenders, OURS: Contender(OURS)}


def compare(args: argparse.Namespace, sizes: Sizes) -> None:
    """Measure all contenders and print the table."""
    facts = machine()
    with ready(start(args.lerobot)) as runs:
        results = alternate(runs, args.repeats)
    times = {name: medians(result) for name, result in results.items()}
    rows = []
    for image in sizes.images:
        for row, unit, many in ((step_row(image), "s", 1), (chunk_row(image), "ms", 1000)):
            cells = [
                f"{many * one[row]:.{2 if many == 1 else 1}f} {unit} ({one[row] / times[OURS][row]:.2f}x)"
                for one in times.values()
            ]
            rows.append((row, *cells))
    title = (
        f"ACT's training step (batch {sizes.batch}) and chunk (batch 1), one camera; times ours in brackets"
    )
    report(title, facts, ("", *times), rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument(
        "--lerobot",
        metavar="PYTHON",
        help="the interpreter of an environment that has LeRobot; to make one: python3.12 -m venv lerobot && "
        "lerobot/bin/pip install lerobot==0.6.1 torch==2.11.0",
    )
    args = parse(parser)
    if args.lerobot is not None and shutil.which(args.lerobot) is None:
        parser.error(f"--lerobot is {args.lerobot}; there is no such interpreter")
    sizes = QUICK if args.quick else Sizes()
    if args.contender:
        serve(contend(args.contender, sizes))
    else:
        compare(args, sizes)


if __name__ == "__main__":
    main()
