"""From ten recordings of a real arm to a policy: places, multiply, co-training. The twin stands for the arm.

For each seed there is a room: the twin in a look of its own, its camera up to 2 cm and 4 degrees off where
it stands in the scene (--looks real). Ten recordings there do not say where the cube was. `places` finds it
by its colour, or by clicks where that fails; four points of the table tell how the camera stands. `multiply`
makes 200 of them in the twin. A policy is trained on the folders of each way, and tried in the room. What
is there is not done again (--out).

"Cube off" is how far places are from the truth, which nothing of the chain knows.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from _harness import machine, make_parser, parse, report, run_script
from _real_arm import REAL, TWIN, Answers, record, run_one
from _runs import ROBUST, slug
from tqdm import tqdm

from common import Workers, complete_file, spread
from dataset_tools import HISTORY
from evaluation import wilson_interval
from policies import LAST

ALONE = "{n} alone"
PLAIN, LOOKS = "", "--randomize frame --looks real"
WAYS: dict[str, tuple[str | None, str]] = {  # flags of multiply (None: not done), and of training
    ALONE: (None, ""),
    "{n} and {m} multiplied, plain": (PLAIN, ""),
    "{n} and {m} multiplied, real looks": (LOOKS, ""),
    "{n} and {m} multiplied, real looks, 1 to 3": (LOOKS, "--sample_weights 1 3"),
}
FIRST = 1000  # of the starts that are tried


def label(way: str, args: argparse.Namespace) -> str:
    """A way in words."""
    return way.format(n=args.episodes, m=args.multiplied)


@dataclass(frozen=True)
class Chain:
    """One room; all that is written is in its folder."""

    room: int
    folder: Path
    args: argparse.Namespace

    @property
    def answers(self) -> Answers:
        """Of whoever looks at the recordings."""
        return Answers(self.folder / "real")

    def placed(self) -> Path:
        """The recordings, with places."""
        record(self.folder / "real", self.room, self.args.episodes)
        placed = self.folder / "placed"
        if (placed / HISTORY).is_file():  # written last
            return placed
        colour = f"cube={','.join(map(str, self.answers.colour()))}"
        try:
            self._place(placed, False, "--color", colour)
        except subprocess.CalledProcessError:  # it is not told from the rest by its colour
            self._place(placed, True)
        return placed

    def _place(self, output: Path, clicks_cube: bool, *flags: object) -> None:
        clicks = self.folder / "clicks.json"
        with complete_file(clicks) as part:
            part.write_text(json.dumps(self.answers.clicks(clicks_cube)))
        where = ("--dataset_dir", self.folder / "real", "--output_dir", output, "--task_name", TWIN)
        run_script("edit_episodes.py", "places", *where, "--step", 0, "--clicks", clicks, *flags)

    def data(self, way: str) -> list[Path]:
        """The folders that a way trains on."""
        placed, looks = self.placed(), WAYS[way][0]
        if looks is None:
            return [placed]
        more = self.folder / slug(f"multiplied {looks}")
        where = ("--dataset_dir", placed, "--output_dir", more, "--task_name", TWIN)
        count = ("--num_episodes", self.args.multiplied, *self._one_process)
        run_script("edit_episodes.py", "multiply", *where, *count, *shlex.split(looks))
        return [placed, more]

    @property
    def _one_process(self) -> list[object]:
        return ["--num_workers", 1] * self.args.quick  # others take longer to start than this

    def train(self, way: str) -> Path:
        """The checkpoint of a way."""
        run = self.folder / slug(way)
        if not (run / "trained").is_file():
            flags = ["--task_name", REAL, "--ckpt_dir", run, "--seed", self.room, "--resume"]
            flags += [*shlex.split(self.args.train), *shlex.split(WAYS[way][1])]
            flags += ["--num_steps", self.args.steps] if self.args.steps else []
            run_script("imitate_episodes.py", *flags, "--dataset_dir", *self.data(way))
            (run / "trained").touch()
        return run / LAST

    def evaluate(self, way: str) -> int:
        """Successes in the room."""
        checkpoint, count = self.train(way), self.args.rollouts
        kept = checkpoint.with_name(f"{count}_starts_from_{FIRST}.json")
        if not kept.is_file():
            calls = [(checkpoint, self.room, index) for index in range(FIRST, FIRST + count)]
            progress = tqdm(total=count, desc=f"room {self.room}, {label(way, self.args)}", unit="rollout")
            workers = Workers(num_workers=1) if self.args.quick else Workers()
            with progress, spread(run_one, calls, workers, progress) as results:
                successes = sum(results)
            with complete_file(kept) as part:
                part.write_text(json.dumps(successes))
        return json.loads(kept.read_text())


def rows(args: argparse.Namespace, out: Path) -> list[list[str]]:
    """The table: a way after another."""
    chains = [Chain(room, out / f"room_{room}", args) for room in range(args.seeds)]
    off = [each for chain in chains for each in chain.answers.off(chain.placed())]
    successes = {way: [chain.evaluate(way) for chain in chains] for way in args.ways}
    return [cells(label(way, args), each, args.rollouts, off) for way, each in successes.items()]


def cells(name: str, successes: Sequence[int], rollouts: int, off: Sequence[float]) -> list[str]:
    """A row of the table, from the successes in each room."""
    count, tried = sum(successes), rollouts * len(successes)
    low, high = (f"{share:.1%}" for share in wilson_interval(count, tried))
    by_room = " ".join(map(str, successes))
    return [name, f"{count / tried:.1%}", f"{low} to {high}", by_room, f"{max(off):.1f}"]


HEADER = ("", "success in the room", "95 % interval", "by room", "cube off, at most (mm)")


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, metavar="WAY", help="which")
    parser.add_argument("--seeds", type=int, default=3, help="rooms, and of training, from 0 on")
    parser.add_argument("--episodes", type=int, default=10, help="recordings of the real arm")
    parser.add_argument("--multiplied", type=int, default=200, help="episodes that are made of them")
    parser.add_argument("--steps", type=int, help="of each training; as the preset says if not given")
    parser.add_argument("--rollouts", type=int, default=200, help=f"from start {FIRST} on")
    parser.add_argument("--train", default=ROBUST, help="further flags of imitate_episodes.py")
    parser.add_argument("--out", help="folder of the runs, to go on with; a temporary one if not given")
    args = parse(parser)
    if args.quick:
        args.ways = [ALONE, list(WAYS)[1]]
        args.seeds, args.episodes, args.multiplied, args.steps, args.rollouts = 1, 3, 4, 2, 1
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
        table = rows(args, Path(args.out or temporary).resolve())
    report(f"{args.episodes} recordings in each room, {args.seeds} rooms", facts, HEADER, table)


if __name__ == "__main__":
    main()
