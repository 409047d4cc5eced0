"""On a GPU: whether everything is right, and how fast each thing is. At most six minutes on an H100 or H200.

    python3 bench/gpu.py --out gpu.jsonl                  everything
    python3 bench/gpu.py --device cpu --tiny              a dry run without a GPU

For the one run on a GPU that is lent: take this repository there, and nothing else. On a plain image with
PyTorch (2.6 or later, Python 3.10 or later) the first command installs and downloads nothing, needs no
MuJoCo, and says in a line what it leaves out for want of a package. It ends within 330 s (`--budget`), plus
ten for its start. `--out` has every number, the table the main ones, stderr the whole of what went wrong.
Before, do the dry run where it costs nothing.

Packages that the image lacks come from a folder, `--site`, which stands behind the image's own. Policies
other than ACT want three; make the folder where there is a network, for the image's Python:

    pip install --no-deps --no-compile --target gpu_site --python-version 3.12 \\
        byol-pytorch diffusers robomimic==0.3.0

(`--no-deps`: they must not bring another torch. If one of them asks for more, its row says so.)

A second run trains ACT at its published size from scratch, on 50 episodes of each task, and evaluates it.
It also needs mujoco, dm_control, gym-aloha, pyquaternion and what these ask for in the folder, and EGL:

    export PYTHONPATH=gpu_site MUJOCO_GL=egl
    for task in sim_transfer_cube_scripted sim_insertion_scripted; do
        python3 record_sim_episodes.py --task_name $task --dataset_dir data/$task --num_episodes 50
    done
    python3 bench/gpu.py --site gpu_site --only machine train --budget 500 --out full.jsonl --keep runs \\
        --episodes data/sim_transfer_cube_scripted data/sim_insertion_scripted

Of the budget, each folder of episodes gets its share; a run for which that is too short is stopped, and its
row says how far it came. Without MuJoCo there, take the episodes along; the policies in `--keep` can be
evaluated elsewhere.

Sections run in a process of their own, one after the other. One that fails is a line of the table. One that
hangs or loses the GPU is ended, and the next begins in a new process. One for which no time is left is
skipped; the first are worth most. `--only` and `--skip` take their names. The status is 1 if anything
failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from _gpu.packages import add_site, lacking, stand_in
from _gpu.process import Broken, Worker
from _gpu.registry import SECTIONS
from _gpu.rows import HEADER, TEXT, Rows, cells
from _gpu.wanted import verdicts

BUDGET = 330.0  # s; with what comes before and after, less than six minutes
TRAIN = "train"
LATE = 1.5  # how many times as long as expected a section may take that leaves none for others


def make_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: only shows that everything runs")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for all sections")
    names = ", ".join(SECTIONS)
    parser.add_argument("--only", nargs="+", metavar="SECTION", choices=SECTIONS, help=f"of {names}")
    parser.add_argument("--skip", nargs="+", metavar="SECTION", choices=SECTIONS, default=[])
    parser.add_argument("--out", help="file that the JSON lines are written to as well")
    parser.add_argument("--site", help="folder of packages that this machine lacks")
    parser.add_argument("--episodes", nargs="+", default=[], help="folders of episodes to train on")
    parser.add_argument("--train_flags", default="", help="more flags of imitate_episodes.py for these")
    parser.add_argument("--keep", help="folder for what is trained; nothing is kept without")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def check(args: argparse.Namespace) -> None:
    """ValueError for the first flag that makes no sense."""
    add_site(args.site)
    for folder in args.episodes:
        if not Path(folder).is_dir():
            raise ValueError(f"--episodes is {folder!r}; there is no such folder")
    if not args.budget > 0:
        raise ValueError(f"--budget is {args.budget:g}; it must be above 0")
    if args.out and not Path(args.out).resolve().parent.is_dir():
        raise ValueError(f"--out is {args.out!r}; its folder does not exist")


class Clock:
    """The time that everything may take."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


def run_sections(names: Sequence[str], command: Sequence[str], clock: Clock, rows: Rows) -> None:
    """Run the sections, in one process as long as it is whole. `Broken` if none starts."""
    worker = None
    try:
        for place, name in enumerate(names):
            section = SECTIONS[name]
            missing = lacking(section.needs)
            if missing or clock.left() < section.seconds:
                why = f"this machine lacks {', '.join(missing)}" if missing else "no time left"
                rows.add(name, "section", skipped=why)
                continue
            if worker is None:
                worker = Worker(command)
                worker.wait(clock.left() / 2)
            behind = sum(SECTIONS[later].seconds for later in names[place + 1 :])
            print(f"{name}: {section.purpose}; {clock.left():.0f} s are left", file=sys.stderr)
            try:
                for row in worker.run(name, max(LATE * section.seconds, clock.left() - behind)):
                    rows.add(name, **row)
            except Broken as error:
                rows.add(name, "section", error=str(error))
                worker.close()
                worker = None
    finally:
        if worker:
            worker.close()


def main() -> int:
    parser = make_parser()
    args = parser.parse_args()
    try:
        check(args)
    except ValueError as error:
        parser.error(str(error))
    stand_in()
    from _harness import machine, table  # which puts the repository on the path

    if args.worker:
        from _gpu.serve import serve

        return serve(args)
    facts, rows, clock = machine(), Rows(Path(args.out) if args.out else None), Clock(args.budget)
    names = [name for name in args.only or SECTIONS if name not in args.skip]
    nothing_to_train = TRAIN in names and not args.episodes
    if nothing_to_train:
        names.remove(TRAIN)  # so that no time is kept for it
    try:
        run_sections(names, [sys.executable, *sys.argv, "--worker"], clock, rows)
    except Broken as error:
        sys.exit(f"error: {error}")
    if nothing_to_train:
        rows.add(TRAIN, "section", skipped="no --episodes given")
    for what, values in verdicts(rows):
        rows.add("wanted", what, **values)
    seconds, failures = args.budget - clock.left(), rows.failures()
    skipped = sum("skipped" in row for row in rows)
    print(f"\nOn a GPU: {len(rows)} rows in {seconds:.0f} s, {len(failures)} failed, {skipped} skipped")
    print(f"{facts}\n\n{table(HEADER, [cells(row) for row in rows], text=TEXT)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
