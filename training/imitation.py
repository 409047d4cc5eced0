"""What imitate_episodes.py does with its flags: train a policy, or evaluate one in simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from cameras import dataset_references
from common import LiveView, World, choose_kernels, k_plot, pick_device
from constants import Stream
from disturbances import is_sweep, read_sweep
from doctor import training_lines
from evaluation import (
    EvalConfig,
    EvalJob,
    Settings,
    Summary,
    check_scene,
    choose_cameras,
    content_version,
    evaluate,
    evaluate_sweep,
    open_evaluation,
)
from policies import BEST, LAST, POLICIES, Policy, TorchActor, run_checkpoint, run_folder
from policy import finish_policies, save_policy
from tasks import Task
from training.feeding import Data, load_data, make_feed
from training.flags import TrainConfig, TrainingRunConfig
from training.loop import Run, fit, rehearse
from training.places import PlaceLoss, varying
from training.run import forget
from training.setup import build_policy, write_config
from training.trained_tasks import run_command
from viewers import note_command, refresh_report


def train(
    config: TrainingRunConfig, training: TrainConfig, policy_config: object, task: Task, world: World
) -> None:
    """Train on the task's episodes and save the policy; of several processes only the first one prints."""
    say = print if world.is_first else lambda line: None
    ckpt_dir, last = Path(config.ckpt_dir), Path(config.ckpt_dir) / LAST
    resume = config.resumes(last)
    data = read_data(config, training, task, say)
    if world.is_first and not config.no_check:
        print("".join(f"{line}\n" for line in training_lines(data.episodes())), end="")
    torch.manual_seed(training.seed)
    device = pick_device(training.device)
    choose_kernels(device, training.deterministic)
    policy = build_policy(config, policy_config, data, task).to(device)
    total = training.steps(len(data.train.paths), world.size) if policy.config.trains else 0
    size = sum(parameter.numel() for parameter in policy.parameters())
    say(f"{config.policy_class}: {size / 1e6:.2f} M parameters on {device}; {total} steps")
    say(training.batch_line(world.size))
    feed = make_feed(config, training, world, policy, data)
    evaluation = make_evaluation(config, training, task, world)
    if evaluation:
        check_evaluation(config, task, policy, world)
    places = place_loss(config.place_loss, policy, data, say, is_needed=bool(config.places_only))
    run = Run(policy, training, total, world, places) if policy.config.trains else None
    references = plain_references(data, policy.interface.cameras, say)
    if run:
        run.references = references
    if run and resume:
        run.restore(last)
        say(f"goes on from step {run.step} of {total}")
    if config.dry_run:
        say(rehearse(run, feed) if run else f"dry run: {config.policy_class} is not trained in steps")
        return
    ckpt_dir.mkdir(parents=True, exist_ok=True)  # not before it is clear that the run can go on
    if world.is_first:
        if config.overwrite:
            forget(ckpt_dir)
        note_command(ckpt_dir, "training, continued" if resume else "training")
        write_config(ckpt_dir, config, training, policy_config)
    finished = run is None or fit(run, feed, ckpt_dir, evaluation)
    if not world.is_first:
        return
    if not finished:
        refresh_report(ckpt_dir)
        print(f"\nstopped; everything is saved in {last}. The same command with --resume goes on from there.")
        raise SystemExit(130)
    complete(policy, data, ckpt_dir, references)
    refresh_report(ckpt_dir)
    print(f"trained {total} steps; checkpoints and {'losses.png' if total else 'plots'} are in {ckpt_dir}")
    if task.scene:
        print("evaluate: the same command with --eval")
    command = run_command(task, data.train.episodes[0], ckpt_dir)
    if command is not None:
        print(f"run it in real time: {command}")


def read_data(
    config: TrainingRunConfig, training: TrainConfig, task: Task, say: Callable[[str], object]
) -> Data:
    """The episodes, and what is to be said of them; ValueError if the run would lie among them, or nothing
    would be learned from some.
    """
    ckpt_dir, silent = Path(config.ckpt_dir), config.places_only or ()
    if silent and not config.place_loss:
        raise ValueError("--places_only teaches by --place_loss alone; give one, e.g. --place_loss 1")
    data = load_data(config, task.name, config.camera_names or task.cameras, training.seed, silent)
    if ckpt_dir.resolve() in [folder.resolve() for folder in data.folders]:
        raise ValueError(
            f"--ckpt_dir is {ckpt_dir}, which holds the episodes; give the run a folder of its own"
        )
    say("\n".join([data.text(), *data.strangers(task.name)]))
    return data


def place_loss(
    weight: float, policy: Policy, data: Data, say: Callable[[str], object], is_needed: bool = False
) -> PlaceLoss | None:
    """The loss of `--place_loss`, if it is asked for and the episodes tell where their objects were.

    ValueError without it if it `is_needed`: as all that `--places_only` teaches.
    """
    if weight and policy.config.trains and varying(data.train.places).any():
        return PlaceLoss(policy, data.train.places, weight)
    why = "the episodes do not tell where their objects were, or these are always at the same place"
    if not policy.config.trains:
        why = f"{type(policy).__name__} is not trained in steps"
    if is_needed:
        raise ValueError(f"--places_only teaches by --place_loss alone, and {why}; leave that folder out")
    if weight and policy.config.trains:
        say(f"note: --place_loss is left out: {why}")
    return None


def plain_references(
    data: Data, cameras: Sequence[str], say: Callable[[str], object]
) -> dict[str, dict[str, bytes]]:
    """What each camera shows where the demonstrations of the first folder begin, for the checkpoints: others
    may be multiplied, with other looks.
    """
    references, missing = dataset_references(data.train.paths[: data.sizes[0]], cameras)
    for camera, why in missing.items():
        say(f"note: camera {camera} has no reference picture for its checkpoints: {why}")
    return {camera: reference.plain() for camera, reference in references.items()}


def complete(policy: Policy, data: Data, ckpt_dir: Path, references: dict[str, dict[str, bytes]]) -> None:
    """Finish a run's checkpoints after its last step (`Policy.finish`)."""
    checkpoints = [ckpt_dir / BEST, ckpt_dir / LAST]
    if not policy.config.trains:
        for path in checkpoints:
            save_policy(path, policy, step=0, references=references)

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
    """A function that gives a checkpoint's success rate while training; None without --eval_every."""
    if training.eval_every is None:
        return None
    if task.scene is None:
        raise ValueError(f"--eval_every is {training.eval_every}; {task.name} cannot be simulated")
    if POLICIES.config(config.policy_class).needs_finish:
        raise ValueError(
            f"--eval_every is {training.eval_every}; {config.policy_class} acts only after its training"
        )
    if is_sweep(config.disturb):
        words = " ".join(config.disturb)
        raise ValueError(f"--disturb is {words}, a sweep; --eval_every takes NAME=STRENGTH alone")
    flags, view = EvalConfig.of(config), open_view(config) if world.is_first else None

    def success_rate(checkpoint: Path) -> float:
        job = EvalJob(checkpoint, task, flags, stream=Stream.TRAIN_EVALUATE)
        summary = evaluate(job, flags.indices(flags.eval_rollouts), config, view)
        return summary.successes / summary.n

    return success_rate


def check_evaluation(config: TrainingRunConfig, task: Task, policy: Policy, world: World) -> None:
    """ValueError before its training if a policy cannot be evaluated as the flags say."""
    EvalJob(Path(config.ckpt_dir) / LAST, task, EvalConfig.of(config)).check(TorchActor(policy))
    if world.is_first:
        check_scene(task, policy.interface.cameras)


def open_view(config: TrainingRunConfig) -> LiveView | None:
    """A window for the rollouts, if it is asked for."""
    return LiveView() if config.onscreen_render else None


def evaluate_run(config: TrainingRunConfig, task: Task) -> None:
    """Evaluate a run's checkpoint in simulation; print the report and where everything is."""
    folder, checkpoint = run_folder(config.ckpt_dir), run_checkpoint(config.ckpt_dir, config.ckpt_name)
    pick_device(config.device)  # a bad flag ends it before anything is written
    cameras = choose_cameras(checkpoint, config.camera_names, task.cameras)
    view = open_view(config)
    flags, has_sweep = EvalConfig.of(config), is_sweep(config.disturb)
    flags = replace(flags, disturb=None) if has_sweep else flags
    version = content_version([checkpoint])
    job = EvalJob(checkpoint, task, flags, cameras=cameras, version=version)
    indices = config.indices(config.num_rollouts)
    actor = job.load("cpu")
    job.check(actor)
    settings = job.settings(indices, actor)
    note_command(folder, f"evaluation of {checkpoint.name}")
    if has_sweep:
        sweep_run(config, job, settings, actor.interface.task, view)
        return
    with open_evaluation(folder, settings) as kept:
        summary = evaluate(replace(job, output_dir=kept), indices, config, view, settings)
    page = refresh_report(folder)
    print(summary.text())
    print("\n".join(places(summary, kept, checkpoint)))
    print(f"report:     {page.resolve().as_uri()}")


def sweep_run(
    config: TrainingRunConfig, job: EvalJob, settings: Settings, trained_for: str, view: LiveView | None
) -> None:
    """Evaluate a run's checkpoint along the axes of a sweep; print the table and where everything is."""
    folder = run_folder(config.ckpt_dir)
    cells = read_sweep(config.disturb)
    result, kept = evaluate_sweep(job, cells, settings, folder, config, view, trained_for)
    page = refresh_report(folder)
    print(result.text())
    print(f"heat map:   {kept / 'disturbances.png'}")
    print(f"results:    {kept / 'disturbances.json'} and .txt; each evaluation has a folder there")
    print(f"report:     {page.resolve().as_uri()}")


def places(summary: Summary, folder: Path, checkpoint: Path) -> list[str]:
    """Where an evaluation's files are, a line for each that exists."""
    filmed = [folder / f"rollout_{outcome.index}" for outcome in summary.outcomes if outcome.filmed]
    lines = []
    if filmed:
        lines += [f"videos:     {filmed[0]}.mp4 (of {len(filmed)})", f"plots:      {filmed[0]}_qpos.png"]
    losses = checkpoint.with_name("losses.png")
    lines += [f"losses:     {losses}"] if losses.is_file() else []
    lines += [f"checkpoint: {checkpoint}"]
    return [*lines, f"results:    {folder / f'result_{checkpoint.stem}.json'} and .txt"]
