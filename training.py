"""`fit`: one training loop for every network. It knows no policy by name."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from checkpoints import LAST, read_checkpoint
from logs import Row, RunLog, is_flat, open_log
from machine import GIGABYTE, World, autocast, free_bytes, keep_freed_memory, stop_signals, training_bytes
from policies.base import Policy
from training_flags import TrainConfig
from training_run import Run
from utils import Batch

LOOK_EVERY = 2.0  # s between looks at the losses; fetching them waits for the device
FLAT = (
    "the validation loss has been flat for a while. On real data, ACT's authors advise to train on for three "
    "to four times as long as it took to get there: success improves long after the loss"
)
LEAST_BETWEEN = 10  # steps from a validation to the next, if --validate_every does not say other
LONG = 2.0  # hours that a run on a CPU may take without a word
RATE_STEPS, RATE_SECONDS = 5, 10.0  # what its rate is measured over, whichever ends later
FULL_SIZE = 10e6  # parameters; presets/small.json has a few hundred thousand
LINE = 119  # columns of the bar at most
ASK_EVERY = 10  # steps between questions to the other processes whether one was told to stop


@dataclass(frozen=True)
class Feed:
    """What a run is fed with."""

    train: Callable[[range], Iterator[Batch]]  # the batches of a range of steps, `accumulate` a step
    validation: Mapping[str, Sequence[Batch]]  # by phase of the episode; all validations use the same
    describe: Callable[[int], Sequence[str]]  # the samples of a step: which files, from which of their steps
    prepare: Callable[[Batch], Batch] = dict  # what is done to a training batch on the device


@torch.no_grad()
def validate(policy: Policy, data: Mapping[str, Sequence[Batch]], amp: str) -> Row:
    """Mean losses, `val/<loss>`, over all phases alike, and the loss of each, `val/loss <phase>`.

    Batches and noise are fixed: two validations differ only by the weights.
    """
    device = next(policy.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    sums: dict[str, float] = defaultdict(float)
    policy.eval()
    for phase, batches in data.items():
        for batch in batches:
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            with autocast(amp, device):
                losses = policy.loss({**batch, **policy.draw_noise(len(batch["qpos"]), generator)})
            for name, loss in losses.items():
                sums[f"val/{name}"] += loss.item() / len(batches) / len(data)
            if len(data) > 1:
                sums[f"val/loss {phase}"] += losses["loss"].item() / len(batches)
    policy.train()
    return dict(sums)


class _Losses:
    """Losses of steps: on the device until somebody looks, then summed up until the next validation."""

    def __init__(self) -> None:
        self._pending: dict[int, dict[str, Tensor]] = {}
        self._waited, self._looked = 0.0, time.monotonic()  # s; for data, since the last look
        self._sums: dict[str, float] = defaultdict(float)
        self._count = 0

    def add(self, step: int, losses: dict[str, Tensor], waited: float) -> None:
        self._pending[step] = losses
        self._waited += waited

    @property
    def age(self) -> float:
        """Seconds since the last look."""
        return time.monotonic() - self._looked

    def look(self, feed: Feed, ckpt_dir: Path) -> Row:
        """Fetch what is pending: means, and the share of time that data was waited for.

        RuntimeError if one is not finite.
        """
        names = list(next(iter(self._pending.values())))
        table = torch.stack([torch.stack([row[name] for name in names]) for row in self._pending.values()])
        for step, values in zip(self._pending, table.tolist(), strict=True):
            for name, value in zip(names, values, strict=True):
                if not math.isfinite(value):
                    _stop_broken(name, value, step, feed, ckpt_dir)
                self._sums[f"train/{name}"] += value
        self._count += len(self._pending)
        means = {f"train/{name}": mean for name, mean in zip(names, table.mean(dim=0).tolist(), strict=True)}
        wait = self._waited / max(self.age, 1e-9)
        self._pending, self._waited, self._looked = {}, 0.0, time.monotonic()
        return {**means, "data wait": wait}

    def row(self, run: Run) -> Row:
        """Means over all steps since the last row, and over all processes, each of which must ask."""
        names = list(self._sums)
        means = torch.tensor([self._sums[name] / self._count for name in names], device=run.device)
        self.__init__()
        return dict(zip(names, run.world.mean(means).tolist(), strict=True))


def _stop_broken(name: str, value: float, step: int, feed: Feed, ckpt_dir: Path) -> None:
    samples = feed.describe(step)
    raise RuntimeError(
        f"{name} is {value} at step {step + 1}; its samples: {', '.join(samples)}. Look whether these are "
        "sound; otherwise try a lower --lr or --grad_clip 1. "
        f"The last checkpoint in {ckpt_dir} is as it was"
    )


def _timed_steps(source: Iterator[Batch], accumulate: int) -> Iterator[tuple[list[Batch], float]]:
    """The batches of each step, and how long (s) they were waited for."""
    while True:
        began = time.monotonic()
        batches = list(islice(source, accumulate))
        if not batches:
            return
        yield batches, time.monotonic() - began


def memory_line(run: Run, feed: Feed) -> str:
    """How much memory the run needs, as far as can be told beforehand, and what to do if there is less."""
    batch = next(iter(feed.validation.values()))[0]
    one = {name: tensor[:1].to(run.device) for name, tensor in batch.items() if tensor.ndim}
    policy = run.policy.eval()  # so that the look leaves no trace

    def forward() -> Tensor:
        with autocast(run.config.amp, run.device):
            return policy.loss({**one, **policy.draw_noise(1)})["loss"]

    needed = training_bytes(policy, forward, share=1 / run.config.batch_size) / GIGABYTE
    policy.train()
    free = free_bytes(run.device) / GIGABYTE
    line = f"memory: about {needed:.1f} GB for training, {free:.1f} GB free"
    if needed < free:
        return line
    half = max(1, run.config.batch_size // 2)
    return (
        f"{line}. This will hardly fit: try --batch_size {half} --accumulate {2 * run.config.accumulate}, "
        "a smaller --image_size, or --share_backbone where there are several cameras"
    )


def fit(
    policy: Policy,
    feed: Feed,
    config: TrainConfig,
    total: int,
    ckpt_dir: Path,
    resume: bool = False,
    world: World | None = None,
    evaluate: Callable[[Path], float] | None = None,
    begun: Callable[[], None] | None = None,
) -> bool:
    """Train to step `total`; with `resume`, on from `policy_last.ckpt`.

    Writes to `ckpt_dir`: `policy_best.ckpt` (lowest validation loss), `policy_last.ckpt` (to resume from),
    `policy_step_<n>_seed_<seed>.ckpt` every `save_every` steps, `policy_best_success.ckpt` where it is
    evaluated, and the log (logs.py).

    Args:
        policy: on its device.
        feed: batches.
        config: flags.
        total: optimiser steps.
        ckpt_dir: folder; it is there.
        resume: go on with the run that is there.
        world: the processes that train together.
        evaluate: success rate of a checkpoint in simulation, asked for every `eval_every` steps.
        begun: called before anything is written, once it is clear that the run can go on.

    Returns:
        whether it came to the end; False if it was interrupted (Ctrl-C or termination), with everything
        saved.

    Raises:
        RuntimeError: the loss is not finite; the last checkpoint stays as it was.
    """
    keep_freed_memory()
    run = Run(policy, config, total, world, feed.prepare)
    if resume:
        run.restore(read_checkpoint(ckpt_dir / LAST), ckpt_dir / LAST)
        if run.world.is_first:
            print(f"goes on from step {run.step} of {total}")
    if begun is not None:
        begun()
    policy.train()
    if run.step == total:
        return True
    if not run.world.is_first:
        return _train(run, feed, ckpt_dir, None, None)
    print(memory_line(run, feed))
    with open_log(ckpt_dir, run.step, asdict(config), config.wandb) as log:
        return _train(run, feed, ckpt_dir, log, evaluate)


def _train(
    run: Run, feed: Feed, ckpt_dir: Path, log: RunLog | None, evaluate: Callable[[Path], float] | None
) -> bool:
    """The steps of `fit`; without a log, in a process that only takes part."""
    config, total = run.config, run.total
    every = config.validate_every or max(LEAST_BETWEEN, total // 40)
    losses, shown, rate = _Losses(), {}, _Rate(run)
    progress = tqdm(
        total=total,
        initial=run.step,
        desc="training",
        unit="step",
        smoothing=0.05,
        ncols=min(LINE, shutil.get_terminal_size((LINE, 24)).columns),
        disable=log is None,
    )
    with (
        stop_signals() as signals,
        contextlib.closing(feed.train(range(run.step, total))) as source,
        progress,
    ):
        for batches, waited in _timed_steps(source, config.accumulate):
            losses.add(run.step, run.update(batches), waited)
            progress.update()
            if log and (line := rate.line()):
                tqdm.write(line)
            is_due = run.step % every == 0 or run.step == total
            is_evaluated = evaluate and config.eval_every and run.step % config.eval_every == 0
            is_stopped = _is_stopped(run, signals)
            if is_due or is_evaluated or is_stopped or losses.age > LOOK_EVERY:
                shown.update(losses.look(feed, ckpt_dir))
                progress.set_postfix(_short(shown), refresh=False)
            if log and config.save_every and run.step % config.save_every == 0:
                run.save(ckpt_dir, f"step_{run.step}_seed_{config.seed}")
                _remove_old(ckpt_dir, config)
            if is_due:
                row = losses.row(run)
                if log:
                    shown.update(_validated(run, row, feed, ckpt_dir, log))
            if is_evaluated:
                shown.update(_evaluated(run, evaluate, ckpt_dir, log))
            if is_stopped and run.step < total:
                if log:
                    run.save(ckpt_dir, "last")
                return False
    return True


class _Rate:
    """How fast a run's first steps are, for one line about how long all of them will take on a CPU."""

    def __init__(self, run: Run) -> None:
        self._run, self._told = run, run.device.type != "cpu"
        self._began: tuple[int, float] | None = None  # step, time (s); the first step takes longer

    def line(self) -> str | None:
        """After a step: the line, once it can be told and if the run is long."""
        if self._told:
            return None
        step, now = self._run.step, time.monotonic()
        if self._began is None:
            self._began = step, now
            return None
        steps, seconds = step - self._began[0], now - self._began[1]
        if steps < RATE_STEPS or seconds < RATE_SECONDS:
            return None
        self._told = True
        size = sum(parameter.numel() for parameter in self._run.policy.parameters())
        return long_run_line((self._run.total - step) * seconds / steps / 3600, size)


def long_run_line(hours: float, parameters: int) -> str | None:
    """What to say of the hours that are left of a run on a CPU; None if they are few."""
    if hours < LONG:
        return None
    advice = "; --config presets/small.json takes minutes" if parameters > FULL_SIZE else ""
    return f"about {hours:.0f} h at this rate on this CPU{advice}"


def _is_stopped(run: Run, signals: Sequence[int]) -> bool:
    """Whether the user has told this process, or any that trains with it, to stop."""
    if run.world.size == 1:
        return bool(signals)
    return run.step % ASK_EVERY == 0 and run.world.any(bool(signals), run.device)


def _validated(run: Run, row: Row, feed: Feed, ckpt_dir: Path, log: RunLog) -> Row:
    """Validate, note and print the losses, and save what is to be saved then."""
    row = {**row, **validate(run.result, feed.validation, run.config.amp)}
    run.history.append({"step": run.step, **row})
    tqdm.write(_loss_line(run.step, row))
    if is_flat(run.history) and not is_flat(run.history[:-1]):
        tqdm.write(FLAT)
    if row["val/loss"] < run.best:
        run.best = row["val/loss"]
        run.save(ckpt_dir, "best")
    run.save(ckpt_dir, "last")
    log.write(run.history)
    return row


def _evaluated(run: Run, evaluate: Callable[[Path], float], ckpt_dir: Path, log: RunLog) -> Row:
    """Evaluate in simulation, note the success rate, and keep the most successful policy."""
    row = {"eval/success": evaluate(run.save(ckpt_dir, "last"))}
    run.history.append({"step": run.step, **row})
    if row["eval/success"] > run.best_success:
        run.best_success = row["eval/success"]
        run.save(ckpt_dir, "best_success")
    run.save(ckpt_dir, "last")
    log.write(run.history)
    return row


def _loss_line(step: int, row: Row) -> str:
    """The losses of a validation for the reader, `loss` by phase of the episode."""
    prefix = "val/loss "
    phases = [f"{name.removeprefix(prefix)} {row[name]:.4f}" for name in row if name.startswith(prefix)]
    by_phase = f" ({', '.join(phases)})" if phases else ""
    return f"step {step}: training loss {row['train/loss']:.4f}, validation {row['val/loss']:.4f}{by_phase}"


def _short(shown: Row) -> dict[str, str]:
    """What the bar has room for."""
    names = {"train/loss": "loss", "val/loss": "val", "data wait": "data wait", "eval/success": "success"}
    return {
        short: f"{shown[name]:.0%}" if name in ("data wait", "eval/success") else f"{shown[name]:.4f}"
        for name, short in names.items()
        if name in shown
    }


def _remove_old(ckpt_dir: Path, config: TrainConfig) -> None:
    """Keep the newest of the checkpoints that are saved every so often."""
    if config.keep_last is None:
        return
    paths = ckpt_dir.glob(f"policy_step_*_seed_{config.seed}.ckpt")
    for path in sorted(paths, key=lambda path: int(path.name.split("_")[2]))[: -config.keep_last]:
        path.unlink()
