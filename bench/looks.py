"""What looks cost: recording one transfer episode, one core, with a look per episode and per frame.

A varied scene takes longer to draw than the plain one, as textures cover it. What a look for each frame costs
beside that is the ratio of two rows of one level.
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
from recording import ours

from constants import get_task
from tasks import Task

PLAIN = "plain"
WAYS = {PLAIN: {}} | {
    f"{level}, a look per {way}": {"randomize": way, "looks": level}
    for level in ("mild", "real")
    for way in ("episode", "frame")
}


def compare(args: argparse.Namespace, task: Task) -> None:
    """Measure all ways and print the table."""
    facts = machine()
    with ready({name: Contender(name, {"LP_NUM_THREADS": "0"}) for name in WAYS}) as runs:
        seconds = {
            name: medians(measured)["seconds"] for name, measured in alternate(runs, args.repeats).items()
        }
    rows = []
    for name, one in seconds.items():
        per_episode = seconds.get(name.replace("per frame", "per episode"), one)
        per_frame = f"{1000 * one / args.episodes / task.episode_len:.2f}"
        rows.append((name, per_frame, f"{one / seconds[PLAIN]:.2f}", f"{one / per_episode:.2f}"))
    title = f"Recording {task.name}: {task.episode_len} steps, camera top, 480x640, one core"
    report(title, facts, ("looks", "ms/frame", "times plain", "times a look per episode"), rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--episodes", type=int, default=1, help="a round, for each way")
    args = parse(parser)
    task = get_task(TASK)
    if args.quick:
        task = replace(task, episode_len=10)
    if args.contender:
        use_one_core()
        serve(ours(task, 1, "fast", args.episodes, flags=WAYS[args.contender]))
    else:
        compare(args, task)


if __name__ == "__main__":
    main()
