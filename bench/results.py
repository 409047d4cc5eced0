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

VINN = "--policy_class VINN --image_size 120 160 --features policy --features_from {out}/transfer/" + LAST
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
    needs: str | None = None  # name of the row whose policy its flags name
    record: str = ""  # flags of record_sim_episodes.py
    edit: str | None = None  # command of edit_episodes.py that the episodes go through
    episodes: int = 50  # demonstrations
    rollouts: int = 200


CHUNKS = (1, 20, 75, 100, 200)  # actions
ONE_CAMERA = f"{SMALL} --camera_names top"
KNOCKED = {TRANSFER: 200, CHOOSE: 32}  # step at which the cube is in the air, and in one hand


def _chunk_rows() -> dict[str, Row]:
    """The curves over the chunk size: the one camera's demonstrations, 1000 steps each."""
    short = f"{ONE_CAMERA} --num_steps 1000"
    return {
        f"{label}, chunk {size}": Row(task, f"{short} --chunk_size {size}")
        for label, task in (("transfer", TRANSFER), ("choose", CHOOSE))
        for size in CHUNKS
    }


def _execution_rows() -> dict[str, Row]:
    """Ways to execute the same policy, undisturbed and with the cube knocked loose."""
    ways = {"": "", ", query every 20": "--query_every 20", ", ensembling": "--temporal_agg"}
    return {
        f"{label}{way}{', knocked loose' if knocked else ''}": Row(
            task, evaluate=f"{flags} {knocked}", policy=label, rollouts=100
        )
        for label, task in (("transfer", TRANSFER), ("choose", CHOOSE))
        for knocked in ("", f"--knock_loose {KNOCKED[task]}")
        for way, flags in ways.items()
        if way or knocked
    }


ROWS = {
    "transfer": Row(TRANSFER, rollouts=500),
    "insertion": Row(INSERTION, f"{ONE_CAMERA} --crop top=200,190,440,370 --num_steps 5000", rollouts=500),
    "move cube": Row(MOVE),
    "twin move": Row(TWIN_MOVE),
    "choose": Row(CHOOSE),
    "transfer, Diffusion": Row(TRANSFER, DIFFUSION),
    "transfer, VINN": Row(TRANSFER, VINN, needs="transfer"),
    "choose, top camera": Row(CHOOSE, ONE_CAMERA),
    "choose, wrist camera": Row(CHOOSE, f"{SMALL} --camera_names right_wrist"),
    "choose, top, cropped": Row(CHOOSE, f"{ONE_CAMERA} --crop top=180,232,404,384"),
    "choose, top, all but the box masked": Row(CHOOSE, f"{ONE_CAMERA} --mask_outside top=328,232,400,308"),
    "transfer, varied timing": Row(TRANSFER, record="--hesitate 60"),
    "transfer, varied timing, aligned": Row(TRANSFER, record="--hesitate 60", edit="align"),
    **_execution_rows(),
    **_chunk_rows(),
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
    count = 2 if args.quick else row.episodes
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
    if row.needs:
        train(row.needs, out, args)
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
        flags += ["--seed", args.seed, "--num_rollouts", count, "--first_rollout", first, "--num_videos", 0]
        flags += ["--ckpt_name", LAST, *(["--num_workers", 1] if args.quick else [])]
        run_script("imitate_episodes.py", "--task_name", row.task, "--ckpt_dir", folder, *flags, "--eval")
        with complete_file(kept) as part:
            part.write_bytes((folder / f"result_{Path(LAST).stem}.json").read_bytes())
    steps = read_checkpoint(folder / LAST).get("training", {}).get("step", 0)
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
    parser.add_argument("--seed", type=int, default=0, help="of training")
    parser.add_argument("--choosing", action="store_true", help="100 starts from 0 on, to choose settings by")
    args = parse(parser)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
        out = Path(args.out or temporary).resolve()
        results = {name: evaluate(name, out, args) for name in args.rows}
    starts = "starts 0 to 99, to choose by" if args.choosing else "starts from 1000 on"
    header = ("", "success", "95 % interval", "strictly", "rollouts", "steps", "minutes of training")
    title = f"seed {args.seed}, {starts}"
    report(title, facts, header, [cells(name, result) for name, result in results.items()])


if __name__ == "__main__":
    main()
