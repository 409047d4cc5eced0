"""`fit`: one training loop for every network. It knows no policy by name."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import math
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

import cli
from plots import loss_plot
from policy import Policy, read_checkpoint, save_policy
from utils import Batch

Row = dict[str, float]


@dataclass(frozen=True)
class TrainConfig:
    """Flags of the training loop."""

    batch_size: int = cli.flag(8, "samples a step")
    num_epochs: int = cli.flag(2000, "epochs; one is one random start in each training episode, as in ACT")
    num_steps: int | None = cli.flag(None, "optimiser steps, instead of --num_epochs")
    lr: float = cli.flag(1e-5, "learning rate")
    lr_backbone: float = cli.flag(1e-5, "learning rate of pretrained backbones")
    weight_decay: float = cli.flag(1e-4, "weight decay of AdamW")
    lr_schedule: str = cli.flag(
        "constant", "after the warm-up: constant, or cosine down to zero", ("constant", "cosine")
    )
    warmup_steps: int = cli.flag(0, "steps over which the learning rate rises from zero")
    grad_clip: float | None = cli.flag(None, "largest norm of the gradient")
    precision: str = cli.flag("auto", "bf16 where the machine computes in it", ("auto", "bf16", "fp32"))
    validate_every: int | None = cli.flag(None, "steps between validations; 40 times a run if not given")
    save_every: int | None = cli.flag(None, "steps between checkpoints that are kept; none if not given")
    device: str = cli.flag("auto", "cpu, cuda, cuda:1 ...; auto: cuda where there is one")
    seed: int = cli.flag(0, "seed of everything random")

    def steps(self, n_episodes: int) -> int:
        """Optimiser steps of the whole run on `n_episodes` training episodes."""
        if self.num_steps is not None:
            return self.num_steps
        return math.ceil(self.num_epochs * n_episodes / self.batch_size)

    def check(self) -> None:
        """ValueError for the first value that makes no sense."""
        for name in (
            "batch_size",
            "num_epochs",
            "num_steps",
            "lr",
            "validate_every",
            "save_every",
            "grad_clip",
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"--{name} is {value}; it must be positive")


def keep_freed_memory() -> None:
    """Make glibc keep large buffers that are freed, for the next step to reuse.

    By default it gives each back to the system and has it mapped and zeroed anew: hundreds of thousands of
    page faults a step, a third of the time of ACT at its published size on a CPU. Peak memory hardly changes.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # malloc.h
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
        mallopt(m_top_pad, 2**28)


def pick_device(name: str) -> torch.device:
    """`auto`: CUDA where there is one. ValueError if CUDA is asked for and missing."""
    has_cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if has_cuda else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"--device is {name!r}; choose auto, cpu or cuda") from None
    if device.type == "cuda" and not has_cuda:
        raise ValueError(f"--device is {name!r}, but PyTorch sees no CUDA device; use cpu")
    return device


def computes_bf16(device: torch.device) -> bool:
    """Whether bf16 arithmetic is native, and so faster, on the device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not public, so maybe gone one day
    return any(getattr(torch.cpu, test, lambda: False)() for test in tests)


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Mixed precision for a forward pass."""
    enabled = precision == "bf16" or (precision == "auto" and computes_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def learning_rate_factor(step: int, config: TrainConfig, total: int) -> float:
    """Share of the learning rate at a step: linear warm-up, then constant or half a cosine."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.lr_schedule == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))


def make_optimiser(policy: Policy, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, with a learning rate of its own for what is pretrained."""
    pretrained = {id(p): p for p in policy.pretrained_parameters() if p.requires_grad}
    others = [p for p in policy.parameters() if p.requires_grad and id(p) not in pretrained]
    groups: list[dict[str, Any]] = [{"params": others, "lr": config.lr}]
    if pretrained:
        groups.append({"params": list(pretrained.values()), "lr": config.lr_backbone})
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)


class Run:
    """A training run; its `state` is what a checkpoint must hold to resume as if it had never stopped."""

    def __init__(self, policy: Policy, config: TrainConfig, total: int) -> None:
        self.policy, self.config, self.total = policy, config, total
        self.optimiser = make_optimiser(policy, config)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: learning_rate_factor(step, config, total)
        )
        self.step = 0
        self.best = math.inf  # validation loss
        self.history: list[Row] = []

    def state(self) -> dict[str, Any]:
        return {
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "total": self.total,
            "best": self.best,
            "history": self.history,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Go on from a `last` checkpoint; ValueError if the policy or the schedule was another."""
        _check_same(content, self.policy)
        state = content["training"]
        if state["total"] != self.total and self.config.lr_schedule == "cosine":
            raise ValueError(
                f"the checkpoint's cosine schedule ends at step {state['total']}, not {self.total}; "
                "give the same --num_steps or --num_epochs, or another --ckpt_dir"
            )
        self.policy.load_state_dict(content["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.step, self.best, self.history = state["step"], state["best"], state["history"]
        torch.set_rng_state(state["rng"].cpu())
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda_rng"]])

    def save(self, ckpt_dir: Path, kind: str) -> None:
        """`last` can be resumed from; other kinds hold the policy alone."""
        extra = {"training": self.state()} if kind == "last" else {}
        save_policy(ckpt_dir / f"policy_{kind}.ckpt", self.policy, step=self.step, **extra)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One optimiser step; the losses stay on the device, so that nothing waits for it."""
        device = next(self.policy.parameters()).device
        batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        with autocast(self.config.precision, device):
            losses = self.policy.loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        if self.config.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.grad_clip)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        return {name: loss.detach() for name, loss in losses.items()}


def _check_same(content: dict[str, Any], policy: Policy) -> None:
    for kind, present in (("config", policy.rebuild_config()), ("interface", policy.interface)):
        for name, value in dataclasses.asdict(present).items():
            stored = content[kind][name]
            if stored != value:
                raise ValueError(
                    f"the run to resume has {name} {stored!r}, this command {value!r}; "
                    "give the same flags, or another --ckpt_dir"
                )


@torch.no_grad()
def validate(policy: Policy, data: Sequence[Batch], precision: str) -> Row:
    """Mean losses over fixed batches, with fixed noise: two validations differ only by the weights."""
    device = next(policy.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    sums: dict[str, float] = defaultdict(float)
    policy.eval()
    for batch in data:
        with autocast(precision, device):
            losses = policy.loss({name: tensor.to(device) for name, tensor in batch.items()}, generator)
        for name, loss in losses.items():
            sums[f"val/{name}"] += loss.item() / len(data)
    policy.train()
    return dict(sums)


class _Averages:
    """Mean losses since the last look, summed on the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        self._sums = {name: self._sums.get(name, 0) + loss.float() for name, loss in losses.items()}
        self._count += 1

    def take(self) -> Row:
        means = {f"train/{name}": (total / self._count).item() for name, total in self._sums.items()}
        self.__init__()
        return means


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collects Ctrl-C and termination, so that the step is finished and saved before the run ends."""
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, before[number])  # the second one kills

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, note)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fit(
    policy: Policy,
    train_batches: Callable[[range], Iterator[Batch]],
    val_batches: Sequence[Batch],
    config: TrainConfig,
    total: int,
    ckpt_dir: Path,
    resume: bool = False,
) -> bool:
    """Train to step `total`; with `resume`, on from `policy_last.ckpt`.

    Writes to `ckpt_dir`: `policy_best.ckpt` (lowest validation loss), `policy_last.ckpt` (to resume from),
    `policy_step_<n>_seed_<seed>.ckpt` every `save_every` steps, and `losses.png`.

    Args:
        policy: on its device.
        train_batches: gives the batches of a range of steps.
        val_batches: what every validation uses.

    Returns:
        whether it came to the end; False if it was interrupted (Ctrl-C or termination), with everything
        saved.

    Raises:
        RuntimeError: the loss is not finite; the last checkpoint stays as it was.
    """
    keep_freed_memory()
    run = Run(policy, config, total)
    if resume:
        run.restore(read_checkpoint(ckpt_dir / "policy_last.ckpt", next(policy.parameters()).device))
    policy.train()
    every = config.validate_every or max(1, total // 40)
    averages = _Averages()
    progress = tqdm(total=total, initial=run.step, desc="training", unit="step", smoothing=0.05)
    shown, looked = {}, time.monotonic()
    with (
        _stop_signals() as signals,
        contextlib.closing(train_batches(range(run.step, total))) as source,
        progress,
    ):
        for batch in source:
            averages.add(run.update(batch))
            progress.update()
            is_due = run.step % every == 0 or run.step == total
            if is_due or signals or time.monotonic() - looked > 2:
                shown.update(averages.take())
                _check_finite(shown, run.step, ckpt_dir)
                looked = time.monotonic()
            if config.save_every and run.step % config.save_every == 0:
                run.save(ckpt_dir, f"step_{run.step}_seed_{config.seed}")
            if is_due:
                shown.update(validate(policy, val_batches, config.precision))
                _keep(run, shown, ckpt_dir)
                looked = time.monotonic()
            progress.set_postfix({k: f"{v:.4f}" for k, v in shown.items()}, refresh=False)
            if signals and run.step < total:
                run.save(ckpt_dir, "last")
                return False
    return True


def _check_finite(losses: Row, step: int, ckpt_dir: Path) -> None:
    broken = [name for name, value in losses.items() if not math.isfinite(value)]
    if broken:
        raise RuntimeError(
            f"{broken[0]} is {losses[broken[0]]} near step {step}; try a lower --lr or --grad_clip 1. "
            f"The last checkpoint in {ckpt_dir} is as it was"
        )


def _keep(run: Run, losses: Row, ckpt_dir: Path) -> None:
    """Note the losses of a validation, and save what is to be saved then."""
    run.history.append({"step": run.step, **losses})
    if losses["val/loss"] < run.best:
        run.best = losses["val/loss"]
        run.save(ckpt_dir, "best")
    run.save(ckpt_dir, "last")
    loss_plot(ckpt_dir / "losses.png", run.history)
