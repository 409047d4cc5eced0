"""ACT at its published size, trained from scratch on recorded episodes by imitate_episodes.py itself."""

from __future__ import annotations

import contextlib
import csv
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _harness import ROOT

from _gpu.packages import lacking
from _gpu.session import Session
from constants import TASKS
from episodes import Episode, list_episodes
from evaluation import read_result
from policies import LAST

# sizes and number of samples as published; without ImageNet weights a higher learning rate, which falls
RECIPE = (
    "--policy_class ACT --chunk_size 100 --hidden_dim 512 --dim_feedforward 3200 --kl_weight 10 "
    "--backbone resnet18 --backbone_weights none --image_size 480 640 --batch_size 8 --num_steps 12500 "
    "--lr 1e-4 --lr_schedule cosine --warmup_steps 500 --grad_clip 1 --compile"
)
SIMULATOR = ("mujoco", "dm_control", "gym_aloha", "pyquaternion")
ROLLOUTS = 50
EVALUATION = 45.0  # s that they are given
GRACE = 30.0  # s in which a run that is stopped must have saved
STOPPED = 130  # status of a run that was


def train(session: Session) -> None:
    """One row for each folder of episodes; each gets the same share of the time that is left."""
    for number, folder in enumerate(session.episodes):
        seconds = session.left() / (len(session.episodes) - number)
        session.measure(f"ACT from scratch on {folder.name}", trained, session, folder, seconds)


def trained(session: Session, folder: Path, seconds: float) -> dict[str, Any]:
    """Seconds and losses of a run, and the success of its policy where a simulator is there."""
    task = Episode.load(list_episodes(folder)[0], in_memory=False).task or folder.name
    lacks = lacking(SIMULATOR) if task in TASKS else ["such task"]
    is_evaluated = not lacks and not session.tiny
    with contextlib.ExitStack() as stack:
        kept = session.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = kept / f"gpu_{folder.name}"
        flags = ["--task_name", task, "--dataset_dir", str(folder), "--ckpt_dir", str(run)]
        flags += ["--device", str(session.device), *shlex.split(RECIPE)]
        began, training = time.perf_counter(), seconds - GRACE - (EVALUATION if is_evaluated else 0)
        log = run.with_suffix(".log")
        status = imitate([*flags, *session.train_flags, "--overwrite"], log, training, session.site)
        values: dict[str, Any] = {"seconds": time.perf_counter() - began, **last_losses(run)}
        if status:
            values["stopped"] = f"after {training:.0f} s"
        if not is_evaluated:
            return {**values, "success": f"not evaluated{f', no {lacks[0]}' if lacks else ''}"}
        began = time.perf_counter()
        flags += ["--eval", "--ckpt_name", LAST, "--num_rollouts", str(ROLLOUTS), *session.train_flags]
        imitate(flags, run.with_suffix(".eval.log"), session.left() - GRACE, session.site)
        summary = read_result(run / f"result_{Path(LAST).stem}.json")
        values["success"] = f"{summary.successes} of {summary.n}"
        return {**values, "evaluation_s": time.perf_counter() - began}


def imitate(flags: Sequence[str], log: Path, seconds: float, site: str | None) -> int:
    """Run imitate_episodes.py; after `seconds` it is stopped as by Ctrl-C. 0, or 130 if it was stopped.

    RuntimeError with its last line if it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    variables = {**os.environ, "TQDM_DISABLE": "1", **({"PYTHONPATH": site} if site else {})}
    command = [sys.executable, str(ROOT / "imitate_episodes.py"), *flags]
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=variables
        )
        status = ended(process, seconds)
    if status not in (0, STOPPED):
        lines = log.read_text(errors="replace").strip().splitlines() or ["no word"]
        raise RuntimeError(f"imitate_episodes.py ended with status {status}: {lines[-1]}")
    return status


def ended(process: subprocess.Popen, seconds: float) -> int:
    """The status with which it ends, by itself or because it was asked to, or killed."""
    try:
        return process.wait(max(1.0, seconds))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def last_losses(run: Path) -> dict[str, Any]:
    """The last row of a run's losses."""
    with (run / "history.csv").open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    names = ("train/l1", "train/loss", "val/l1", "val/loss")
    return {"steps": int(float(row["step"])), **{name: float(row[name]) for name in names if row.get(name)}}
