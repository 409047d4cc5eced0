"""The same policy from the same starts, simulated (`imitate_episodes.py --eval`) and on the real-time twin.

On the twin everything is as on the arm: serial port, servo loop, cameras, safety. The difference of the
success rates has the 95 % interval of Agresti and Min (2005) for matched pairs.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

from _harness import ROOT, machine, make_parser, parse, report

from evaluation import NORMAL_95, wilson_interval


def difference_interval(only_one: int, only_other: int, n: int) -> tuple[float, float]:
    """95 % interval of rate(one) - rate(other), from n pairs of which so many succeeded in one alone."""
    n, one, other = n + 2, only_one + 0.5, only_other + 0.5
    difference = (one - other) / n
    margin = NORMAL_95 * math.sqrt(one + other - (one - other) ** 2 / n) / n
    return max(-1.0, difference - margin), min(1.0, difference + margin)


def outcomes(command: list[str], result: Path) -> list[dict]:
    """Run a script, and read what its rollouts came to."""
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    return json.loads(result.read_text(encoding="utf-8"))["outcomes"]


def main() -> None:
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--task_name", default="sim_mycobot320_move_cube_scripted", help="task of the twin")
    parser.add_argument("--ckpt_dir", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--ckpt_name", default="policy_last.ckpt", help="checkpoint")
    parser.add_argument("--rollouts", type=int, default=50, help="starts")
    args = parse(parser)
    folder, facts = args.ckpt_dir.resolve(), machine()
    flags = ["--task_name", args.task_name, "--ckpt_dir", str(folder), "--ckpt_name", args.ckpt_name]
    flags += ["--num_rollouts", str(2 if args.quick else args.rollouts)]
    result = f"result_{Path(args.ckpt_name).stem}.json"
    simulated = outcomes(["imitate_episodes.py", *flags, "--eval", "--num_videos", "0"], folder / result)
    runs = outcomes(["model_runs.py", *flags, "--robot", "twin"], folder / "arm" / result)
    n, best = len(runs), len(json.loads((folder / result).read_text(encoding="utf-8"))["stages"])
    pairs = [
        (a["highest_reward"] == best, b["highest_reward"] == best)
        for a, b in zip(simulated, runs, strict=True)
    ]
    rows = []
    for name, successes in (("simulation", [a for a, _ in pairs]), ("twin", [b for _, b in pairs])):
        low, high = wilson_interval(sum(successes), n)
        rows.append([name, f"{sum(successes)}/{n}", f"{low:.1%} to {high:.1%}"])
    only_simulation, only_twin = pairs.count((True, False)), pairs.count((False, True))
    low, high = difference_interval(only_twin, only_simulation, n)
    rows.append(["twin alone", str(only_twin), ""])
    rows.append(["simulation alone", str(only_simulation), ""])
    rows.append(
        ["twin minus simulation", f"{(only_twin - only_simulation) / n:+.1%}", f"{low:+.1%} to {high:+.1%}"]
    )
    stopped = sum(b["stopped"] is not None for b in runs)
    report(
        f"{args.task_name}, {n} starts; {stopped} runs on the twin were stopped",
        facts,
        ["", "success", "95 %"],
        rows,
    )


if __name__ == "__main__":
    main()
