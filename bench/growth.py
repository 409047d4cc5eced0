"""How time and memory grow with episodes, cameras, processes, chunk and picture, for whatever uses episodes.

Each cell is a process of its own: seconds, and by how much its peak of memory, with its children's, is above
what it held before. Episodes are made up where the simulator is not the point. The exponent is the slope in
a plot of logarithms: 1 is in step with the work, 0 is no growth; of picture, the work is its pixels. What
grows faster than the work is marked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from _growth_jobs import JOBS, Size
from _harness import machine, make_parser, parse, report
from tqdm import tqdm

from common import complete_file, curves_plot

EPISODES, PICTURES = (50, 200, 1000), (120, 240, 480)
CAMERAS, PROCESSES, CHUNKS = (1, 2, 3, 4), (1, 2), (20, 100, 400)
AXES: dict[str, dict[str, tuple[int, ...]]] = {  # by job, by field of Size
    "recording an episode more": {"episodes": EPISODES, "cameras": CAMERAS, "processes": PROCESSES},
    "recording what is there": {"episodes": EPISODES, "cameras": CAMERAS},
    "loading, to the first batch": {
        **{"episodes": EPISODES, "cameras": CAMERAS, "chunk": CHUNKS, "height": PICTURES}
    },
    "a training step": {
        **{"episodes": EPISODES, "cameras": CAMERAS, "processes": PROCESSES},
        **{"chunk": CHUNKS, "height": PICTURES},
    },
    "evaluation": {
        **{"episodes": (5, 20, 80), "cameras": CAMERAS, "processes": PROCESSES},
        **{"chunk": CHUNKS, "height": PICTURES},
    },
    "page of the dataset": {
        **{"episodes": (20, 50, 200), "cameras": CAMERAS, "processes": PROCESSES, "height": PICTURES}
    },
    "the page again": {"episodes": EPISODES},
    "info": {"episodes": EPISODES, "cameras": CAMERAS, "height": PICTURES},
}
BASES = {"evaluation": Size(episodes=20, steps=400), "page of the dataset": Size(episodes=20)}
QUICK = {"episodes": (3, 6), "cameras": (1, 2), "processes": (1, 2), "chunk": (5, 10), "height": (48, 96)}
QUICK_SIZE = Size(episodes=3, chunk=5, height=48, steps=5)
SLACK = 0.2  # of an exponent, before it is marked
WORDS = {"height": "picture"}


# --- a cell


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """A list that holds, in the end, by how many bytes memory grew at its peak, children included."""
    process, peaks, is_over = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not is_over.wait(0.02):
            total = -before
            for one in (process, *process.children(recursive=True)):
                try:
                    total += one.memory_info().rss
                except psutil.Error:
                    continue
            peaks[0] = max(peaks[0], total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        is_over.set()
        watcher.join()


def measure(job: str, size: Size, data: Path, repeats: int) -> dict[str, float]:
    """Seconds, median, and bytes at the peak, of a job in this process."""
    seconds, memory = [], 0
    with open(os.devnull, "w") as silence, redirect_stdout(silence), JOBS[job](size, data) as do:
        for _ in range(repeats):
            with tempfile.TemporaryDirectory(prefix="bench_", dir=data) as folder, peak_memory() as peaks:
                began = time.perf_counter()
                share = do(Path(folder)) or 1
                seconds.append((time.perf_counter() - began) / share)
            memory = max(memory, peaks[0])
    return {"seconds": median(seconds), "bytes": memory}


def start(job: str, size: Size, data: Path, repeats: int) -> dict[str, float]:
    """`measure` in a process of its own; of training processes, the first one tells."""
    many = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={size.processes}")
    launcher = many if job == "a training step" and size.processes > 1 else ()
    cell = json.dumps({"job": job, "size": asdict(size), "data": str(data)})
    command = [sys.executable, *launcher, __file__, "--contender", cell, "--repeats", str(repeats)]
    variables = {"MUJOCO_GL": "egl"} if sys.platform.startswith("linux") else {}
    environment = {**variables, **os.environ, "TQDM_DISABLE": "1", "LP_NUM_THREADS": "0"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


# --- all cells


def rows_of(args: argparse.Namespace) -> dict[str, list[tuple[int, str, Size]]]:
    """By the row's name: each cell's number on its axis, its job, and its size."""
    rows = {}
    for job, axes in AXES.items():
        base = QUICK_SIZE if args.quick else BASES.get(job, Size())
        for field, values in axes.items():
            values = QUICK[field] if args.quick else values
            name = f"{job}, by {WORDS.get(field, field)}"
            rows[name] = [(value, job, replace(base, **{field: value})) for value in values]
    return {name: rows[name] for name in (args.rows or rows)}


def exponent(name: str, cells: list[tuple[int, float]]) -> float:
    """Slope of log(cost) by log(work)."""
    numbers, costs = np.array(cells, float).T
    work = numbers**2 if name.endswith("picture") else numbers
    return float(np.polyfit(np.log(work), np.log(np.maximum(costs, 1e-9)), 1)[0])


def is_excessive(name: str, slope: float) -> bool:
    """Whether a cost grows faster than the work: with the episodes that a step or a recording does not read,
    it must not grow at all.
    """
    is_free = name in ("a training step, by episodes", "recording an episode more, by episodes")
    return slope > (0 if is_free else 1) + SLACK


def table_row(name: str, cells: list[tuple[int, dict[str, float]]]) -> tuple[str, ...]:
    """A row of the table."""
    parts: list[str] = [name, ", ".join(str(number) for number, _ in cells)]
    for key, unit, form in (("seconds", 1, ".3g"), ("bytes", 1e6, ".0f")):
        costs = [(number, max(0.0, measured[key]) / unit) for number, measured in cells]
        parts.append(", ".join(f"{cost:{form}}" for _, cost in costs))
        if key == "seconds":
            slope = exponent(name, costs)
            parts.append(f"{costs[-1][1] / costs[0][1]:.2f}")
            parts.append(f"{slope:.2f}{' !' if is_excessive(name, slope) else ''}")
    return tuple(parts)


def compare(args: argparse.Namespace, folder: Path) -> None:
    """Measure what is missing, as long as there is time, and print the table."""
    kept_in = folder / ("quick.json" if args.quick else "cells.json")
    kept = json.loads(kept_in.read_text()) if kept_in.is_file() else {"machine": machine(), "cells": {}}
    rows = rows_of(args)
    cells = [cell for row in rows.values() for cell in row]
    for _, job, size in cells:
        if job != "evaluation":  # which needs no episodes
            size.folder(folder / "data")
    began = time.monotonic()
    for cell in tqdm(cells, unit="cell"):
        key = json.dumps([cell[1], asdict(cell[2])])
        if key in kept["cells"] or time.monotonic() - began > args.seconds:
            continue
        kept["cells"][key] = start(cell[1], cell[2], folder / "data", args.repeats)
        with complete_file(kept_in) as part:
            part.write_text(json.dumps(kept, indent=1) + "\n")
    measured = {}
    for name, row in rows.items():
        found = [(number, kept["cells"].get(json.dumps([job, asdict(size)]))) for number, job, size in row]
        if all(result for _, result in found):
            measured[name] = found
    header = ("cost", "at", "seconds", "last by first", "exponent", "MB more at the peak")
    table = [table_row(name, cells) for name, cells in measured.items()]
    report("How costs grow", kept["machine"], header, table)
    if args.plot:
        draw(args.plot, measured)


def draw(path: Path, measured: dict[str, list[tuple[int, dict[str, float]]]]) -> None:
    """The table as a picture: times the first, a panel for each axis."""
    panels: dict[str, dict[str, list]] = {}
    for name, cells in measured.items():
        job, _, axis = name.rpartition(", by ")
        first = cells[0][1]["seconds"]
        points = [(number, one["seconds"] / first) for number, one in cells]
        panels.setdefault(f"seconds, times the first, by {axis}", {})[job] = points
    curves_plot(path, panels, "", is_log=True)


def main() -> None:
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="which; all if not given")
    parser.add_argument("--out", type=Path, help="folder of episodes and cells, to go on with")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no cell after so many")
    parser.add_argument("--plot", type=Path, help="PNG to write")
    args = parse(parser)
    if args.contender:
        cell = json.loads(args.contender)
        result = measure(cell["job"], Size(**cell["size"]), Path(cell["data"]), args.repeats)
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
        folder = (args.out or Path(temporary)).resolve()
        (folder / "data").mkdir(parents=True, exist_ok=True)
        compare(args, folder)


if __name__ == "__main__":
    main()
