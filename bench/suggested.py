"""What suggested demonstrations are worth: 20 more at suggested places, against 20 more from everywhere.

For each task and seed, 20 demonstrations are recorded, and a policy is trained on them (presets/small.json).
It is tried on starts 0 to 99, which nothing is reported of. From this `report.py --coverage` suggests 20
starts, and 20 are recorded there; 20 others are drawn as ever; and, if asked for, 20 are spread evenly, which
is what is suggested without a policy. A policy is trained on each 40, as long as the first, and evaluated on
the same 500 starts. What is there is not done again (--out).

The last columns compare with the uniform ones: failures for each of theirs, and the difference of the success
rates with its 95 % interval, which takes all rollouts as independent.
"""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from _harness import machine, make_parser, parse, report, run_script
from _runs import SMALL, TRANSFER, TWIN_MOVE, slug

from common import complete_file
from constants import get_task
from evaluation import difference_interval, wilson_interval
from policies import LAST
from tasks import write_starts
from viewers import read_coverage

TASKS = {"transfer": TRANSFER, "twin move": TWIN_MOVE}
ALONE, UNIFORM = "alone", "uniform"
WAYS = {
    ALONE: "{n} alone",
    UNIFORM: "{n} + {n} uniform",
    "suggested": "{n} + {n} suggested",
    "spread": "{n} + {n} spread evenly",
}
TRAIN = f"{SMALL} --batch_size 16 --beta2 0.98 --early_share 0.2"
FIRST = 1000  # of the starts that are reported
TRIED = 100  # starts, from 0 on, that suggestions learn from
OTHERS = 500  # added to a seed: the recording of the uniform other half


@dataclass(frozen=True)
class Experiment:
    """One task with one seed; all that it writes is in its folder."""

    task: str
    seed: int
    folder: Path
    args: argparse.Namespace

    def record(self, name: str, *flags: object) -> Path:
        """Record as many demonstrations as a half has."""
        folder = self.folder / f"data_{name}"
        where = ("--task_name", self.task, "--dataset_dir", folder, "--num_episodes", self.args.episodes)
        run_script("record_sim_episodes.py", *where, *flags, *self._one_process)
        return folder

    @property
    def _one_process(self) -> list[object]:
        return ["--num_workers", 1] * self.args.quick  # others take longer to start than this

    def first_half(self) -> Path:
        """The demonstrations that all policies are trained on."""
        return self.record("first", "--seed", self.seed)

    def second_half(self, way: str) -> Path:
        """The others of a way."""
        if way == UNIFORM:
            return self.record(way, "--seed", OTHERS + self.seed)
        source = self.first_half()
        if way == "suggested":
            source = self.train(ALONE)
            self.evaluate(ALONE, 0, self.args.tried)
        starts = self.folder / f"{way}_starts.json"
        if not starts.is_file():
            task, new = get_task(self.task), read_coverage(source).next_starts(self.args.episodes)
            write_starts(starts, task, [prop.name for prop in task.props], [start for _, start in new])
        return self.record(way, "--seed", self.seed, "--at", starts)

    def train(self, way: str) -> Path:
        """The run of a way."""
        run, done = self.folder / way, self.folder / f"{way}.trained"
        if not done.is_file():
            data = [self.first_half(), *([] if way == ALONE else [self.second_half(way)])]
            run_script("imitate_episodes.py", *self._flags(way), "--dataset_dir", *data, "--resume")
            done.touch()
        return run

    def _flags(self, way: str) -> list[object]:
        flags = ("--task_name", self.task, "--ckpt_dir", self.folder / way, "--seed", self.seed)
        return [*flags, *shlex.split(self.args.train), "--num_steps", self.args.steps]

    def evaluate(self, way: str, first: int, count: int) -> tuple[int, int]:
        """Successes and rollouts from these starts."""
        run = self.train(way)
        kept = self.folder / f"{way}_{first}_{count}.json"
        if not kept.is_file():
            starts = ("--first_rollout", first, "--num_rollouts", count, "--num_videos", 0)
            flags = (*self._flags(way), *starts, "--ckpt_name", LAST, *self._one_process)
            run_script("imitate_episodes.py", *flags, "--eval")
            with complete_file(kept) as part:
                part.write_bytes((run / f"result_{Path(LAST).stem}.json").read_bytes())
        result = json.loads(kept.read_text())
        return result["successes"], result["rollouts"]


def cells(name: str, results: Sequence[tuple[int, int]], uniform: Sequence[tuple[int, int]]) -> list[str]:
    """A row of the table, from the successes and rollouts of each seed."""
    one, other = ((sum(s for s, _ in each), sum(n for _, n in each)) for each in (results, uniform))
    failures, others = one[1] - one[0], other[1] - other[0]
    low, high = (f"{share:.1%}" for share in wilson_interval(*one))
    least, most = (100 * share for share in difference_interval(one, other))
    by_seed = " ".join(str(n - s) for s, n in results)
    ratio = f"{failures / others:.2f}" if others else "0.00"
    change = f"{100 * (one[0] / one[1] - other[0] / other[1]):.1f} ({least:.1f} to {most:.1f})"
    return [name, f"{one[0] / one[1]:.1%}", f"{low} to {high}", str(failures), by_seed, ratio, change]


def rows(args: argparse.Namespace, out: Path) -> list[list[str]]:
    """The table, a task after another."""
    table = []
    for label in args.tasks:
        results: Mapping[str, list[tuple[int, int]]] = {way: [] for way in args.ways}
        for seed in range(args.seeds):
            folder = out / slug(label) / f"seed_{seed}"
            experiment = Experiment(TASKS[label], seed, folder, args)
            folder.mkdir(parents=True, exist_ok=True)
            if "suggested" in args.ways:
                experiment.second_half(
                    "suggested"
                )  # before anything is known of the starts that are reported
            for way in args.ways:
                results[way].append(experiment.evaluate(way, FIRST, args.rollouts))
        for way, each in results.items():
            name = f"{label}, {WAYS[way].format(n=args.episodes)}"
            table.append(cells(name, each, results[UNIFORM]))
    return table


HEADER = (
    "",
    "success",
    "95 % interval",
    "failures",
    "by seed",
    "of uniform's",
    "points more than uniform",
)


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument(
        "--tasks", nargs="+", default=list(TASKS), choices=TASKS, metavar="TASK", help="which"
    )
    parser.add_argument(
        "--ways", nargs="+", default=list(WAYS)[:3], choices=WAYS, metavar="WAY", help="which"
    )
    parser.add_argument("--seeds", type=int, default=5, help="of recording and training, from 0 on")
    parser.add_argument("--episodes", type=int, default=20, help="demonstrations of each half")
    parser.add_argument("--steps", type=int, default=1400, help="of each training")
    parser.add_argument(
        "--rollouts", type=int, default=500, help=f"of each evaluation, from start {FIRST} on"
    )
    parser.add_argument("--train", default=TRAIN, help="further flags of imitate_episodes.py")
    parser.add_argument("--out", help="folder of the runs, to go on with; a temporary one if not given")
    args = parse(parser)
    args.tried = TRIED
    if UNIFORM not in args.ways:
        parser.error(f"--ways is {' '.join(args.ways)}; the table compares with {UNIFORM}")
    if args.quick:
        args.tasks, args.seeds, args.episodes, args.steps = args.tasks[-1:], 1, 2, 2
        args.rollouts = args.tried = 2
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
        table = rows(args, Path(args.out or temporary).resolve())
    report(f"{args.steps} steps, {args.seeds} seeds", facts, HEADER, table)


if __name__ == "__main__":
    main()
