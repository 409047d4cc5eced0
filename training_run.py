"""The state of a training run: optimiser steps, and the checkpoints that it can be resumed from.

Everything random in a step is a function of the seed and of the step's number, so a resumed run needs no
generator's state to go on exactly as an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

import cli
from constants import Stream
from logs import Row
from machine import World, autocast
from policies.base import Interface, Policy
from policies.stored import stored_training
from policy import FORMAT_VERSION, first_line, save_policy, stored_parts
from utils import Batch

NOISE, DROPOUT = 2, 3  # sub-streams of Stream.TRAIN; the samplers have 0 and 1


@dataclass(frozen=True)
class TrainConfig:
    """Flags of the training loop."""

    batch_size: int = cli.flag(
        8, "samples that are computed at once (by each process, under torchrun)", least=1, most=65_536
    )
    accumulate: int = cli.flag(
        1, "batches an optimiser step; as one of so many times the size, in less memory", least=1, most=65_536
    )
    num_epochs: int = cli.flag(
        2000, "epochs; one is one random start in each training episode, as in ACT", least=1, most=10_000_000
    )
    num_steps: int | None = cli.flag(
        None, "optimiser steps, instead of --num_epochs", least=1, most=100_000_000
    )
    lr: float = cli.flag(1e-5, "learning rate", above=0, most=10)
    lr_backbone: float = cli.flag(1e-5, "learning rate of pretrained backbones", least=0, most=10)
    weight_decay: float = cli.flag(1e-4, "weight decay of AdamW", least=0, most=100)
    lr_schedule: str = cli.flag(
        "constant", "after the warm-up: constant, or cosine down to zero", ("constant", "cosine")
    )
    warmup_steps: int = cli.flag(
        0, "steps over which the learning rate rises from zero", least=0, most=100_000_000
    )
    grad_clip: float | None = cli.flag(None, "largest norm of the gradient", above=0)
    ema: float | None = cli.flag(
        None,
        "decay of a moving average of the weights, e.g. 0.999, which is then validated, saved and used; 0: "
        "without; the policy's own if not given",
        least=0,
        below=1,
    )
    amp: str = cli.flag(
        "auto",
        "mixed precision: bf16 or no; auto: bf16 where the machine computes in it",
        ("auto", "bf16", "no"),
    )
    compile: bool = cli.flag(False, "compile the network; a minute at the start, faster steps on a GPU")
    validate_every: int | None = cli.flag(
        None, "steps between validations; 40 times a run, but at least 10 steps apart, if not given", least=1
    )
    eval_every: int | None = cli.flag(
        None, "steps between evaluations in simulation while training; never if not given", least=1
    )
    save_every: int | None = cli.flag(
        None, "steps between checkpoints that are kept; none if not given", least=1
    )
    keep_last: int | None = cli.flag(None, "how many of those are kept; all if not given", least=1)
    wandb: str | None = cli.flag(None, "project of Weights & Biases to log to as well")
    device: str = cli.flag("auto", "cpu, cuda, cuda:1 ...; auto: cuda where there is one")
    seed: int = cli.flag(0, "seed of everything random", least=0, most=cli.MOST_SEED)

    def steps(self, n_episodes: int, processes: int = 1) -> int:
        """Optimiser steps of the whole run on `n_episodes` training episodes."""
        if self.num_steps is not None:
            return self.num_steps
        return math.ceil(self.num_epochs * n_episodes / (self.batch_size * self.accumulate * processes))

    def batch_line(self, world: World) -> str:
        """How large the batch of a step is, for the reader."""
        factors = {"samples": self.batch_size, "accumulated": self.accumulate, "processes": world.size}
        product = " x ".join(f"{n} {name}" for name, n in factors.items() if n > 1 or name == "samples")
        return f"global batch {math.prod(factors.values())} = {product}"


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


def average_weights(policy: Policy, decay: float) -> AveragedModel:
    """A copy of the policy that follows it; more closely at first, by the decay (1 + n) / (10 + n) after n
    steps (as TensorFlow's ExponentialMovingAverage), so that a short run is not held back by its start.
    """

    @torch.no_grad()
    def follow(averages: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, weights, share)
        else:  # counters
            torch._foreach_copy_(averages, weights)

    return AveragedModel(policy, multi_avg_fn=follow, use_buffers=True)


def step_seed(seed: int, *key: int) -> int:
    """A 64-bit seed of a training step's own."""
    return int(np.random.SeedSequence([seed, Stream.TRAIN, *key]).generate_state(1, np.uint64)[0])


class _Loss(nn.Module):
    """A policy's loss as a module's forward pass, which is what can be compiled and distributed."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.policy.loss(batch)


class Run:
    """A training run: the policy, its optimiser, and how far it has come."""

    def __init__(
        self,
        policy: Policy,
        config: TrainConfig,
        total: int,
        world: World | None = None,
        prepare: Callable[[Batch], Batch] = dict,
    ) -> None:
        """
        Args:
            policy: on its device.
            config: flags.
            total: optimiser steps of the whole run.
            world: the processes that train it together; this one alone if not given.
            prepare: what is done to each batch, once it is on the device; may draw from torch's global
                generators, which are seeded anew for each step.
        """
        self.policy, self.config, self.total = policy, config, total
        self.world, self._prepare = world or World(), prepare
        self.device = next(policy.parameters()).device
        self.optimiser = make_optimiser(policy, config)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: learning_rate_factor(step, config, total)
        )
        decay = policy.ema if config.ema is None else config.ema
        self.average = average_weights(policy, decay) if decay else None
        self._loss = self.world.wrap(_Loss(policy))
        if config.compile:
            mode = "reduce-overhead" if self.device.type == "cuda" else "default"  # which uses CUDA graphs
            self._loss = torch.compile(self._loss, dynamic=False, mode=mode)
        self.step = 0
        self.best = math.inf  # validation loss
        self.best_success = 0.0  # share of rollouts
        self.history: list[Row] = []

    @property
    def result(self) -> Policy:
        """The policy as it is validated, saved and used."""
        return self.policy if self.average is None else self.average.module

    # --- a step

    def update(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """One optimiser step on one or several batches; mean losses, which stay on the device, so that
        nothing waits for it.
        """
        seed, rank = self.config.seed, self.world.rank
        torch.manual_seed(step_seed(seed, DROPOUT, self.step, rank))
        noise = self._noise(len(batches), len(batches[0]["qpos"]))
        self.optimiser.zero_grad(set_to_none=True)
        means: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            on_device = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
            prepared = {**self._prepare(on_device), **noise[number]}
            losses = self._backward(prepared, len(batches), number == len(batches) - 1)
            for name, loss in losses.items():
                means[name] = means.get(name, 0) + loss.detach().float() / len(batches)
        if self.config.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.grad_clip)
        self.optimiser.step()
        self.schedule.step()
        self.policy.after_step()
        if self.average is not None:
            self.average.update_parameters(self.policy)
        self.step += 1
        return means

    def _backward(self, batch: Batch, share: int, is_last: bool) -> dict[str, Tensor]:
        """Losses of a batch; their gradients are added, and after the last batch averaged over the world."""
        shared = isinstance(self._loss, DistributedDataParallel) and not is_last
        with self._loss.no_sync() if shared else contextlib.nullcontext():
            with autocast(self.config.amp, self.device):
                losses = self._loss(batch)
            (losses["loss"] / share).backward()
        return losses

    def _noise(self, parts: int, batch_size: int) -> list[Batch]:
        """Noise for each of this process's batches: its share of what is drawn for all samples of the step.

        So it does not matter how many processes and batches they are spread over.
        """
        generator = torch.Generator(self.device)
        generator.manual_seed(step_seed(self.config.seed, NOISE, self.step))
        drawn = self.policy.draw_noise(parts * self.world.size * batch_size, generator)
        firsts = [(part * self.world.size + self.world.rank) * batch_size for part in range(parts)]
        return [
            {name: tensor[first : first + batch_size] for name, tensor in drawn.items()} for first in firsts
        ]

    # --- checkpoints

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold, beside the result, to go on as if the run had never stopped."""
        return {
            "weights": None if self.average is None else self.policy.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "total": self.total,
            "best": self.best,
            "best_success": self.best_success,
            "history": self.history,
        }

    def restore(self, content: dict[str, Any], path: Path) -> None:
        """Go on from the content of a `last` checkpoint; ValueError if it is damaged, or if policy, average
        or schedule were others.
        """
        _, config, interface, _, weights = stored_parts(content, path)
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError("the run to resume was begun by an older version; begin anew with --overwrite")
        _check_same(config, interface, self.policy)
        state = stored_training(content, path)
        if state["total"] != self.total and self.config.lr_schedule == "cosine":
            raise ValueError(
                f"the checkpoint's cosine schedule ends at step {state['total']}, not {self.total}; "
                "give the same --num_steps or --num_epochs, or another --ckpt_dir"
            )
        if (state["weights"] is None) != (self.average is None):
            raise ValueError(
                f"the run to resume was {'without' if state['weights'] is None else 'with'} --ema; "
                "give the same flags, or another --ckpt_dir"
            )
        try:
            self.policy.load_state_dict(state["weights"] or weights)
            if self.average is not None:
                self.average.module.load_state_dict(weights)
                self.average.n_averaged.fill_(state["step"])
                self.average.module.train()  # as the policy itself; what `finish` taught it counts no more
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
        except Exception as error:  # whatever other shapes lead to
            raise ValueError(
                f"{path} cannot be resumed from: weights or optimiser are of another network "
                f"({first_line(error)}); begin anew with --overwrite"
            ) from error
        self.step, self.best, self.history = state["step"], state["best"], state["history"]
        self.best_success = state["best_success"]

    def save(self, ckpt_dir: Path, kind: str) -> Path:
        """`last` can be resumed from; other kinds hold the result alone. OSError if the disk is full; then a
        checkpoint that was there is as it was.
        """
        path = ckpt_dir / f"policy_{kind}.ckpt"
        extra = {"training": self.state()} if kind == "last" else {}
        check_room(path, [self.result.state_dict(), extra])
        save_policy(path, self.result, step=self.step, **extra)
        return path


def check_room(path: Path, content: Any) -> None:
    """OSError unless the disk has room for the tensors in `content` beside what is there."""
    needed, free = _tensor_bytes(content), shutil.disk_usage(path.parent).free
    if needed > free:
        advice = "make room, then give the same command again"
        if path.exists():
            advice = "the checkpoint before it is as it was: make room, then go on with --resume"
        raise OSError(
            f"{path} needs {needed / 1e6:.0f} MB, but the disk has {free / 1e6:.0f} MB left; {advice}"
        )


def _tensor_bytes(content: Any) -> int:
    if isinstance(content, Tensor):
        return content.nbytes
    if isinstance(content, dict):
        return sum(map(_tensor_bytes, content.values()))
    return sum(map(_tensor_bytes, content)) if isinstance(content, list | tuple) else 0


def _check_same(config: dict[str, Any], interface: Interface, policy: Policy) -> None:
    for stored, present in (
        (config, policy.rebuild_config()),
        (asdict(interface), policy.interface),
    ):
        for name, value in asdict(present).items():
            if stored.get(name, value) != value:  # what an older version did not store is no difference
                raise ValueError(
                    f"the run to resume has {name} {stored[name]!r}, this command {value!r}; "
                    "give the same flags, or another --ckpt_dir"
                )
