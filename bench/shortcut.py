"""The joint shortcut: what keeps a policy from reading its joints instead of the picture, on a fixed budget.

Each row trains the policy of presets/small.json anew, with other start steps or a state that cannot be
relied on, and evaluates it from unseen starts. Beside the success rate are the last validation losses, by
phase of the episode where training separates them: the trouble shows at the start. With --out, an
interrupted run goes on where it stopped, and a finished row is read, not run.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import tempfile
from pathlib import Path
from statistics import median

from _harness import ROOT, TASK, machine, make_parser, parse, report, run_script

from evaluation import wilson_interval
from policy import read_checkpoint

RECIPE = ("--task_name", TASK, "--config", ROOT / "presets/small.json")
UNIFORM = "--early_share 0"
EARLY = "--early_share 0.75 --early_steps 8"
ROWS = {
    "uniform start steps": UNIFORM,
    "early: 0.75 of them in the first 8": EARLY,
    "early: 0.5 of them in the first 40": "--early_share 0.5 --early_steps 40",
    "uniform, state dropout 0.5": f"{UNIFORM} --state_dropout 0.5",
    "uniform, state noise 0.1": f"{UNIFORM} --state_noise 0.1",
    "early (0.75, 8), state dropout 0.5": f"{EARLY} --state_dropout 0.5",
}


def measure(name: str, seed: int, data: Path, out: Path, args: argparse.Namespace) -> dict[str, float]:
    """Train and evaluate a row, or read its result: successes, and the last validation losses."""
    folder = out / f"{re.sub(r'[^a-z0-9.]+', '_', name)}_{args.steps}_steps_seed_{seed}"
    result, checkpoint = folder / "result_policy_last.json", folder / "policy_last.ckpt"
    places = ("--dataset_dir", data, "--ckpt_dir", folder, "--seed", seed)
    flags = (*RECIPE, *shlex.split(ROWS[name]), *places, "--num_steps", args.steps)
    done = json.loads(result.read_text())["rollouts"] if result.is_file() else 0
    if done != args.rollouts:
        run_script("imitate_episodes.py", *flags, "--resume")
        evaluation = ("--num_rollouts", args.rollouts, "--num_videos", 0, "--ckpt_name", checkpoint.name)
        one_process = ("--num_workers", 1) if args.quick else ()  # others take longer to start than this
        run_script("imitate_episodes.py", *flags, "--eval", *evaluation, *one_process)
    losses = read_checkpoint(checkpoint)["training"]["history"][-1]
    losses = {key: value for key, value in losses.items() if key.startswith("val/")}
    return {"successes": json.loads(result.read_text())["successes"], **losses}


def compare(args: argparse.Namespace, out: Path) -> None:
    """Run every row, once for each seed, and print the table."""
    facts = machine()
    data = Path(args.dataset_dir or out / "data")
    run_script(
        "record_sim_episodes.py",
        *("--task_name", TASK, "--dataset_dir", data, "--num_episodes", args.episodes),
    )
    results = {name: [] for name in ROWS}
    for seed in range(args.repeats):
        for name in ROWS:
            results[name].append(measure(name, seed, data, out, args))
    # without the CVAE the loss is the L1 error alone: once is enough
    losses = [key for key in next(iter(results.values()))[0] if key.startswith("val/") and key != "val/loss"]
    rows, n = [], args.rollouts * args.repeats
    for name, measured in results.items():
        successes = sum(result["successes"] for result in measured)
        low, high = wilson_interval(successes, n)
        rates = (f"{successes / n:.1%}", f"{low:.1%} to {high:.1%}")
        rows.append((name, *rates, *(f"{median(result[key] for result in measured):.4f}" for key in losses)))
    title = (
        f"{TASK}: {args.steps} steps of presets/small.json, {args.episodes} demonstrations, {n} unseen starts"
    )
    report(title, facts, ("start steps and state", "success", "95 % interval", *losses), rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--steps", type=int, default=4000, help="optimiser steps of each row")
    parser.add_argument("--rollouts", type=int, default=100, help="unseen starts of each row and round")
    parser.add_argument("--episodes", type=int, default=50, help="demonstrations, recorded once")
    parser.add_argument("--dataset_dir", help="folder of demonstrations; recorded if not given")
    parser.add_argument("--out", help="folder of the runs, to go on with; a temporary one if not given")
    args = parse(parser)
    if args.quick:
        args.steps, args.rollouts, args.episodes = 2, 2, 2
    with tempfile.TemporaryDirectory(prefix="bench_") as temporary:
        compare(args, Path(args.out or temporary).resolve())


if __name__ == "__main__":
    main()
