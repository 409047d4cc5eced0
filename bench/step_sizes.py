"""A training step of ACT by number of cameras, with a backbone each or one for all, and by chunk size.

Batch 8, ACT's width and depth, one process, on all cores. One size after the other, as memory does not hold
all of them; the first is measured once more in the end, to show how much the machine itself varies.
"""

from __future__ import annotations

import argparse
import gc
from dataclasses import replace
from statistics import median

import torch
from _harness import machine, make_parser, parse, report, timed
from tqdm import tqdm
from training_step import QUICK, StepSize, ours

from common import keep_freed_memory

CHUNKS = (20, 75, 100, 200)
CAMERAS = {
    "1 camera": {"cameras": 1},
    "2 cameras, a backbone each": {"cameras": 2, "shared": False},
    "2 cameras, one backbone": {"cameras": 2},
    "3 cameras, a backbone each": {"cameras": 3, "shared": False},
    "3 cameras, one backbone": {"cameras": 3},
    "1 camera once more": {"cameras": 1},
}


def seconds_per_step(size: StepSize, repeats: int) -> float:
    """Median time of a step, after one to warm up."""
    step = ours(size)
    step()
    seconds = median(timed(step) for _ in range(repeats))
    gc.collect()
    return seconds


def compare(args: argparse.Namespace, base: StepSize) -> None:
    """Measure all sizes and print the table."""
    facts = machine()
    keep_freed_memory()
    rows = []
    with tqdm(total=len(CAMERAS) * len(CHUNKS), unit="size") as progress:
        for name, cameras in CAMERAS.items():
            seconds = []
            for chunk_size in CHUNKS:
                size = replace(base, chunk_size=chunk_size, **cameras)
                seconds.append(seconds_per_step(size, args.repeats))
                progress.update()
            rows.append((name, *(f"{s:.2f}" for s in seconds)))
    height, width = base.image
    title = f"Seconds of a training step of ACT: batch {base.batch}, {height}x{width}"
    header = ("size", *(f"chunk {chunk}" for chunk in CHUNKS))
    report(title, f"{facts}, {torch.get_num_threads()} threads", header, rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--image_size", type=int, nargs=2, default=(240, 320), help="height, width (pixels)")
    args = parse(parser)
    compare(args, QUICK if args.quick else StepSize(image=tuple(args.image_size)))


if __name__ == "__main__":
    main()
