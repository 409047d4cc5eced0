"""Recording transfer episodes: two processes on all cores against one process on one core.

Wanted: twice the cores, at least 1.7 times the episodes; and, with `--cameras top left_wrist right_wrist`, 50
episodes in at most 8 minutes and 1.5 GB on two cores. The machine should have nothing else to do. Set-up is
not counted.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from _harness import (
    TASK,
    Contender,
    alternate,
    machine,
    make_parser,
    medians,
    parse,
    ready,
    report,
    serve,
    use_one_core,
)
from recording import CAMERA, ours

from constants import Task, get_task

ONE = "one process on one core"
WORKERS = {ONE: 1, "--num_workers 2, all cores": 2}
MANY = 50  # episodes that time and size are extrapolated to


def contend(name: str, task: Task, args: argparse.Namespace) -> None:
    """Be the contender `name`."""
    if name == ONE:
        use_one_core()
    workers = WORKERS[name]
    serve(ours(task, workers, "fast", args.episodes // workers, tuple(args.cameras)))


def compare(args: argparse.Namespace, task: Task) -> None:
    """Measure both ways and print the table."""
    facts = machine()
    contenders = {name: Contender(name, {"LP_NUM_THREADS": "0"}) for name in WORKERS}
    with ready(contenders) as runs:
        results = alternate(runs, args.repeats)
    rows, slowest = [], None
    for name, measured in results.items():
        one = medians(measured)
        seconds = one["seconds"] / one["episodes"]
        slowest = slowest or seconds
        size = one["bytes"] / one["episodes"]
        figures = (one["seconds"], 60 / seconds, MANY * seconds / 60, MANY * size / 1e9)
        rows.append((name, *(f"{figure:.2f}" for figure in figures), f"{slowest / seconds:.2f}x"))
    cameras = ", ".join(args.cameras)
    title = f"Recording {args.episodes} episodes of {task.name}: {task.episode_len} steps, {cameras}, 480x640"
    header = ("way", "s", "episodes/min", f"min for {MANY}", f"GB for {MANY}", "ratio")
    report(title, facts, header, rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--episodes", type=int, default=4, help="a round, of each way; an even number")
    parser.add_argument("--cameras", nargs="+", default=[CAMERA], help="cameras to record")
    args = parse(parser)
    if args.episodes < 2 or args.episodes % 2:
        parser.error(f"--episodes is {args.episodes}; it must be even, and at least 2")
    task = get_task(TASK)
    if args.quick:
        args.episodes, task = 2, replace(task, episode_len=20)
    if args.contender:
        contend(args.contender, task, args)
    else:
        compare(args, task)


if __name__ == "__main__":
    main()
