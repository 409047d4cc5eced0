"""The doctor on a dataset of three cameras: how long it takes to look across episodes, and at every frame.

Wanted: 50 episodes of 400 steps at 480x640 under 20 s on two cores. The first row is the check of every file,
frame by frame; the last is what a training adds to its start. Episodes are in the system's cache, as after a
recording; two are rendered, the others are copies with noise on their joints, so that they are no duplicates.
CPU seconds are those of this process, without others that it starts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from _harness import TASK, Result, alternate, machine, make_parser, medians, parse, report, timed
from loader import CAMERAS, make_episodes

from common import Workers
from constants import get_task
from doctor import diagnose, survey_folder, training_lines
from episodes import Episode, EpisodeError, list_episodes

NOISE = 0.02  # rad, one number a joint and episode


def vary(folder: Path) -> list[Path]:
    """Move the joints of each episode by a little; their files."""
    rng = np.random.default_rng(0)
    paths = list_episodes(folder)
    for path in paths:
        episode = Episode.load(path)
        off = rng.normal(0, NOISE, episode.qpos.shape[1])
        replace(episode, qpos=episode.qpos + off, action=episode.action + off).save(path, overwrite=True)
    return paths


def both_times(run: Callable[[], object]) -> Result:
    """Seconds on the clock and of this process's work."""
    began = time.process_time()
    seconds = timed(run)
    return {"seconds": seconds, "cpu_seconds": time.process_time() - began}


def ways(folder: Path, paths: list[Path], workers: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    from edit_episodes import COMMANDS

    check = COMMANDS["check"]

    def every_frame() -> None:
        flags = check.flags(dataset_dir=str(folder), only="files", num_workers=workers)
        with open(os.devnull, "w") as silence, redirect_stdout(silence), suppress(EpisodeError):
            check.run(flags)  # it ends with an error where something is wrong

    def across(processes: int) -> None:
        diagnose(survey_folder(str(folder), paths, Workers(processes)))

    def before_training() -> None:
        training_lines({path: Episode.load(path, in_memory=False) for path in paths})

    return {
        "every frame of every file": every_frame,
        "across episodes, one process": lambda: across(1),
        "across episodes, all processes": lambda: across(workers),
        "before a training, with reading the headers": before_training,
    }


def compare(args: argparse.Namespace, steps: int) -> None:
    """Measure all ways and print the table."""
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench_") as name:
        folder = Path(name)
        make_episodes(replace(get_task(TASK), episode_len=steps), args.episodes, folder)
        paths = vary(folder)
        runs = {
            way: (lambda run=run: both_times(run)) for way, run in ways(folder, paths, args.workers).items()
        }
        if args.across:
            del runs[next(iter(runs))]
        results = {way: medians(measured) for way, measured in alternate(runs, args.repeats).items()}
    first = next(iter(results.values()))["seconds"]
    rows = [
        (way, f"{each['seconds']:.2f}", f"{each['cpu_seconds']:.2f}", f"{first / each['seconds']:.1f}x")
        for way, each in results.items()
    ]
    title = f"Doctor: {args.episodes} episodes, {steps} steps, {len(CAMERAS)} cameras, 480x640"
    report(title, facts, ("what is looked at", "s", "CPU s", "as fast as the first"), rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--episodes", type=int, default=50, help="episodes of the dataset")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--across", action="store_true", help="leave out the check of every frame")
    args, steps = parse(parser), get_task(TASK).episode_len
    if args.quick:
        args.episodes, steps = 3, 20
    compare(args, steps)


if __name__ == "__main__":
    main()
