"""The training of every policy: its loop, `fit`, and its step, `Run.update`. It knows no policy by name.

The way of a step: `utils.Loader` makes the batches; `Run.update` changes them at random and adds noise; the
policy's `loss` normalises them (policies/base.py) and runs the network (policies/act.py,
detr/act/network.py); the optimiser (training/run/state.py) moves the weights.

Everything random in a step is a function of the seed and of the step's number, so a resumed run needs no
generator's state to go on exactly as an uninterrupted one: bit for bit on a CPU; on a GPU the order of some
sums varies (`--deterministic`).
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from common import Losses, World, autocast, is_flat, keep_freed_memory, stop_signals
from policies import Policy
from training.flags import TrainConfig
from training.optimisation import step_seed
from training.places import PlaceLoss
from training.run import Bar, Keeper, Meter, RunState, keep, loss_line, memory_line
from utils import Batch

NOISE, DROPOUT = 2, 3  # sub-streams of Stream.TRAIN; the samplers have 0 and 1
LOOK_EVERY = 2.0  # s between looks at the losses; fetching them waits for the device
LEAST_BETWEEN = 10  # steps from a validation to the next, if --validate_every does not say other
UNTIMED, MOST_TRIED = 3, 40  # steps of a dry run: the first are slow
LONG_ENOUGH = 8.0  # s of it
ASK_EVERY = 10  # steps after which the processes ask each other whether one was told to stop
FLAT = (
    "the validation loss has been flat for a while. On real data, ACT's authors advise to train on for three "
    "to four times as long as it took to get there: success improves long after the loss"
)


@dataclass(frozen=True)
class Feed:
    """What a run is fed with."""

    train: Callable[[range], Iterator[Batch]]  # the batches of a range of steps, `accumulate` a step
    validation: Mapping[str, Sequence[Batch]]  # by phase of the episode; all validations use the same
    describe: Callable[[int], Sequence[str]]  # the samples of a step: file and first step of each
    # what is done to a training batch on the device; may draw from torch's global generators
    prepare: Callable[[Batch], Batch] = dict


# --- the step


class _Loss(nn.Module):
    """A policy's loss as a module's forward pass, which is what can be compiled and distributed; `place` is
    beside it if there is a loss of places.
    """

    def __init__(self, policy: Policy, places: PlaceLoss | None) -> None:
        super().__init__()
        self.policy, self.places = policy, places
        if places is not None:
            places.listen(policy)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        losses = self.policy.loss(batch)
        return losses if self.places is None else {**losses, "place": self.places(batch["places"])}


class Run(RunState):
    """A training run: its state, and the step that takes it further."""

    def __init__(
        self,
        policy: Policy,
        config: TrainConfig,
        total: int,
        world: World | None = None,
        places: PlaceLoss | None = None,
    ) -> None:
        """Arguments are `RunState`'s, and the processes that train together; this one alone if not given."""
        super().__init__(policy, config, total, places)
        self.world = world or World()
        self._loss = wrapped = self.world.wrap(_Loss(policy, places))
        is_distributed = isinstance(wrapped, DistributedDataParallel)
        self._without_averaging = wrapped.no_sync if is_distributed else contextlib.nullcontext
        if config.compile:
            # CUDA graphs give gradients in memory that the next batch overwrites: they cannot be added up
            has_graphs = self.device.type == "cuda" and config.accumulate == 1
            mode = "reduce-overhead" if has_graphs else "default"
            self._loss = torch.compile(wrapped, dynamic=False, mode=mode)

    def update(self, batches: Sequence[Batch], prepare: Callable[[Batch], Batch] = dict) -> dict[str, Tensor]:
        """Take one optimiser step on one or several batches; returns mean losses, which stay on the device,
        so that nothing waits for it. `prepare` is `Feed.prepare`.
        """
        seed, rank = self.config.seed, self.world.rank
        torch.manual_seed(step_seed(seed, DROPOUT, self.step, rank))
        noise = self._noise(len(batches), len(batches[0]["qpos"]))
        self.optimiser.zero_grad(set_to_none=True)
        means: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            on_device = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
            prepared = {**prepare(on_device), **noise[number]}
            losses = self._backward(prepared, len(batches), number == len(batches) - 1)
            for name, loss in losses.items():
                means[name] = means.get(name, 0) + loss.detach().float() / len(batches)
        if self.config.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.grad_clip)
        self.optimiser.step()
        self.schedule.step()
        self.policy.after_step()
        if self.average is not None:
            self.average.follow(self.step)
        self.step += 1
        return means

    def _backward(self, batch: Batch, share: int, is_last: bool) -> dict[str, Tensor]:
        """Losses of a batch; gradients add up, and after the last batch are averaged over all processes."""
        with contextlib.nullcontext() if is_last else self._without_averaging():
            with autocast(self.config.amp, self.device):
                losses = self._loss(batch)
            total = losses["loss"]
            if self.places is not None:
                total = total + self.places.weight * losses["place"]
            (total / share).backward()
        return losses

    def _noise(self, parts: int, batch_size: int) -> list[Batch]:
        """Noise for each of this process's batches: its share of what is drawn for all samples of the step,
        so that it does not matter how many processes and batches they are spread over.
        """
        generator = torch.Generator(self.device)
        generator.manual_seed(step_seed(self.config.seed, NOISE, self.step))
        drawn = self.policy.draw_noise(parts * self.world.size * batch_size, generator)
        firsts = [(part * self.world.size + self.world.rank) * batch_size for part in range(parts)]
        return [
            {name: tensor[first : first + batch_size] for name, tensor in drawn.items()} for first in firsts
        ]


# --- the loop


def fit(run: Run, feed: Feed, ckpt_dir: Path, evaluate: Callable[[Path], float] | None = None) -> bool:
    """Train to the run's last step.

    Writes to `ckpt_dir`: `policy_best.ckpt` (lowest validation loss), `policy_last.ckpt` (to resume from),
    `policy_step_<n>_seed_<seed>.ckpt` every `save_every` steps, `policy_best_success.ckpt` if it is
    evaluated, and the log (training/run/keeping.py).

    Args:
        run: new, or restored.
        feed: batches.
        ckpt_dir: folder that exists.
        evaluate: success rate of a checkpoint in simulation, asked for every `eval_every` steps.

    Returns:
        whether it reached the end; False if it was interrupted (Ctrl-C or termination), with everything
        saved.

    Raises:
        RuntimeError: the loss is not finite; the last checkpoint stays as it was.
    """
    keep_freed_memory()
    run.policy.train()
    if run.step == run.total:
        return True
    if not run.world.is_first:
        return _train(run, feed, ckpt_dir, None, None)
    print(memory_line(run, next(iter(feed.validation.values()))[0]))
    with keep(run, ckpt_dir) as keeper:
        return _train(run, feed, ckpt_dir, keeper, evaluate)


def rehearse(run: Run, feed: Feed) -> str:
    """Take a few steps of a run; returns what the rest takes, in one line. Nothing is written."""
    keep_freed_memory()
    run.policy.train()
    memory = memory_line(run, next(iter(feed.validation.values()))[0])
    left = run.total - run.step
    steps = range(run.step, run.step + min(left, UNTIMED + MOST_TRIED))
    took: list[float] = []
    with contextlib.closing(feed.train(steps)) as source, tqdm(total=len(steps), unit="step") as bar:
        began = time.monotonic()
        for batches, _ in _timed_steps(source, run.config.accumulate):
            losses = run.update(batches, feed.prepare)
            losses["loss"].item()  # until it is done
            took.append(time.monotonic() - began)
            began = time.monotonic()
            bar.update()
            if len(took) > UNTIMED and sum(took[UNTIMED:]) > LONG_ENOUGH:
                break
    if not took:
        return f"dry run: the run has all of its {run.total} steps; nothing was written"
    each = median(took[UNTIMED:] or took)
    minutes = left * each / 60
    return (
        f"dry run: {memory}; {1 / each:.1f} steps a second: {left} steps take about {minutes:.0f} min, "
        "validations come on top; nothing was written"
    )


def _train(
    run: Run, feed: Feed, ckpt_dir: Path, keeper: Keeper | None, evaluate: Callable[[Path], float] | None
) -> bool:
    """The steps of `fit`; all processes but the first keep nothing."""
    config, meter = run.config, Meter(feed.describe, ckpt_dir)
    every = config.validate_every or max(LEAST_BETWEEN, run.total // 40)
    with (
        stop_signals() as signals,
        contextlib.closing(feed.train(range(run.step, run.total))) as source,
        Bar(run, is_hidden=keeper is None) as bar,
    ):
        if evaluate and _is_evaluation_due(run) and not _evaluate(run, keeper, evaluate, bar):
            return False  # stopped as before
        for batches, waited in _timed_steps(source, config.accumulate):
            meter.add(run.step, run.update(batches, feed.prepare), waited)
            bar.advance()
            is_due = run.step % every == 0 or run.step == run.total
            is_evaluated = evaluate and config.eval_every and run.step % config.eval_every == 0
            is_stopped = _is_stopped(run, signals)
            if is_due or is_evaluated or is_stopped or meter.age > LOOK_EVERY:
                bar.show(meter.look())
            if keeper and config.save_every and run.step % config.save_every == 0:
                run.save_step(ckpt_dir)
            if is_due:
                training = meter.take(run.world, run.device)
                if keeper:
                    losses = Losses(run.step, training, *validate(run.result, feed.validation, config.amp))
                    _print_losses(run.history, losses)
                    keeper.add(losses)
                    bar.show({"val": losses.validation["loss"]})
            if is_evaluated:
                is_stopped |= not _evaluate(run, keeper, evaluate, bar)
            if is_stopped and run.step < run.total:
                if keeper:
                    keeper.stop()
                return False
    return True


def _is_evaluation_due(run: Run) -> bool:
    """Whether a run was stopped in the evaluation of its step."""
    every, is_noted = run.config.eval_every, any(row.success is not None for row in run.history[-1:])
    return bool(every and run.step and run.step % every == 0 and not is_noted)


def _evaluate(run: Run, keeper: Keeper, evaluate: Callable[[Path], float], bar: Bar) -> bool:
    """Evaluate the run as it is, and note its success; False if that was stopped: `--resume` begins there."""
    try:
        success = evaluate(keeper.save())
    except KeyboardInterrupt:
        if run.world.size > 1:
            raise  # the others wait for this process
        return False
    keeper.add(Losses(run.step, success=success))
    bar.show({"success": success})
    return True


def _timed_steps(source: Iterator[Batch], accumulate: int) -> Iterator[tuple[list[Batch], float]]:
    """The batches of each step, and how long (s) it waited for them."""
    while True:
        began = time.monotonic()
        batches = list(islice(source, accumulate))
        if not batches:
            return
        yield batches, time.monotonic() - began


def _is_stopped(run: Run, signals: Sequence[int]) -> bool:
    """Whether the user has told this process, or any that trains with it, to stop."""
    if run.world.size == 1:
        return bool(signals)
    return run.step % ASK_EVERY == 0 and run.world.any(bool(signals), run.device)


@torch.no_grad()
def validate(
    policy: Policy, data: Mapping[str, Sequence[Batch]], amp: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean losses, in which all phases count alike; and the `loss` of each phase if there are several.

    Batches and noise are fixed: two validations differ only in the weights.
    """
    device = next(policy.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    means: dict[str, float] = defaultdict(float)
    phases: dict[str, float] = defaultdict(float)
    policy.eval()
    for phase, batches in data.items():
        samples = sum(len(batch["qpos"]) for batch in batches)
        for batch in batches:
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            share = len(batch["qpos"]) / samples
            with autocast(amp, device):
                losses = policy.loss({**batch, **policy.draw_noise(len(batch["qpos"]), generator)})
            for name, loss in losses.items():
                means[name] += share * loss.item() / len(data)
            phases[phase] += share * losses["loss"].item()
    policy.train()
    return dict(means), dict(phases) if len(data) > 1 else {}


def _print_losses(history: Sequence[Losses], losses: Losses) -> None:
    """Print the losses of a validation, and once a note that they have become flat."""
    tqdm.write(loss_line(losses))
    if is_flat([*history, losses]) and not is_flat(history):
        tqdm.write(FLAT)
