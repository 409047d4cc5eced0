"""Success where a camera was moved: as it is seen then, and undone by `--rectify`.

Policies of the twin's tasks, in its scene. Each rollout moves the camera top by so many mm, and turns it by a
fifth as many degrees, in a direction of its own. The first picture is compared with the reference of the
checkpoint, as before a run of the arm. One that was trained in rooms that vary has none: name another's.

    python3 bench/moved_success.py runs/choose/policy_last.ckpt runs/choose_robust/policy_last.ckpt \
        --reference runs/choose/policy_last.ckpt
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from _harness import machine, make_parser, parse, report
from _moved_runs import CAMERA, DEGREES_PER_MILLIMETRE, WAYS, run_one
from tqdm import tqdm

from common import Workers, spread
from evaluation import wilson_interval

MILLIMETRES = (0, 2, 5, 10, 20)


def measure(args: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """The rows: a policy and a size of the move each."""
    cells = [(path.resolve(), size, way) for path in args.checkpoints for size in args.sizes for way in WAYS]
    reference = args.reference and args.reference.resolve()
    calls = [(cell, 1000 + i, reference) for cell in cells for i in range(args.rollouts)]
    successes = dict.fromkeys(cells, 0)
    workers = Workers(num_workers=1 if args.quick else args.num_workers)
    progress = tqdm(total=len(calls), unit="rollout")
    with progress, spread(run_one, calls, workers, progress) as results:
        for cell, success in results:
            successes[cell] += success
    for path in args.checkpoints:
        for size in args.sizes:
            counts = [successes[path.resolve(), size, way] for way in WAYS]
            shares = [
                f"{count / args.rollouts:.0%} ({low:.0%}-{high:.0%})"
                for count in counts
                for low, high in (wilson_interval(count, args.rollouts),)
            ]
            yield path.parent.name, f"{size:g} mm, {DEGREES_PER_MILLIMETRE * size:g} degrees", *shares


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="of policies of the twin's tasks")
    parser.add_argument(
        "--reference",
        type=Path,
        help="checkpoint whose reference picture counts; each one's own if not given",
    )
    parser.add_argument("--rollouts", type=int, default=50, help="of each policy, size and way")
    parser.add_argument("--sizes", type=float, nargs="+", default=MILLIMETRES, help="mm")
    parser.add_argument("--num_workers", type=int, default=None)
    args = parse(parser)
    if args.quick:
        args.rollouts, args.sizes = 1, MILLIMETRES[-1:]
    title = f"Success with the camera {CAMERA} moved, {args.rollouts} rollouts each (95 % interval)"
    report(title, machine(), ("policy", "moved by", *WAYS), list(measure(args)))


if __name__ == "__main__":
    main()
