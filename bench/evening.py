"""A user's evening: from ten demonstrations on the twin to a policy that works, and works tomorrow too.

The twin stands in for a real arm, in a room of its own (`--room`): nothing in the simulator shows its look
and where its cameras stand. Everything is done by the commands that a user types, each a process of its own;
what a person does by eye, clicking things in a picture, is done to the pixel and takes no time here. The
commands run in --out; the same command goes on where it was stopped, and what is finished is not done again.

With --plain, the same demonstrations and presets/small.json, without what the toolkit has learned since.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from _evening_steps import STEPS, TASKS, Evening, Listed, Size, Step
from _harness import ROOT, machine, make_parser, parse, table
from _runs import slug
from tqdm import tqdm

from common import check_folder, complete_file
from evaluation import list_results, read_result, wilson_interval

QUICK = Size(shown=2, more=1, multiplied=2, steps=2, runs=1, workers=1)
HEADER = ("", "minutes", "of a processor", "", "command")


@dataclass(frozen=True)
class Done:
    """What became of a step, so far."""

    seconds: float = 0.0
    processor: float = 0.0  # s of all cores together
    status: int | None = None  # of its command; None: it was stopped, and is to go on


def words(flags: Sequence[object]) -> list[str]:
    """Flags as on a command line."""
    return [word for flag in flags for word in (flag.words() if isinstance(flag, Listed) else [str(flag)])]


def processor_seconds() -> float:
    """Of all commands that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def do(step: Step, folder: Path) -> Done:
    """Run a step's command in the evening's folder, unless it is done; what it says goes to a log."""
    kept, log = (
        folder / what / f"{slug(step.name)}.{end}" for what, end in (("steps", "json"), ("log", "txt"))
    )
    before = Done(**json.loads(kept.read_text())) if kept.is_file() else Done()
    if before.status is not None:
        return before
    if step.folder:
        shutil.rmtree(folder / step.folder, ignore_errors=True)
    if step.prepare is not None:
        step.prepare()
    log.parent.mkdir(parents=True, exist_ok=True)
    status, began, used = None, time.perf_counter(), processor_seconds()
    try:
        status = _run(step, folder, log)
    finally:
        seconds = before.seconds + time.perf_counter() - began
        done = Done(seconds, before.processor + processor_seconds() - used, status)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with complete_file(kept) as part:
            part.write_text(json.dumps(asdict(done)))
    return done


def _run(step: Step, folder: Path, log: Path) -> int:
    """The status of a step's command; RuntimeError, with what it said last, if that is no result."""
    if any(isinstance(flag, Listed) and not flag.words() for flag in step.flags):
        return 0  # there is nothing to do it to
    command = [sys.executable, str(ROOT / step.script), *words(step.flags)]
    with log.open("a", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()  # it heard Ctrl-C too, and saves what it has
            raise
    if status < 0 or (status and not step.may_fail):
        last = "\n".join(log.read_text(encoding="utf-8").splitlines()[-5:])
        raise RuntimeError(f"{step.name}: status {status} of {shlex.join(command)}\n{last}")
    return status


def successes(step: Step, folder: Path) -> int:
    """Runs of a block that succeeded; those that were refused or did not come to their end have not."""
    results = list_results(folder / step.folder)
    return read_result(results[0]).successes if results else 0


def came_of(step: Step, folder: Path) -> str:
    """A step's result in words."""
    if step.runs:
        return share(successes(step, folder), step.runs)
    log = folder / "log" / f"{slug(step.name)}.txt"
    said = log.read_text(encoding="utf-8") if log.is_file() else ""
    matches = re.findall(step.finds, said, re.MULTILINE) if step.finds else []
    if matches and matches[0].endswith(" mm"):
        return f"{max(float(match.split()[0]) for match in matches)} mm off at most"
    return matches[-1] if matches else ""


def share(count: int, tried: int) -> str:
    """Successes, with their 95 % interval."""
    low, high = (f"{100 * each:.1f}" for each in wilson_interval(count, tried))
    return f"{count} of {tried} ({low} to {high} %)"


def rows(steps: Mapping[Step, Done], folder: Path) -> list[list[str]]:
    """The table."""
    made = []
    for step, done in steps.items():
        command = f"{step.script} {shlex.join(_short(words(step.flags)))}"
        made.append([step.name, *_minutes([done]), came_of(step, folder), command])
    blocks = [step for step in steps if step.runs]
    count, tried = sum(successes(step, folder) for step in blocks), sum(step.runs for step in blocks)
    trained = [done for step, done in steps.items() if step.is_training]
    made.append(["training, of it all", *_minutes(trained), "", ""])
    return [*made, ["in all", *_minutes(steps.values()), share(count, tried), ""]]


def _short(flags: Sequence[str]) -> list[str]:
    """Without where this repository is."""
    return [flag.removeprefix(f"{ROOT}/") for flag in flags]


def _minutes(done: Sequence[Done]) -> list[str]:
    wall, processor = sum(each.seconds for each in done), sum(each.processor for each in done)
    return [f"{wall / 60:.1f}", f"{processor / 60:.1f}"]


def make_flags() -> argparse.ArgumentParser:
    """The flags."""
    size = Size()
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--task", default="move", choices=TASKS, help="what the arm is to learn")
    parser.add_argument("--out", help="folder of the evening, to go on with; a temporary one if not given")
    parser.add_argument("--plain", action="store_true", help="without the toolkit's newer helps")
    parser.add_argument("--room", type=int, default=5, help="number of the room that the twin stands in")
    parser.add_argument("--seed", type=int, default=0, help="of everything else")
    parser.add_argument("--pace", type=float, default=1.0, help="of the twin; 0.5 is slow motion")
    parser.add_argument("--shown", type=int, default=size.shown, help="demonstrations at first")
    parser.add_argument("--more", type=int, default=size.more, help="of them where they are suggested")
    parser.add_argument("--multiplied", type=int, default=size.multiplied, help="episodes made of these")
    parser.add_argument("--recovering", type=float, default=size.recovering, help="share that begins midway")
    parser.add_argument(
        "--steps", type=int, help=f"of training; {STEPS}, or with --plain its preset's, if not given"
    )
    parser.add_argument("--runs", type=int, default=size.runs, help="of each block")
    parser.add_argument("--film", help="write a film of the evening, an MP4 of two minutes")
    return parser


def check_flags(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Ends with one line for a number that makes no sense, or a folder that is none."""
    least = {"room": 0, "seed": 0, "more": 0, "multiplied": 1, "shown": 1, "runs": 1, "steps": 1}
    for name, low in least.items():
        value = getattr(args, name)
        if value is not None and value < low:
            parser.error(f"--{name} is {value}; it must be at least {low}")
    if not 0 <= args.recovering <= 1:
        parser.error(f"--recovering is {args.recovering:g}; it must be from 0 to 1")
    if args.pace <= 0:
        parser.error(f"--pace is {args.pace:g}; it must be above 0")
    try:
        check_folder(args.out or ".", "out")
    except NotADirectoryError as error:
        parser.error(str(error))


def evening_of(args: argparse.Namespace, folder: Path) -> Evening:
    """The evening that the flags tell of."""
    numbers = (args.shown, args.more, args.multiplied, args.recovering, args.steps, args.runs)
    size = QUICK if args.quick else Size(*numbers)
    return Evening(args.task, folder, args.room, args.seed, size, args.pace, args.plain)


def check_same(args: argparse.Namespace, folder: Path) -> None:
    """SystemExit if a folder has an evening with other flags; notes them otherwise."""
    flags, noted = {k: v for k, v in vars(args).items() if k not in ("out", "film")}, folder / "evening.json"
    before = json.loads(noted.read_text()) if noted.is_file() else flags
    for name, value in flags.items():
        if before.get(name) != value:
            raise SystemExit(
                f"{folder} has an evening whose --{name} is {before.get(name)}, not {value}; go on with that "
                "one, or choose another --out"
            )
    with complete_file(noted) as part:
        part.write_text(json.dumps(flags, indent=1) + "\n")


def main() -> None:
    parser = make_flags()
    args, facts = parse(parser), machine()
    check_flags(args, parser)
    with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
        folder = Path(args.out or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        check_same(args, folder)
        steps: dict[Step, Done] = {}
        evening = evening_of(args, folder)
        with tqdm(list(evening.steps()), unit="step") as progress:
            for step in progress:
                progress.set_description(step.name)
                steps[step] = do(step, folder)
        if args.film:
            from _evening_film import write_film  # behind the harness, which finds the project

            write_film(evening, Path(args.film))
        way = "as it was done before" if args.plain else "with all help"
        title = f"An evening with {args.task}, {way}; room {args.room}, seed {args.seed}, pace {args.pace:g}"
        print(f"{title}\n{facts}\n\n{table(HEADER, rows(steps, folder), text=(0, 3, 4))}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nstopped; with --out, the same command goes on")
