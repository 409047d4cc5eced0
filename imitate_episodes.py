"""Train a policy on recorded episodes, or evaluate it with --eval.

python3 imitate_episodes.py --task_name sim_transfer_cube_scripted --ckpt_dir runs/act --num_steps 20000
python3 imitate_episodes.py --task_name sim_transfer_cube_scripted --ckpt_dir runs/act --eval
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

import cli
from constants import IMAGE_SIZE, Stream, Task, choose, data_dir, get_task
from episodes import complete_file
from policy import POLICIES, Interface, Policy, make_policy, read_checkpoint
from training import TrainConfig, fit, pick_device
from utils import Demonstrations, StartSampler, Stats, batches, split_episodes

VALIDATION_SAMPLES = 64  # drawn once, before training; all validations use the same


@dataclass(frozen=True)
class Config:
    """Flags of this script; those of the training loop and of the policy come on top."""

    task_name: str = cli.flag(None, "task, e.g. sim_transfer_cube_scripted")
    ckpt_dir: str = cli.flag(None, "folder for checkpoints, plots, videos and results")
    policy_class: str = cli.flag("ACT", "kind of policy", tuple(POLICIES))
    dataset_dir: str | None = cli.flag(
        None, "folder of the episodes; $ACT_DATA_DIR/<task> or data/<task> if not given"
    )
    camera_names: tuple[str, ...] | None = cli.flag(
        None, "cameras the policy sees; the task's own if not given"
    )
    image_size: tuple[int, int] = cli.flag(
        IMAGE_SIZE, "height and width (pixels) the policy sees; smaller is faster"
    )
    train_ratio: float = cli.flag(0.9, "share of the episodes that is trained on; the rest validates")
    early_share: float = cli.flag(
        0.0, "share of each batch that starts within the first --early_steps of an episode"
    )
    early_steps: int = cli.flag(40, "see --early_share")
    resume: bool = cli.flag(False, "go on where a run in --ckpt_dir stopped (or begin, if there is none)")
    overwrite: bool = cli.flag(False, "begin anew although --ckpt_dir holds a run")
    eval: bool = cli.flag(False, "evaluate the checkpoint of least validation loss in simulation")
    ckpt_name: str = cli.flag("policy_best.ckpt", "checkpoint to evaluate")
    num_rollouts: int = cli.flag(50, "rollouts of an evaluation, from starts that no demonstration had")
    num_videos: str = cli.flag(
        "3", "how many of them to film, or all; the rest is not rendered and runs faster"
    )
    temporal_agg: bool = cli.flag(False, "temporal ensembling: average the predictions of all past chunks")
    onscreen_render: bool = cli.flag(False, "show the rollouts in a window (one at a time)")
    num_workers: int | None = cli.flag(None, "rollouts run side by side; one per core if not given")

    def check(self) -> None:
        """ValueError for the first value that makes no sense."""
        if min(self.image_size) < 1:
            raise ValueError(f"--image_size is {self.image_size}; height and width must be at least 1")
        if self.num_rollouts < 1:
            raise ValueError(f"--num_rollouts is {self.num_rollouts}; it must be at least 1")
        if self.num_videos != "all" and not self.num_videos.isdecimal():
            raise ValueError(f"--num_videos is {self.num_videos!r}; it must be a number or all")


def parse_flags(argv: list[str]) -> tuple[Config, TrainConfig, object]:
    """This script's flags, the training loop's, and those of the policy that `--policy_class` names."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--policy_class", default="ACT")
    name = first.parse_known_args(argv)[0].policy_class
    policy_config = POLICIES[choose("policy class", name, POLICIES)].Config
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, Config)
    cli.add_flags(parser, TrainConfig, "training")
    cli.add_flags(parser, policy_config, f"policy {name}")
    args = parser.parse_args(argv)
    for needed in ("task_name", "ckpt_dir"):
        if getattr(args, needed) is None:
            parser.error(f"--{needed} is required")
    config, training = cli.from_flags(Config, args), cli.from_flags(TrainConfig, args)
    config.check()
    training.check()
    return config, training, cli.from_flags(policy_config, args)


def train(config: Config, training: TrainConfig, policy_config: object, task: Task) -> None:
    """Train on the task's episodes and save what comes out."""
    ckpt_dir, last = Path(config.ckpt_dir), Path(config.ckpt_dir) / "policy_last.ckpt"
    resume = config.resume and last.is_file()
    if last.is_file() and not (config.resume or config.overwrite):
        raise ValueError(
            f"{ckpt_dir} holds a run already; add --resume to go on with it, or --overwrite to begin anew"
        )
    device = pick_device(training.device)
    dataset_dir = Path(config.dataset_dir or data_dir(task.name))
    train_paths, val_paths = split_episodes(dataset_dir, config.train_ratio, training.seed)
    cameras = config.camera_names or task.cameras
    load = partial(Demonstrations, cameras=cameras, image_size=config.image_size)
    train_data, val_data = load(train_paths), load(val_paths)
    total = training.steps(len(train_paths))
    print(f"{len(train_paths)} episodes to train on and {len(val_paths)} to validate, from {dataset_dir}")

    torch.manual_seed(training.seed)
    policy = build_policy(config, policy_config, train_data, cameras, task).to(device)
    size = sum(parameter.numel() for parameter in policy.parameters())
    print(f"{config.policy_class}: {size / 1e6:.2f} M parameters on {device}; {total} steps")
    chunk_size = policy_config.chunk_size
    early = {"early_share": config.early_share, "early_steps": config.early_steps}
    sampler = StartSampler(train_data.lengths, [training.seed, Stream.TRAIN, 0], **early)
    val_sampler = StartSampler(val_data.lengths, [training.seed, Stream.TRAIN, 1], **early)
    val_steps = range(max(1, VALIDATION_SAMPLES // training.batch_size))
    val_batches = list(batches(val_data, val_sampler, training.batch_size, chunk_size, val_steps))

    def train_batches(steps: range):
        return batches(train_data, sampler, training.batch_size, chunk_size, steps)

    ckpt_dir.mkdir(parents=True, exist_ok=True)
    if not resume:
        write_config(ckpt_dir, config, training, policy_config)
    finished = fit(policy, train_batches, val_batches, training, total, ckpt_dir, resume)
    if not finished:
        print(f"\nstopped; everything is saved in {last}. The same command with --resume goes on from there.")
        raise SystemExit(130)
    print(f"trained {total} steps; checkpoints and losses.png are in {ckpt_dir}")
    print("evaluate: the same command with --eval")


def build_policy(
    config: Config, policy_config: object, data: Demonstrations, cameras: tuple[str, ...], task: Task
) -> Policy:
    """A policy to be trained on `data`."""
    first = data.episodes[0]
    interface = Interface(
        state_dim=first.qpos.shape[1],
        action_dim=first.action.shape[1],
        cameras=tuple(cameras),
        image_size=tuple(config.image_size),
        task=task.name,
        render_quality=first.render_quality,
    )
    return make_policy(config.policy_class, policy_config, interface, Stats.of(data.episodes))


def write_config(ckpt_dir: Path, *configs: object) -> None:
    """Write all flags of the run, for the reader."""
    flags = {name: value for config in configs for name, value in dataclasses.asdict(config).items()}
    with complete_file(ckpt_dir / "config.json") as part:
        part.write_text(json.dumps(flags, indent=2) + "\n", encoding="utf-8")


def evaluate(config: Config, training: TrainConfig, task: Task) -> None:
    """Evaluate a checkpoint in simulation; print the report and where everything is."""
    from model_runs import EvalJob
    from model_runs import evaluate as run_evaluation

    num_videos = config.num_rollouts if config.num_videos == "all" else int(config.num_videos)
    checkpoint = Path(config.ckpt_dir) / config.ckpt_name
    read_checkpoint(checkpoint)
    view = None
    if config.onscreen_render:
        from plots import LiveView

        view = LiveView()
    job = EvalJob(
        checkpoint=checkpoint,
        task=task,
        seed=training.seed,
        temporal_agg=config.temporal_agg,
        num_videos=num_videos,
        output_dir=Path(config.ckpt_dir),
        device=str(pick_device(training.device)),
    )
    summary = run_evaluation(job, config.num_rollouts, config.num_workers, view)
    folder = Path(config.ckpt_dir)
    print(summary.text())
    if num_videos:
        print(f"videos:     {folder / 'rollout_0.mp4'} (of {min(num_videos, summary.n)})")
    print(f"plots:      {folder / 'losses.png'}, {folder / 'rollout_0_qpos.png'}")
    print(f"checkpoint: {checkpoint}")
    print(f"results:    {folder / f'result_{checkpoint.stem}.json'} and .txt")


def main() -> None:
    config, training, policy_config = parse_flags(sys.argv[1:])
    task = get_task(config.task_name)
    if config.eval:
        evaluate(config, training, task)
    else:
        train(config, training, policy_config, task)


if __name__ == "__main__":
    cli.run(main)
