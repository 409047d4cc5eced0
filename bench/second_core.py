"""A training step of presets/small.json by one thread, two threads, and two processes as under torchrun.

All take the same number of samples a step; two processes take half each. Synthetic data, so that only the
step counts. Wanted: twice the cores, 1.7 times the steps in one way or the other, 1.6 times under torchrun.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from _gpu.building import Preset, batch_of
from _harness import Contender, Job, alternate, machine, make_parser, medians, parse, ready, report, serve

from common import join_world, keep_freed_memory
from training import Run, TrainConfig

ONE = "one thread"
PROCESSES = "two processes"
THREADS = {ONE: 1, "two threads": 2, PROCESSES: 1}


def free_port() -> str:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def start_second() -> subprocess.Popen:
    """Become the first of two processes that train together, as torchrun sets them up; returns the second."""
    os.environ |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    command, quiet = [sys.executable, *sys.argv], subprocess.DEVNULL
    second = subprocess.Popen(command, env=os.environ | ranks[1], stdin=quiet, stderr=quiet)
    os.environ |= ranks[0]
    return second


@contextmanager
def contend(args: argparse.Namespace) -> Iterator[Job]:
    """Be a contender: some warmed-up steps a measurement."""
    second = start_second() if args.contender == PROCESSES and "RANK" not in os.environ else None
    torch.set_num_threads(THREADS[args.contender])
    keep_freed_memory()
    torch.manual_seed(0)
    preset = Preset.read("small", args.quick)
    with join_world(torch.device("cpu")) as world:
        samples = (2 if args.quick else args.batch) // world.size
        training = TrainConfig(**{**preset.training, "batch_size": samples})
        policy = preset.build().train()
        run, batch = Run(policy, training, training.num_steps, world), batch_of(policy, samples)

        def job(folder: Path) -> dict[str, float]:
            for _ in range(args.steps):
                run.update([batch])
            return {}

        job(Path())
        while not world.is_first:  # until it is killed
            job(Path())
        yield job
        if second:
            second.kill()
            second.wait()


def compare(args: argparse.Namespace) -> None:
    """Measure all ways and print the table."""
    facts = machine()
    with ready({name: Contender(name, {"OMP_NUM_THREADS": str(n)}) for name, n in THREADS.items()}) as runs:
        results = alternate(runs, args.repeats)
    seconds = {name: medians(result)["seconds"] / args.steps for name, result in results.items()}
    rows = [
        (name, f"{1000 * s:.0f}", f"{1 / s:.1f}", f"{seconds[ONE] / s:.2f}x") for name, s in seconds.items()
    ]
    title = f"A training step of presets/small.json: {args.batch} samples"
    report(title, facts, ("way", "ms", "steps/s", "ratio"), rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=7)
    parser.add_argument("--batch", type=int, default=32, help="samples of a step; an even number")
    parser.add_argument("--steps", type=int, default=8, help="steps of a measurement")
    args = parse(parser)
    if args.batch < 2 or args.batch % 2:
        parser.error(f"--batch is {args.batch}; it must be even, and at least 2")
    if args.quick:
        args.steps = 1
    if args.contender:
        serve(contend(args))
    else:
        compare(args)


if __name__ == "__main__":
    main()
