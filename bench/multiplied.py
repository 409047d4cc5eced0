"""How often a demonstration succeeds from a new start: as recorded, moved part by part, and the nearest one.

Demonstrations by script; nothing is rendered. The same starts for all ways: `edit_episodes.py multiply`
takes the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from _harness import TASK, machine, make_parser, parse, report
from tqdm import tqdm

from constants import Stream, get_task
from dataset_tools import Source, distance, read_source, retell
from evaluation import Demonstration, close_environments, environment, run_script
from tasks import Task, sample_start

TASKS = {  # and how many demonstrations
    TASK: 10,
    "sim_insertion_scripted": 5,
    "sim_move_cube_scripted": 5,
    "sim_mycobot320_move_cube_scripted": 5,
    "sim_mycobot320_choose_scripted": 10,
}
Choose = Callable[[list[Source], np.ndarray, int], Source]  # from all that fit, the start, and its number
WAYS: dict[str, Choose] = {
    "as recorded": lambda fitting, start, i: replace(
        fitting[i % len(fitting)], parts=tuple(() for _ in fitting[0].parts)
    ),
    "moved": lambda fitting, start, i: fitting[i % len(fitting)],
    "moved, the nearest": lambda fitting, start, i: min(
        fitting, key=lambda source: distance(source.start, start)
    ),
}


def demonstrations(task: Task, count: int) -> list[Source]:
    """So many that succeed."""
    env, sources, rng = environment(task, "fast", True, False), [], np.random.default_rng([0, Stream.RECORD])
    while len(sources) < count:
        number = len(sources)
        episode = run_script(env, task, rng, how=Demonstration(task.case_number(number)))
        if episode.success:
            sources.append(read_source(env, task, Path(f"episode_{number}"), episode))
    return sources


def successes(task: Task, count: int, starts: int) -> list[int]:
    """Of each way."""
    sources, env = demonstrations(task, count), environment(task, "fast", True, False)
    counts = [0] * len(WAYS)
    for i in tqdm(range(starts), desc=task.name, unit="start"):
        case = task.case_number(i)
        start = sample_start(task, np.random.default_rng([0, Stream.MULTIPLY, i]), case)
        fitting = [source for source in sources if source.case == case]
        for way, choose in enumerate(WAYS.values()):
            counts[way] += retell(env, task, choose(fitting, start, i), start) is not None
    close_environments()
    return counts


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--starts", type=int, default=50, help="new starts of each task")
    args = parse(parser)
    facts, starts = machine(), 1 if args.quick else args.starts
    chosen = dict(list(TASKS.items())[:1]) if args.quick else TASKS
    rows = []
    for name, count in chosen.items():
        count = 1 if args.quick else count
        counts = successes(get_task(name), count, starts)
        rows.append((name, str(count), *(f"{n}/{starts}" for n in counts)))
    title = f"Demonstrations by script from {starts} new starts of each task: successes"
    report(title, facts, ("", "demonstrations", *WAYS), rows)


if __name__ == "__main__":
    main()
