"""How long each script takes to its first line, a training to its first step, an evaluation to its rollouts.

Each is a command of its own, with its files in the system's cache; it is ended when the line has come. The
first row is torch alone, which all but the scripts about files need.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from _growth_jobs import Size, make_episodes
from _harness import ROOT, TASK, Result, alternate, machine, make_parser, medians, parse, report, run_script


def commands(data: Path, run: Path, size: Size) -> dict[str, tuple[list[str], str | None]]:
    """By the row's name: a command, and the text that ends it; None: it ends by itself."""
    made = ["--task_name", TASK, "--dataset_dir", str(data)]
    train = [
        *("imitate_episodes.py", *made, "--config", str(ROOT / "presets" / "small.json")),
        *("--camera_names", *size.names, "--num_steps", "2"),
    ]
    finished, new = ["--ckpt_dir", str(run)], ["--ckpt_dir", str(run / "new"), "--overwrite"]
    evaluate = [*train, *finished, "--eval", "--ckpt_name", "policy_last.ckpt", "--num_videos", "0"]
    record = ["record_sim_episodes.py", *made[:2], "--dataset_dir", str(run / "data"), "--num_episodes", "2"]
    page = ["visualize_episodes.py", "--html", "--dataset_dir", str(data), "--output_dir", str(run / "page")]
    return {
        "import torch": (["-c", "import torch"], None),
        "training, --help": (["imitate_episodes.py", "--help"], None),
        "training, first line": ([*train, *new], "episodes to train on"),
        "training, first step": ([*train, *new], "1/2 ["),
        "training, --resume when it is finished": ([*train, *finished, "--resume"], None),
        "evaluation, to its first rollout": ([*evaluate, "--num_workers", "1"], "evaluating:"),
        "recording, first line": (record, "recording"),
        "page of a dataset, first line": (page, "videos:"),
        "info": (["edit_episodes.py", "info", "--dataset_dir", str(data)], None),
    }


def until(command: list[str], text: str | None, folder: Path) -> Result:
    """Seconds until a command prints a text, or ends."""
    environment = {"MUJOCO_GL": "egl"} if sys.platform.startswith("linux") else {}
    began, said = time.perf_counter(), ""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**environment, **os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        while text is None or text not in said:
            part = os.read(process.stdout.fileno(), 4096)
            if not part:
                break
            said += part.decode(errors="replace")
        seconds = time.perf_counter() - began
        if text is not None:
            process.terminate()
        process.stdout.read()
    if process.returncode if text is None else text not in said:
        raise RuntimeError(f"{' '.join(command)}: {said}")
    return {"seconds": seconds}


def compare(args: argparse.Namespace, size: Size) -> None:
    """Measure all commands and print the table."""
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
        folder = Path(temporary)
        data, run = folder / "episodes", folder / "run"
        make_episodes(data, size)
        rows = commands(data, run, size)
        run_script(*rows["training, --resume when it is finished"][0])
        calls = {name: partial(until, *row, folder) for name, row in rows.items()}
        if not args.quick:
            alternate(calls, 1)  # compiles Python's files, and fills the system's cache
        results = {name: medians(result) for name, result in alternate(calls, args.repeats).items()}
    bare = results["import torch"]["seconds"]
    table = [
        (name, f"{one['seconds']:.2f}", f"{one['seconds'] / bare:.2f}x") for name, one in results.items()
    ]
    report(
        f"How long scripts take to begin, with {size.episodes} episodes",
        *(facts, ("command", "s", "torch alone"), table),
    )


def main() -> None:
    args = parse(make_parser(__doc__, repeats=3))
    compare(args, Size(episodes=3, height=48, steps=5) if args.quick else Size())


if __name__ == "__main__":
    main()
