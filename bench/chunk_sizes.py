"""What the size of a chunk does: success, time to learn and to think, jumps from one chunk to the next.

The fast recipe with one camera and 1000 steps, on the cube transfer and on the choice of a free place. Step
time and latency are measured here, one size after the other, when all policies are there. With --out, an
interrupted run goes on.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from _harness import alternate, machine, parse, report, timed
from _runs import CHOOSE, LAST, ONE_CAMERA, TRANSFER, Row, Runs, make_runs_parser, runs_of

from common import curves_plot, keep_freed_memory
from constants import IMAGE_SIZE
from evaluation import ChunkedExecution, wilson_interval
from policies import Policy, TorchActor
from policy import load_policy
from training import Run, TrainConfig

BATCH = 32
CHUNKS = (1, 20, 75, 100, 200)  # actions
LABELS = {"transfer": TRANSFER, "choose": CHOOSE}
ROWS = {
    f"{label}, chunk {size}": Row(task, f"{ONE_CAMERA} --num_steps 1000 --chunk_size {size}", rollouts=100)
    for label, task in LABELS.items()
    for size in CHUNKS
}
HEADER = (
    "",
    "success",
    "95 % interval",
    "ms a training step",
    "ms a chunk",
    "rad at borders",
    "rad elsewhere",
)


def thinker(policy: Policy) -> partial:
    """One chunk for one observation."""
    images = {name: np.zeros((*IMAGE_SIZE, 3), np.uint8) for name in policy.interface.cameras}
    execute = ChunkedExecution(TorchActor(policy), query_every=1)
    return partial(execute, {"qpos": np.zeros(policy.interface.state_dim), "images": images})


def learner(policy: Policy) -> partial:
    """One training step on a batch of noise."""
    interface, steps = policy.interface, policy.chunk_size
    shape = (BATCH, len(interface.cameras), *interface.image_size, 3)
    batch = {
        "images": torch.randint(0, 256, shape, dtype=torch.uint8),
        "qpos": torch.randn(BATCH, interface.state_dim),
        "actions": torch.randn(BATCH, steps, interface.action_dim),
        "is_pad": torch.zeros(BATCH, steps, dtype=torch.bool),
    }
    run = Run(policy.train().requires_grad_(True), TrainConfig(), total=1000)
    return partial(run.update, [batch])


def milliseconds(runs: Runs, names: list[str], make: Any, repeats: int) -> dict[str, float]:
    """Median time (ms) of the call that `make` makes of each row's policy."""
    calls = {name: make(load_policy(runs.folder(name) / LAST)) for name in names}
    for call in calls.values():  # to warm up
        call()
    seconds = alternate({name: partial(timed, call) for name, call in calls.items()}, repeats)
    return {name: 1000 * median(values) for name, values in seconds.items()}


def draw(path: Path, results: dict[str, dict[str, Any]]) -> None:
    """The table as a picture."""
    panels: dict[str, dict[str, list]] = {}
    for label in LABELS:
        for size in CHUNKS:
            result = results.get(f"{label}, chunk {size}")
            if result is None:
                continue
            rate, bounds = result["success_rate"], result["success_rate_95"]
            for title, value in (
                ("success (%)", tuple(100 * share for share in (rate, *bounds))),
                ("training step (ms)", result["step_ms"]),
                ("time to think of a chunk (ms)", result["chunk_ms"]),
                ("change of the action at borders (rad)", result["border_change"]),
            ):
                if value is not None:
                    panels.setdefault(title, {}).setdefault(label, []).append((size, value))
    curves_plot(path, panels, "actions in a chunk")


def cells(name: str, result: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table."""
    low, high = wilson_interval(result["successes"], result["rollouts"])
    changes = (result["border_change"], result["change"])
    return (
        name,
        f"{result['success_rate']:.1%}",
        f"{low:.1%} to {high:.1%}",
        f"{result['step_ms']:.0f}",
        f"{result['chunk_ms']:.1f}",
        *("-" if change is None else f"{change:.4f}" for change in changes),
    )


def main() -> None:
    parser = make_runs_parser(__doc__, ROWS, repeats=10)
    parser.add_argument("--seed", type=int, default=0, help="of training")
    parser.add_argument("--plot", type=Path, help="PNG to write")
    args = parse(parser)
    facts = machine()
    keep_freed_memory()
    with runs_of(ROWS, args, args.seed) as runs:
        results = {name: runs.evaluate(name) for name in args.rows}
        for key, make in (("step_ms", learner), ("chunk_ms", thinker)):
            for name, value in milliseconds(runs, args.rows, make, args.repeats).items():
                results[name][key] = value
    title = f"ACT by chunk size, 1000 steps, one camera, batch {BATCH}; seed {args.seed}"
    report(title, facts, HEADER, [cells(name, result) for name, result in results.items()])
    if args.plot:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        draw(args.plot, results)


if __name__ == "__main__":
    main()
