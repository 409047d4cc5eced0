"""Where one chunk follows another: steps and accelerations of the actions there, with and without a join.

Rows are how many actions of each chunk are executed. The same policy runs from the same starts with each
`--join`, in turn. Steps and accelerations are those of the joint that moves most, on average at the borders
of chunks, as a multiple of those elsewhere. The interval of the difference of the success rates is
Newcombe's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from _harness import TASK, machine, make_parser, parse, report

from actors import Interface
from common import Workers
from constants import get_task
from episodes import Stats
from evaluation import JOINS, EvalConfig, EvalJob, Summary, difference_interval, evaluate
from policies import LAST, POLICIES
from policy import make_policy, save_policy

COUNTS = (10, 20, 50, 100)  # actions
QUICK_COUNTS = (10, 100)
QUICK_IMAGE = (48, 64)  # pixels


def header(ways: Sequence[str]) -> tuple[str, ...]:
    """Of the table."""
    return (
        "actions of each chunk",
        *(f"success, {way}" for way in ways),
        f"{ways[0]} less {ways[-1]} (95 %)",
        *(f"step at borders / elsewhere, {way}" for way in ways),
        *(f"acceleration at borders / elsewhere, {way}" for way in ways),
    )


@contextmanager
def checkpoint_of(args: argparse.Namespace) -> Iterator[Path]:
    """The policy of `--ckpt_dir`; a small one that was never trained if there is none."""
    if args.ckpt_dir is not None:
        yield args.ckpt_dir / args.ckpt_name
        return
    dim = get_task(args.task_name).dim
    mean, std = torch.zeros(dim), 0.01 * torch.ones(dim)
    moments = {"qpos_mean": mean, "qpos_std": std, "action_mean": mean, "action_std": std}
    flags = {"backbone": "keypoints", "hidden_dim": 32, "dim_feedforward": 64, "enc_layers": 1, "nheads": 4}
    config = POLICIES["ACT"].Config(**flags)
    interface = Interface(dim, dim, ("top",), QUICK_IMAGE, task=args.task_name)
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        path = Path(folder) / LAST
        save_policy(path, make_policy("ACT", config, interface, Stats.completed(moments)), step=0)
        yield path


def ratio(at_borders: float | None, elsewhere: float | None) -> str:
    """One number as a multiple of another."""
    return f"{at_borders / elsewhere:.2f}" if at_borders is not None and elsewhere else "0 (no borders)"


def cells(count: int, results: dict[str, Summary]) -> tuple[str, ...]:
    """A row of the table."""
    summaries = list(results.values())
    first, last = ((each.successes, each.n) for each in (summaries[0], summaries[-1]))
    low, high = difference_interval(first, last)
    difference = first[0] / first[1] - last[0] / last[1]
    return (
        str(count),
        *(f"{summary.successes}/{summary.n}" for summary in summaries),
        f"{100 * difference:.1f} ({100 * low:.1f} to {100 * high:.1f})",
        *(ratio(summary.mean_of("border_change"), summary.mean_of("change")) for summary in summaries),
        *(ratio(summary.mean_of("border_bend"), summary.mean_of("bend")) for summary in summaries),
    )


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--task_name", default=TASK, help="task")
    parser.add_argument("--ckpt_dir", type=Path, help="folder of the checkpoint; --quick needs none")
    parser.add_argument("--ckpt_name", default=LAST, help="checkpoint")
    parser.add_argument("--query_every", type=int, nargs="+", default=list(COUNTS), help="rows of the table")
    parser.add_argument("--rollouts", type=int, default=500, help="starts of each evaluation")
    parser.add_argument("--first_rollout", type=int, default=1000, help="number of the first start")
    parser.add_argument("--join_seconds", type=float, default=EvalConfig.join_seconds, help="of the joins")
    parser.add_argument(
        "--joins", nargs="+", default=["fade", "none"], choices=JOINS, help="ways, the last to compare with"
    )
    parser.add_argument("--num_workers", type=int, help="rollouts at a time; as many as there are cores")
    args = parse(parser)
    if args.ckpt_dir is None and not args.quick:
        parser.error("--ckpt_dir is missing; which policy?")
    counts = QUICK_COUNTS if args.quick else args.query_every
    indices = range(args.first_rollout, args.first_rollout + (1 if args.quick else args.rollouts))
    workers = Workers(num_workers=1 if args.quick else args.num_workers)
    facts, task = machine(), get_task(args.task_name)
    rows = []
    with checkpoint_of(args) as checkpoint:
        for count in counts:
            results = {}
            for way in args.joins:
                seconds = {"join_seconds": args.join_seconds} if way != "none" else {}
                flags = EvalConfig(query_every=count, join=way, **seconds)
                results[way] = evaluate(EvalJob(checkpoint, task, flags), indices, workers)
            rows.append(cells(count, results))
    title = f"{args.task_name}, {len(indices)} starts each; joins fade over {args.join_seconds:g} s"
    report(title, facts, header(args.joins), rows)


if __name__ == "__main__":
    main()
