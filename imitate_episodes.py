"""Train a policy on recorded episodes, or evaluate it with --eval.

python3 imitate_episodes.py --task_name sim_transfer_cube_scripted --ckpt_dir runs/act --num_steps 20000
python3 imitate_episodes.py --task_name sim_transfer_cube_scripted --ckpt_dir runs/act --eval
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch

import cli
from checkpoints import BEST, LAST, run_checkpoint
from constants import Stream
from evaluation import EvalJob, evaluate
from evaluation_flags import EvalConfig
from feeding import Data, load_data, make_feed
from files import check_folder
from locks import hold
from logs import check_wandb
from machine import World, join_world, pick_device
from naming import choose
from outcomes import Summary
from parallel import Workers
from plots import LiveView, k_plot
from policies import POLICIES
from policies.base import Policy
from policy import choose_cameras, finish_policies, save_policy
from results import open_evaluation
from run_setup import RunConfig, build_policy, write_config
from schema import Task
from trained_tasks import run_command, simulated_task, training_task
from training import fit
from training_flags import ResumeConfig, TrainConfig
from viewers.provenance import note_command
from viewers.report import refresh_report

ONCE = ("config", "resume", "overwrite", "eval", "chunk_seconds")  # flags of one command, not of a run


@dataclass(frozen=True)
class TrainingRunConfig(Workers, ResumeConfig, RunConfig, EvalConfig):
    """Flags of this script; those of the training loop and of the policy come on top."""

    TITLE: ClassVar[str] = "what"

    config: str | None = cli.flag(
        None,
        "a preset or config.json of a run, to repeat it; flags that are given beside it count more, also "
        "--no_encoder false and the like",
    )
    eval: bool = cli.flag(False, "evaluate a checkpoint (--ckpt_name) in simulation", group="evaluation")
    ckpt_name: str | None = cli.flag(
        None,
        "checkpoint to evaluate: as the run was trained with, policy_best.ckpt if with none",
        group="evaluation",
    )
    chunk_seconds: float | None = cli.flag(
        None, "length of a chunk in seconds, instead of in steps", above=0, most=3600, group="training"
    )

    def check(self) -> None:
        """ValueError for the first value that makes no sense."""
        self.check_workers(self.onscreen_render)
        self.check_augment()
        self.check_evaluation()
        super().check()

    def chunk_steps(self, fps: int) -> int:
        """Control steps in --chunk_seconds; ValueError if there is none."""
        steps = round(self.chunk_seconds * fps)
        if steps < 1:
            raise ValueError(
                f"--chunk_seconds is {self.chunk_seconds}; it must be at least {1 / fps:g}, a control step"
            )
        return steps


def parse_flags(argv: Sequence[str] | None = None) -> tuple[TrainingRunConfig, TrainConfig, object]:
    """This script's flags, the training loop's, and those of the policy that `--policy_class` names."""
    argv = sys.argv[1:] if argv is None else argv
    first = cli.Parser(add_help=False)
    first.add_argument("--policy_class")
    first.add_argument("--config")
    given = first.parse_known_args(argv)[0]
    if given.config is not None and not os.path.exists(given.config.strip()):
        raise FileNotFoundError(f"--config is {given.config!r}; there is no such file")
    defaults = cli.read_flags(given.config, without=ONCE) if given.config else {}
    name = given.policy_class or defaults.get("policy_class", "ACT")
    policy_flags = POLICIES.config(choose("policy class", name, POLICIES))
    parser = cli.make_parser(__doc__, ("what", "evaluation", "execution", "data", "picture"))
    cli.add_flags(parser, TrainingRunConfig)
    cli.add_flags(parser, TrainConfig, "training")
    cli.add_flags(parser, policy_flags, f"policy {name}")
    parser.set_defaults(**policy_flags.training_defaults)
    cli.set_defaults(parser, defaults, given.config)
    args = parser.parse_args(argv)
    for field in set(policy_flags.within_chunk) - cli.spelt(argv) - set(defaults):
        setattr(args, field, max(1, min(getattr(args, field), getattr(args, policy_flags.chunk_flag()))))
    config, training = cli.from_flags(TrainingRunConfig, args), cli.from_flags(TrainConfig, args)
    if config.chunk_seconds is not None:
        check_chunk_flags(name, argv)
    check_wandb(training.wandb)
    return config, training, cli.from_flags(policy_flags, args)


def check_chunk_flags(name: str, argv: Sequence[str]) -> None:
    """ValueError where --chunk_seconds contradicts a flag that is there, or means nothing."""
    field = POLICIES.config(name).chunk_flag()
    if field is None:
        raise ValueError(f"--chunk_seconds is given, but {name} predicts one action at a time")
    if {field, "chunk_size"} & cli.spelt(argv):
        raise ValueError(f"--chunk_seconds and --{field} are two ways to say one thing; give one of them")


def train(
    config: TrainingRunConfig, training: TrainConfig, policy_config: object, task: Task, world: World
) -> None:
    """Train on the task's episodes and save what comes out; of several processes the first one speaks."""
    say = print if world.is_first else lambda line: None
    ckpt_dir, last = Path(config.ckpt_dir), Path(config.ckpt_dir) / LAST
    resume = config.resumes(last)
    data = load_data(config, task.name, config.camera_names or task.cameras, training.seed)
    say(data.text())
    torch.manual_seed(training.seed)
    device = pick_device(training.device)
    policy = build_policy(config, policy_config, data, task).to(device)
    total = training.steps(len(data.train.paths), world.size) if policy.config.trains else 0
    size = sum(parameter.numel() for parameter in policy.parameters())
    say(f"{config.policy_class}: {size / 1e6:.2f} M parameters on {device}; {total} steps")
    say(training.batch_line(world.size))
    feed = make_feed(config, training, world, policy, data)
    evaluation = make_evaluation(config, training, task, world)

    def note() -> None:
        """Write down what is going to be done; nothing is, where a run cannot go on as it is asked to."""
        ckpt_dir.mkdir(parents=True, exist_ok=True)
        if world.is_first:
            note_command(ckpt_dir, "training, continued" if resume else "training")
        if world.is_first and not resume:
            write_config(ckpt_dir, config, training, policy_config)

    if total == 0:
        note()
    finished = total == 0 or fit(policy, feed, training, total, ckpt_dir, resume, world, evaluation, note)
    if not world.is_first:
        return
    if not finished:
        refresh_report(ckpt_dir)
        print(f"\nstopped; everything is saved in {last}. The same command with --resume goes on from there.")
        raise SystemExit(130)
    complete(policy, data, ckpt_dir)
    refresh_report(ckpt_dir)
    print(f"trained {total} steps; checkpoints and {'losses.png' if total else 'plots'} are in {ckpt_dir}")
    if task.scene:
        print("evaluate: the same command with --eval")
    run = run_command(task, data.train.episodes[0], ckpt_dir)
    if run is not None:
        print(f"run it in real time: {run}")


def complete(policy: Policy, data: Data, ckpt_dir: Path) -> None:
    """What is left to do to a run's checkpoints when all its steps are done (`Policy.finish`)."""
    checkpoints = [ckpt_dir / BEST, ckpt_dir / LAST]
    if not policy.config.trains:
        for path in checkpoints:
            save_policy(path, policy, step=0)

    def finish(kept: Policy) -> None:
        choice = kept.finish(data.train, data.validation)
        if choice is not None:
            k_plot(ckpt_dir / "k_select.png", choice.ks, choice.errors, (choice.k, choice.state_weight))
            print(f"{choice.text()} (k_select.png)")

    if policy.config.needs_finish:
        finish_policies(checkpoints, finish, policy.device)


def make_evaluation(
    config: TrainingRunConfig, training: TrainConfig, task: Task, world: World
) -> Callable[[Path], float] | None:
    """Success rate of a checkpoint, for use while training; None if it is not asked for."""
    if training.eval_every is None:
        return None
    if task.scene is None:
        raise ValueError(f"--eval_every is {training.eval_every}; {task.name} cannot be simulated")
    if POLICIES.config(config.policy_class).needs_finish:
        raise ValueError(
            f"--eval_every is {training.eval_every}; {config.policy_class} acts only after its training"
        )
    flags, view = EvalConfig.of(config), open_view(config) if world.is_first else None

    def success_rate(checkpoint: Path) -> float:
        job = EvalJob(checkpoint, task, flags, stream=Stream.TRAIN_EVALUATE)
        summary = evaluate(job, flags.indices(flags.eval_rollouts), config, view)
        return summary.successes / summary.n

    return success_rate


def open_view(config: TrainingRunConfig) -> LiveView | None:
    """A window for the rollouts, if it is asked for."""
    return LiveView() if config.onscreen_render else None


def evaluate_run(config: TrainingRunConfig, task: Task) -> None:
    """Evaluate a run's checkpoint in simulation; print the report and where everything is."""
    folder, checkpoint = Path(config.ckpt_dir), run_checkpoint(config.ckpt_dir, config.ckpt_name)
    pick_device(config.device)  # a bad flag ends it before anything is written
    cameras = choose_cameras(checkpoint, config.camera_names, task.cameras)
    view = open_view(config)
    job = EvalJob(checkpoint, task, EvalConfig.of(config), cameras=cameras)
    indices = config.indices(config.num_rollouts)
    policy = job.load("cpu")
    job.execute(policy)
    settings = job.settings(indices, policy)
    note_command(folder, f"evaluation of {checkpoint.name}")
    with open_evaluation(folder, settings) as kept:
        summary = evaluate(replace(job, output_dir=kept), indices, config, view, settings)
    page = refresh_report(folder)
    print(summary.text())
    print("\n".join(places(summary, kept, checkpoint)))
    print(f"report:     {page.resolve().as_uri()}")


def places(summary: Summary, folder: Path, checkpoint: Path) -> list[str]:
    """Where an evaluation's files are: those that are there."""
    filmed = [folder / f"rollout_{outcome.index}" for outcome in summary.outcomes if outcome.filmed]
    lines = []
    if filmed:
        lines += [f"videos:     {filmed[0]}.mp4 (of {len(filmed)})", f"plots:      {filmed[0]}_qpos.png"]
    losses = checkpoint.with_name("losses.png")
    lines += [f"losses:     {losses}"] if losses.is_file() else []
    lines += [f"checkpoint: {checkpoint}"]
    return [*lines, f"results:    {folder / f'result_{checkpoint.stem}.json'} and .txt"]


def main() -> None:
    config, training, policy_config = parse_flags()
    check_folder(config.ckpt_dir, "ckpt_dir")
    if config.eval:
        evaluate_run(config, simulated_task(config.task_name, config.ckpt_dir))
        return
    policy_config.check_sources()
    task = training_task(config.task_name, config.dataset_dir, config.camera_names)
    if config.chunk_seconds is not None:
        policy_config = policy_config.with_chunk(config.chunk_steps(task.fps))
    with (
        join_world(pick_device(training.device)) as world,
        hold(config.ckpt_dir) if world.is_first else contextlib.nullcontext(),
    ):
        train(config, training, policy_config, task, world)


if __name__ == "__main__":
    cli.run(main)
