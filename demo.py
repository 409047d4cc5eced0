"""A demonstration from recording to success rate, or with --twin to an arm; `make demo` runs it.

python3 demo.py
python3 demo.py --twin

Both go on where they were cut off. What they make is in data/ and runs/, beside this file; where this is an
installed package, in the folder that you are in.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
NEEDED = ("torch", "mujoco", "psutil", "tqdm")
if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
    page = ROOT / "docs" / "install.md"
    how = page if page.is_file() else "see docs/install.md in the source"
    sys.exit(f"error: {sys.executable} has no package {missing[0]}; enter the environment, or make it: {how}")

from common import cli, command_line, is_installed  # noqa: E402

# Small images, and a small network that learns from scratch, in half of the preset's samples: docs/train.md.
BRIEF = "--config presets/small.json --batch_size 16 --num_steps 1400 --beta2 0.98 --early_share 0.2"
TRANSFER, CHOOSE = "sim_transfer_cube_scripted", "sim_mycobot320_choose_scripted"


@dataclass(frozen=True)
class DemoConfig:
    """Flags of this script."""

    twin: bool = cli.flag(False, "teach a myCobot 320 where to put a cube, and run it on the arm's twin")
    dry_run: bool = cli.flag(False, "show the commands only")


def commands(is_twin: bool) -> list[str]:
    """The scripts to run one after the other, each with its flags."""
    task, run = (CHOOSE, "runs/demo_twin") if is_twin else (TRANSFER, "runs/demo")
    data = f"--task_name {task} --dataset_dir data/{task}"
    train = f"imitate_episodes.py {data} --ckpt_dir {run} {BRIEF}"
    return [
        f"record_sim_episodes.py {data} --num_episodes 50",
        f"{train} --resume",
        f"model_runs.py --robot twin --task_name {task} --ckpt_dir {run} --num_rollouts 10"
        if is_twin
        else f"{train} --eval --num_rollouts 50",
    ]


def run(script: list[str]) -> None:
    """Run a script with its flags; SystemExit with its status if it fails.

    A terminal sends Ctrl-C to both: the script ends in its own time, and then this does.
    """
    received: list[int] = []
    name, *flags = script
    signal.signal(signal.SIGINT, lambda number, _: received.append(number))  # a child inherits SIG_IGN
    path, folder = (str(ROOT / name), None) if is_installed() else (name, ROOT)
    process = subprocess.Popen([sys.executable, path, *flags], cwd=folder)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    status = process.wait()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if received:
        raise KeyboardInterrupt
    if status:
        raise SystemExit(status if status > 0 else 128 - status)


def parse_flags(argv: Sequence[str] | None = None) -> DemoConfig:
    """This script's flags."""
    return cli.parse(DemoConfig, __doc__, argv)


def main() -> None:
    config = parse_flags()
    for command in commands(config.twin):
        print(command_line(command), flush=True)
        if not config.dry_run:
            run(command.split())


if __name__ == "__main__":
    cli.run(main)
