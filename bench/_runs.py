"""Rows of a table: policies, recorded for, trained and evaluated; finished rows are read from disk."""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _harness import ROOT, make_parser, run_script

from common import complete_file
from dataset_tools import HISTORY
from policies import LAST, read_checkpoint

SMALL, DIFFUSION, FLOW, ROBUST = (
    f"--config {shlex.quote(str(ROOT / 'presets' / name))}.json"
    for name in ("small", "small_diffusion", "small_flow", "robust")
)
ONE_CAMERA = f"{SMALL} --camera_names top"
TRANSFER, INSERTION, MOVE = (f"sim_{name}_scripted" for name in ("transfer_cube", "insertion", "move_cube"))
TWIN_MOVE, CHOOSE = (f"sim_mycobot320_{name}_scripted" for name in ("move_cube", "choose"))


@dataclass(frozen=True)
class Row:
    """A policy, how it is trained, and how it is evaluated."""

    task: str
    train: str = SMALL  # flags of imitate_episodes.py; {policies} stands for the folder of all rows' policies
    evaluate: str = ""  # more of them, with --eval
    policy: str | None = None  # name of the row that trains this policy; its own if not given
    needs: str | None = None  # name of the row whose policy the flags need
    record: str = ""  # flags of record_sim_episodes.py; {seed}, here and in `multiply`, stands for the seed
    edit: str | None = None  # command of edit_episodes.py that the episodes go through
    multiply: str | None = None  # flags of that command, whose episodes are trained on as well
    beside: bool = True  # the episodes that were multiplied are trained on too
    has_prior: bool = False  # a prior over the policy's codes is trained after it
    episodes: int = 50  # demonstrations
    rollouts: int = 200


def slug(text: str) -> str:
    """Text as the name of a folder."""
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in text).strip("_")


@contextmanager
def clock(path: Path) -> Iterator[None]:
    """Add the seconds that the block takes, finished or not, to those in a file."""
    began = time.perf_counter()
    try:
        yield
    finally:
        path.parent.mkdir(parents=True, exist_ok=True)
        seconds = seconds_in(path) + time.perf_counter() - began
        with complete_file(path) as part:
            part.write_text(f"{seconds:.1f}\n")


def seconds_in(path: Path) -> float:
    """What `clock` wrote; 0 if nothing."""
    return float(path.read_text()) if path.is_file() else 0.0


@dataclass(frozen=True)
class Runs:
    """All rows by name, and the folder of their results."""

    rows: Mapping[str, Row]
    out: Path
    seed: int = 0  # of training
    choosing: bool = False  # use the starts for choosing settings, not the reported ones
    quick: bool = False

    @property
    def policies(self) -> Path:
        """Folder of the policies of all rows."""
        return self.out / f"{'quick' if self.quick else 'seed'}_{self.seed}"

    def folder(self, name: str) -> Path:
        """Folder of the row's policy."""
        return self.policies / slug(self.rows[name].policy or name)

    def demonstrations(self, row: Row) -> list[Path]:
        """Folders of the row's episodes; makes those that are missing."""
        folder = self.recorded(row)
        if row.multiply is None:
            return [folder]
        multiply = row.multiply.format(seed=self.seed)
        more = folder.with_name(slug(f"{folder.name} {multiply}"))
        flags = (*shlex.split(multiply), *(("--num_episodes", 2) if self.quick else ()))
        run_script("edit_episodes.py", "multiply", "--dataset_dir", folder, "--output_dir", more, *flags)
        return [folder, more] if row.beside else [more]

    def recorded(self, row: Row) -> Path:
        """Folder of the row's episodes, recorded and edited."""
        count = 2 if self.quick else row.episodes
        record = row.record.format(seed=self.seed)
        name = f"{row.task} {record} {count}"
        folder = self.out / "data" / slug(name)
        flags = (*shlex.split(record), "--dataset_dir", folder, "--num_episodes", count)
        run_script("record_sim_episodes.py", "--task_name", row.task, *flags)
        if row.edit is None:
            return folder
        edited = self.out / "data" / slug(f"{name} {row.edit}")
        if not (edited / HISTORY).is_file():  # written last: the editing is complete
            places = ("--dataset_dir", folder, "--output_dir", edited)
            run_script("edit_episodes.py", *shlex.split(row.edit), *places)
        return edited

    def flags(self, name: str) -> list[object]:
        """Flags of imitate_episodes.py that train and evaluate the row's policy."""
        row = self.rows[self.rows[name].policy or name]
        flags = ("--task_name", row.task, "--ckpt_dir", self.folder(name), "--seed", self.seed)
        return [
            *flags,
            *shlex.split(row.train.replace("{policies}", shlex.quote(str(self.policies)))),
            *(["--num_steps", 2] * self.quick),
        ]

    def train(self, name: str) -> Path:
        """Folder of a row's policy; trains it if it is missing."""
        name = self.rows[name].policy or name
        row, folder = self.rows[name], self.folder(name)
        if (folder / "trained").is_file():
            return folder
        if row.needs:
            self.train(row.needs)
        data = self.demonstrations(row)
        with clock(folder / "seconds"):
            run_script("imitate_episodes.py", *self.flags(name), "--dataset_dir", *data, "--resume")
            if row.has_prior:
                steps = ("--num_steps", 2) if self.quick else ()
                run_script("train_latent_model.py", "--ckpt_dir", folder, *steps)
        (folder / "trained").touch()
        return folder

    def evaluate(self, name: str) -> dict[str, Any]:
        """A row's result as `evaluation.Summary.as_dict` has it, with the "steps" and "seconds" of its
        training.
        """
        row, folder = self.rows[name], self.train(name)
        first, count = (0, 100) if self.choosing else (1000, row.rollouts)
        count = 2 if self.quick else count
        kept = folder / f"{slug(name)}_{count}_starts_from_{first}.json"
        if not kept.is_file():
            starts = ("--num_rollouts", count, "--first_rollout", first, "--num_videos", 0)
            one_process = ("--num_workers", 1) * self.quick  # others take longer to start than this
            flags = (*self.flags(name), *shlex.split(row.evaluate), *starts, *one_process)
            run_script("imitate_episodes.py", *flags, "--ckpt_name", LAST, "--eval")
            with complete_file(kept) as part:
                part.write_bytes((folder / f"result_{Path(LAST).stem}.json").read_bytes())
        steps = read_checkpoint(folder / LAST).get("training", {}).get("step", 0)
        return {**json.loads(kept.read_text()), "steps": steps, "seconds": seconds_in(folder / "seconds")}


def make_runs_parser(
    description: str, rows: Mapping[str, Row], repeats: int | None = None
) -> argparse.ArgumentParser:
    """A parser with the flags of `runs_of`, but for the seed."""
    parser = make_parser(description, repeats)
    parser.add_argument("--rows", nargs="+", default=list(rows), choices=rows, metavar="ROW", help="which")
    parser.add_argument("--out", help="folder of the runs, to go on with; a temporary one if not given")
    parser.add_argument("--choosing", action="store_true", help="100 starts from 0 on, to choose settings by")
    return parser


@contextmanager
def runs_of(rows: Mapping[str, Row], args: argparse.Namespace, seed: int = 0) -> Iterator[Runs]:
    """The rows' runs, in the folder that the flags name or in a temporary one; the seed is training's."""
    with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
        yield Runs(rows, Path(args.out or temporary).resolve(), seed, args.choosing, args.quick)
