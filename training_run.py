"""The state of a training run: optimiser steps, and the checkpoints that it can be resumed from."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from logs import Row
from machine import World, autocast
from optimisation import average_weights, learning_rate_factor, make_optimiser, step_seed
from policies.base import Interface, Policy
from policies.stored import FORMAT_VERSION, Stored, first_line, stored_training
from policy import save_policy
from torch_files import check_room
from training_flags import TrainConfig
from utils import Batch

NOISE, DROPOUT = 2, 3  # sub-streams of Stream.TRAIN; the samplers have 0 and 1


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
        decay = policy.config.ema if config.ema is None else config.ema
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
        stored = Stored.of(content, path)
        if stored.format_version != FORMAT_VERSION:
            raise ValueError("the run to resume was begun by an older version; begin anew with --overwrite")
        _check_same(stored.config, stored.interface, self.policy)
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
            self.policy.load_state_dict(state["weights"] or stored.weights)
            if self.average is not None:
                self.average.module.load_state_dict(stored.weights)
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
