"""What each random change of the images (`--augment`) costs: ms a batch, and its share of a training step.

One camera: presets/small.json (batch 32, 120x160), and ACT's published size (batch 8, 480x640). The step and
the changes take turns within one process. Each call of a change draws anew which samples it changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

import torch
from _gpu.building import FROZEN, Preset, batch_of, full_size
from _harness import alternate, machine, make_parser, parse, report, timed
from training_step import STATE_DIM

from common import keep_freed_memory
from policies import CHANGES, GROUPS, Augmentation, Policy
from training import Run, TrainConfig

STEP = "a training step"


def contenders(policy: Policy, samples: int) -> Mapping[str, Callable[[], float]]:
    """The step, each change, and each group, by name; each returns seconds."""
    run = Run(policy.train(), TrainConfig(batch_size=samples, compile=False), 100_000)
    batch = batch_of(policy, samples)
    names = {name: (name,) for name in CHANGES}
    names |= {f"{name} (all from {of[0]} on)": of for name, of in GROUPS.items()}
    changes = {
        name: Augmentation(of, torch.zeros(STATE_DIM), torch.ones(STATE_DIM)) for name, of in names.items()
    }
    calls = {STEP: lambda: run.update([batch])}
    calls |= {name: partial(change.images, batch["images"]) for name, change in changes.items()}
    for call in calls.values():
        call()
    return {name: partial(timed, call) for name, call in calls.items()}


def compare(args: argparse.Namespace) -> None:
    """Measure both sizes and print the table."""
    facts = machine()
    keep_freed_memory()
    small = Preset.read("small", args.quick)
    samples = 2 if args.quick else 8
    sizes = {
        "small, batch 32": contenders(small.build(), small.training["batch_size"]),
        f"ACT, batch {samples}": contenders(full_size(args.quick, **FROZEN), samples),
    }
    columns: list[list[str]] = []
    for size, calls in sizes.items():
        results = alternate(calls, args.repeats if size.startswith("small") else max(1, args.repeats // 6))
        seconds = [median(values) for values in results.values()]  # the first is the step's
        columns.append([f"{1e3 * s:.1f}" for s in seconds])
        columns.append([f"{s / seconds[0]:.1%}" for s in seconds])
    rows = list(zip(next(iter(sizes.values())), *columns, strict=True))
    header = ("change", *(word for size in sizes for word in (f"{size}: ms", "of a step")))
    report(
        "Random changes of the images in training",
        f"{facts}, {torch.get_num_threads()} threads",
        header,
        rows,
    )


def main() -> None:
    parser = make_parser(__doc__, repeats=60)
    parser.add_argument("--threads", type=int, help="threads that compute; torch's choice if not given")
    args = parse(parser)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    compare(args)


if __name__ == "__main__":
    main()
