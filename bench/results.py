"""Success rates: the README's table, one row or all, from recording to evaluation.

Each row is the flags of a policy; `ROWS` has them all. With --out, a run that was cut off goes on where it
stopped, and a row that is finished is read, not run. Starts 0 to 99 are for choosing settings (--choosing);
the table is made from starts 1000 and up.
"""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _harness import ROOT, machine, make_parser, parse, report, run_script

from episodes import complete_file
from outcomes import wilson_interval
from policy import read_checkpoint

LAST = "policy_last.ckpt"

SMALL, DIFFUSION = (f"--config {ROOT / 'presets' / name}.json" for name in ("small", "small_diffusion"))
TRANSFER, INSERTION, MOVE = (f"sim_{name}_scripted" for name in ("transfer_cube", "insertion", "move_cube"))
TWIN_MOVE, CHOOSE = (f"sim_mycobot320_{name}_scripted" for name in ("move_cube", "choose"))


@dataclass(frozen=True)
class Row:
    """A policy, how it is trained, and how it is evaluated."""

    task: str
    train: str = SMALL  # flags of imitate_episodes.py
    evaluate: str = ""  # more of them, with --eval
    policy: str | None = None  # name of the row whose policy this is; one of its own if not given
    record: str = ""  # flags of record_sim_episodes.py
    edit: str | None = None  # command of edit_episodes.py that the episodes go through
    rollouts: int = 500


ROWS = {
    "transfer": Row(TRANSFER),
    "insertion": Row(INSERTION),
    "move cube": Row(MOVE),
    "twin move": Row(TWIN_MOVE),
    "choose": Row(CHOOSE),
    "transfer, Diffusion": Row(TRANSFER, DIFFUSION),
}


def slug(text: str) -> str:
    """A folder's name."""
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in text).strip("_")


@contextmanager
def clock(path: Path) -> Iterator[None]:
    """Add the seconds that this takes, whole or cut off, to those in a file."""
    began = time.perf_counter()
    try:
        yield
    finally:
        path.parent.mkdir(parents=True, exist_ok=True)
        with complete_file(path) as part:
            part.write_text(f"{seconds_in(path) + time.perf_counter() - began:.1f}\n")


def seconds_in(path: Path) -> float:
    """What `clock` wrote; 0 if nothing."""
    return float(path.read_text()) if path.is_file() else 0.0


def demonstrations(row: Row, out: Path, args: argparse.Namespace) -> Path:
    """Folder of the row's episodes, which are recorded if they are not there."""
    count = args.episodes
    task = ("--task_name", row.task)
    folder = out / "data" / slug(f"{row.task} {row.record}")
    flags = (*shlex.split(row.record), "--dataset_dir", folder, "--num_episodes", count)
    with clock(folder.with_suffix(".seconds")):
        run_script("record_sim_episodes.py", *task, *flags)
    if row.edit is None:
        return folder
    edited = out / "data" / slug(f"{row.task} {row.record} {row.edit}")
    if not edited.is_dir():
        command = (*shlex.split(row.edit), "--dataset_dir", folder, "--output_dir", edited)
        run_script("edit_episodes.py", *command)
    return edited


def train(name: str, out: Path, args: argparse.Namespace) -> Path:
    """Folder of the policy of a row, which is trained if it is not there."""
    row = ROWS[name]
    folder = out / slug(name)
    if (folder / "trained").is_file():
        return folder
    data = demonstrations(row, out, args)
    flags = [*shlex.split(row.train.format(out=out)), "--dataset_dir", data, "--seed", args.seed]
    if args.quick:
        flags += ["--num_steps", 2]
    with clock(folder / "seconds"):
        run_script("imitate_episodes.py", "--task_name", row.task, "--ckpt_dir", folder, *flags, "--resume")
    (folder / "trained").touch()
    return folder


def evaluate(name: str, out: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What the rollouts of a row came to, as `outcomes.Summary.as_dict` has it, and "seconds" of training."""
    row = ROWS[name]
    folder = train(row.policy or name, out, args)
    first, count = (0, 100) if args.choosing else (1000, row.rollouts)
    count = 2 if args.quick else count
    kept = folder / f"{slug(name)}_{count}_starts_from_{first}.json"
    if not kept.is_file():
        flags = [*shlex.split(ROWS[row.policy or name].train.format(out=out)), *shlex.split(row.evaluate)]
        flags += ["--seed", args.seed, "--num_rollouts", count, "--first_rollout", first, "--num_videos", 3]
        flags += ["--ckpt_name", LAST, *(["--num_workers", 1] if args.quick else [])]
        run_script("imitate_episodes.py", "--task_name", row.task, "--ckpt_dir", folder, *flags, "--eval")
        with complete_file(kept) as part:
            part.write_bytes((folder / f"result_{Path(LAST).stem}.json").read_bytes())
    steps = read_checkpoint(folder / LAST)["training"]["step"]
    return {**json.loads(kept.read_text()), "steps": steps, "seconds": seconds_in(folder / "seconds")}


def cells(name: str, result: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table."""
    n, successes, strict = (result[key] for key in ("rollouts", "successes", "strict_success_rate"))
    low, high = wilson_interval(successes, n)
    strictly = "-" if strict is None else f"{strict:.1%}"
    trained = (str(result["steps"]), f"{result['seconds'] / 60:.1f}")
    return name, f"{successes / n:.1%}", f"{low:.1%} to {high:.1%}", strictly, str(n), *trained


def main() -> None:
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW", help="which")
    parser.add_argument("--out", help="folder of the runs, to go on with; a temporary one if not given")
    parser.add_argument("--episodes", type=int, default=50, help="demonstrations of each task")
    parser.add_argument("--seed", type=int, default=0, help="of training")
    parser.add_argument("--choosing", action="store_true", help="100 starts from 0 on, to choose settings by")
    args = parse(parser)
    if args.quick:
        args.episodes = 2
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
        out = Path(args.out or temporary).resolve()
        results = {name: evaluate(name, out, args) for name in args.rows}
    starts = "starts 0 to 99, to choose by" if args.choosing else "starts from 1000 on"
    header = ("", "success", "95 % interval", "strictly", "rollouts", "steps", "minutes of training")
    title = f"{args.episodes} demonstrations, seed {args.seed}, {starts}"
    report(title, facts, header, [cells(name, result) for name, result in results.items()])


if __name__ == "__main__":
    main()
