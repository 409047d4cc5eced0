"""What the benchmarks share: contenders and their turns, the table, the facts of the machine.

Every figure is a comparison within one run: the contenders take turns (A B A B ...), and the table gives
medians and the ratio to the first row, which is ACT's way.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the benchmarks run from any folder, without being installed

TASK = "sim_transfer_cube_scripted"
Result = dict[str, float]  # "seconds", and whatever else a job counts
Job = Callable[[Path], dict[str, float]]  # writes to the folder it is given; returns what it counted
T = TypeVar("T")


def make_parser(description: str, repeats: int | None) -> argparse.ArgumentParser:
    """A parser with the flags that all benchmarks have; no --repeats if it is None."""
    parser = argparse.ArgumentParser(
        description=description.strip().splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    if repeats is None:
        parser.set_defaults(repeats=1)
    else:
        parser.add_argument("--repeats", type=int, default=repeats, help="rounds; the table gives medians")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: only shows that it runs")
    parser.add_argument("--contender", help=argparse.SUPPRESS)  # this process is one (`Contender`)
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The flags; one round if `--quick`."""
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error(f"--repeats is {args.repeats}; it must be at least 1")
    if args.quick:
        args.repeats = 1
    return args


class Contender:
    """A process of its own that does the job once per `measure`: this script again, with `--contender NAME`.

    A process reads the number of threads that render in software only once, so ways that differ in it cannot
    share one. Start all contenders, then measure: imports and set-up happen before the first measurement.
    """

    def __init__(
        self, name: str, environment: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> None:
        variables = {name: value for name, value in os.environ.items() if name != "LP_NUM_THREADS"}
        if sys.platform.startswith("linux"):
            variables.setdefault("MUJOCO_GL", "egl")
        variables |= {"TQDM_DISABLE": "1", **(environment or {})}
        command = [python, str(Path(sys.argv[0]).resolve()), *sys.argv[1:], "--contender", name]
        self._name = name
        self._process = subprocess.Popen(
            command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _read(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"contender {self._name!r} ended with status {self._process.wait()}")
        return json.loads(line)

    def wait(self) -> Contender:
        """Return when it has set itself up."""
        self._read()
        return self

    def measure(self) -> Result:
        """Let it do the job once."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Let it finish."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@contextmanager
def ready(contenders: Mapping[str, Contender]) -> Iterator[dict[str, Callable[[], Result]]]:
    """The function that measures each contender, once all have set themselves up; closes them at the end."""
    try:
        yield {name: contender.wait().measure for name, contender in contenders.items()}
    finally:
        for contender in contenders.values():
            contender.close()


def serve(setup: AbstractContextManager[Job]) -> None:
    """Be a contender: set up, then do the job, in a fresh temporary folder, for every line of stdin."""
    stdout = sys.stdout
    with open(os.devnull, "w") as silence, redirect_stdout(silence), setup as job:
        print("null", file=stdout, flush=True)
        for _ in sys.stdin:
            with tempfile.TemporaryDirectory(prefix="bench_") as folder:
                began = time.perf_counter()
                counted = job(Path(folder))
                seconds = time.perf_counter() - began
            print(json.dumps({"seconds": seconds, **counted}), file=stdout, flush=True)


def alternate(contenders: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, list[T]]:
    """Call every contender once a round, in turn; what each returned, by name."""
    results: dict[str, list[T]] = {name: [] for name in contenders}
    with tqdm(total=repeats * len(contenders), unit="measurement") as progress:
        for _ in range(repeats):
            for name, run in contenders.items():
                progress.set_description(name)
                results[name].append(run())
                progress.update()
    return results


def medians(results: Sequence[Result]) -> Result:
    """The median of each number that a contender returned."""
    return {key: median(result[key] for result in results) for key in results[0]}


def run_script(name: str, *flags: object) -> None:
    """Run one of our scripts; what it prints goes to stderr, as the table has stdout to itself."""
    subprocess.run([sys.executable, str(ROOT / name), *map(str, flags)], stdout=sys.stderr, check=True)


def timed(function: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def use_one_core() -> None:
    """Confine this process to one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def installed(name: str) -> str:
    """A package and its version; or that it is missing, as the simulator is on a machine that only trains."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def machine() -> str:
    """CPU, cores, versions, and how busy the machine is, in one line."""
    cpu = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        names = [
            line.partition(":")[2].strip() for line in facts.read_text().splitlines() if "model name" in line
        ]
        cpu = names[0] if names else cpu
    load = f", load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    packages = ", ".join(map(installed, ("torch", "mujoco")))
    return f"{cpu}, {os.cpu_count()} cores{load}; Python {platform.python_version()}, {packages}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], text: Collection[int] = (0,)) -> str:
    """Markdown, aligned; the columns in `text` are text, the others are numbers."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        columns = enumerate(zip(cells, widths, strict=True))
        padded = [cell.ljust(width) if i in text else cell.rjust(width) for i, (cell, width) in columns]
        return f"| {' | '.join(padded)} |"

    rule = [f"{'-' * (width - 1)}{'-' if i in text else ':'}" for i, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def report(title: str, facts: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the title, the machine and the table; `facts` is `machine()` from before the measurement."""
    print(f"{title}\n{facts}\n\n{table(header, rows)}")
