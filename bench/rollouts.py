"""Open-loop rollouts: ours, with the small network of `make demo`, against ACT's way.

ACT renders every step at full quality, in one process, keeps all the images, and asks its full network, which
sees 480x640, once a chunk. Ours renders only what the network sees, and runs rollouts side by side. Weights
are random. Ours counts the start of its worker processes; ACT's way counts no set-up, renders one camera
(`top`; ACT's own three) and writes no video.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from _harness import (
    TASK,
    Contender,
    Job,
    Result,
    alternate,
    machine,
    make_parser,
    medians,
    parse,
    report,
    serve,
)

from actors import Interface
from constants import Stream, get_task
from episodes import Stats
from evaluation import EvalConfig, EvalJob, evaluate
from policies import ACTConfig, ACTPolicy, Policy
from policy import save_policy
from tasks import Task

CAMERA = "top"
CHUNK = 100
ACTS_WAY = "ACT's way: full network, every step rendered"
OURS = "ours: small network, one frame a chunk"


def start_pose(task: Task) -> torch.Tensor:
    """State (D,) at the start: random weights then move the arms around it."""
    return torch.tensor([value for arm in task.arms for value in (*arm.start, 0.0)], dtype=torch.float32)


@contextmanager
def acts_way(task: Task, hidden_dim: int = 512) -> Iterator[Job]:
    """One rollout (ACT: imitate_episodes.py, eval_bc)."""
    from _published import PublishedACT

    from sim_env import make_sim_env

    env = make_sim_env(task, "full")
    torch.manual_seed(0)
    network = PublishedACT(task.dim, CHUNK, hidden_dim=hidden_dim).eval()
    pose = start_pose(task)

    @torch.inference_mode()
    def rollout(folder: Path) -> dict[str, float]:
        step = env.reset(np.random.default_rng([0, Stream.EVALUATE, 0]))
        kept = []
        for t in range(task.episode_len):
            image = step.observation["images"][CAMERA]
            kept.append(image)
            if t % CHUNK == 0:
                pixels = torch.from_numpy(image / 255.0).float().permute(2, 0, 1).contiguous()
                qpos = torch.from_numpy(step.observation["qpos"]).float()
                actions = network((qpos - pose)[None] / 0.1, pixels[None, None])[0] * 0.1 + pose
            step = env.step(actions[t % CHUNK].numpy())
        return {"rollouts": 1}

    try:
        yield rollout
    finally:
        env.close()


def small_policy(task: Task, image_size: tuple[int, int], chunk_size: int) -> Policy:
    """A policy like that of presets/small.json, whose random weights move the arms around their start."""
    config = ACTConfig(
        chunk_size=chunk_size,
        backbone="keypoints",
        hidden_dim=192,
        dim_feedforward=768,
        enc_layers=2,
        nheads=4,
        dropout=0.0,
        no_encoder=True,
    )
    moments = {"mean": start_pose(task), "std": torch.full((task.dim,), 0.1)}
    stats = Stats.completed({f"{of}_{name}": v for of in ("qpos", "action") for name, v in moments.items()})
    torch.manual_seed(0)
    interface = Interface(task.dim, task.dim, task.cameras, image_size, task.name, "fast")
    return ACTPolicy(config, interface, stats)


@contextmanager
def ours(task: Task, rollouts: int) -> Iterator[Job]:
    """All rollouts, through evaluation.evaluate, on all cores."""
    policy = small_policy(replace(task, cameras=(CAMERA,)), (120, 160), CHUNK)

    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        checkpoint = Path(folder) / "policy_best.ckpt"
        save_policy(checkpoint, policy)

        def run(output_dir: Path) -> dict[str, float]:
            job = EvalJob(checkpoint, task, EvalConfig(num_videos="0"), output_dir)
            return {"rollouts": evaluate(job, range(rollouts)).n}

        yield run


def fresh(name: str) -> Result:
    """Measure once in a new process, whose workers have to start."""
    contender = Contender(name)
    try:
        return contender.wait().measure()
    finally:
        contender.close()


def compare(args: argparse.Namespace, task: Task) -> None:
    """Measure both ways and print the table."""
    facts = machine()
    one_by_one = Contender(ACTS_WAY)
    try:
        contenders = {ACTS_WAY: one_by_one.wait().measure, OURS: lambda: fresh(OURS)}
        results = alternate(contenders, args.repeats)
    finally:
        one_by_one.close()
    rows, slowest = [], None
    for name, measured in results.items():
        one = medians(measured)
        seconds = one["seconds"] / one["rollouts"]
        slowest = slowest or seconds
        measured_as = f"{median(result['seconds'] for result in measured):.1f} s for {one['rollouts']:.0f}"
        rows.append((name, measured_as, f"{seconds:.2f}", f"{50 * seconds:.1f}", f"{slowest / seconds:.1f}x"))
    title = f"Open-loop rollouts of {task.name}: {task.episode_len} steps, chunks of {CHUNK}"
    report(title, facts, ("way", "measured", "s/rollout", "s/50 rollouts", "faster"), rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument(
        "--rollouts", type=int, default=50, help="rollouts of ours at a time; of ACT's way, one"
    )
    args = parse(parser)
    task = get_task(TASK)
    if args.quick:
        args.rollouts, task = 2, replace(task, episode_len=20)
    if args.contender:
        hidden_dim = 64 if args.quick else 512
        serve(acts_way(task, hidden_dim) if args.contender == ACTS_WAY else ours(task, args.rollouts))
    else:
        compare(args, task)


if __name__ == "__main__":
    main()
