"""How far a training run has come, and the checkpoints that it can be resumed from."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from actors import Interface
from common import Background, Losses, check_room, copied, write_torch
from policies import FORMAT_VERSION, Policy, Stored, first_line, read_checkpoint, stored_training
from policy import policy_content
from training.flags import TrainConfig
from training.optimisation import AverageWeights, learning_rate_factor, make_optimiser
from training.places import PlaceLoss

# flags that choose the episodes, or that the optimiser holds
FIXED = ("seed", "lr", "lr_backbone", "weight_decay")
OF_EPISODES = {  # what a policy's `Interface` has of them, and not of the flags
    "state_dim": "the width of the state",
    "action_dim": "the width of the action",
    "render_quality": "the quality of their pictures",
    "fps": "the steps a second",
    "episode_len": "the length of the longest",
    "recovers": "whether some begin in the middle of an attempt",
    "velocity": "the top speed",
    "acceleration": "the top acceleration",
    "frame_sizes": "the size of their pictures",
}


class RunState:
    """What a run goes on from: the policy, its average, its optimiser, and its best results so far."""

    def __init__(
        self, policy: Policy, config: TrainConfig, total: int, places: PlaceLoss | None = None
    ) -> None:
        """
        Args:
            policy: on its device.
            config: flags.
            total: optimiser steps of the whole run.
            places: a loss that is added to the policy's own.
        """
        self.policy, self.config, self.total, self.places = policy, config, total, places
        self.device = next(policy.parameters()).device
        self.optimiser = make_optimiser(policy, config, places.parameters() if places else ())
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: learning_rate_factor(step, config, total)
        )
        decay = policy.config.ema if config.ema is None else config.ema
        self.average = AverageWeights(policy, decay) if decay else None
        self.step = 0
        self.best = math.inf  # validation loss
        self.best_success = 0.0  # share of rollouts
        self.history: list[Losses] = []
        self.references: dict[str, dict[str, bytes]] = {}  # plain, by camera

    @property
    def result(self) -> Policy:
        """The policy as it is validated, saved and used."""
        return self.policy if self.average is None else self.average.module

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold, beside the result, to go on as if the run had never stopped."""
        return {
            "flags": self._fixed(),
            "weights": None if self.average is None else self.policy.state_dict(),
            "places": None if self.places is None else self.places.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "total": self.total,
            "best": self.best,
            "best_success": self.best_success,
            "history": [losses.row() for losses in self.history],
        }

    def _fixed(self) -> dict[str, Any]:
        """Flags that a run keeps from its first step to its last."""
        return {name: getattr(self.config, name) for name in FIXED}

    def restore(self, path: Path) -> None:
        """Go on from a `last` checkpoint; ValueError if it is damaged, is further than `total`, or is of
        another policy, average or schedule.
        """
        content = read_checkpoint(path)
        stored = Stored.of(content, path)
        if stored.format_version != FORMAT_VERSION:
            raise ValueError("the run to resume was begun by an older version; begin anew with --overwrite")
        state = stored_training(content, path)
        for name, value in self._fixed().items():
            if (theirs := state.get("flags", {}).get(name, value)) != value:
                raise ValueError(
                    f"the run to resume was begun with --{name} {theirs}, this command has {value}; "
                    "give the same flags, or another --ckpt_dir"
                )
        _check_same(stored.config, stored.interface, self.policy)
        if state["total"] != self.total and self.config.lr_schedule == "cosine":
            raise ValueError(
                f"the checkpoint's cosine schedule ends at step {state['total']}, not {self.total}; "
                "give the same --num_steps or --num_epochs, or another --ckpt_dir"
            )
        if state["step"] > self.total:
            raise ValueError(
                f"the run to resume is at step {state['step']} already, this command ends at {self.total}; "
                "give more --num_steps or --num_epochs, or another --ckpt_dir"
            )
        if (state["weights"] is None) != (self.average is None):
            raise ValueError(
                f"the run to resume was {'without' if state['weights'] is None else 'with'} --ema; "
                "give the same flags, or another --ckpt_dir"
            )
        if (state.get("places") is None) != (self.places is None):
            raise ValueError(
                f"the run to resume was {'with' if self.places is None else 'without'} --place_loss; "
                "give the same flags, or another --ckpt_dir"
            )
        try:
            if self.places is not None:
                self.places.load_state_dict(state["places"])
            self.policy.load_state_dict(state["weights"] or stored.weights)
            if self.average is not None:
                self.average.module.load_state_dict(stored.weights)
                self.average.module.train()  # as the policy itself; what `finish` put into it counts no more
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
        except Exception as error:  # other shapes raise anything
            raise ValueError(
                f"{path} cannot be resumed from: weights or optimiser are of another network "
                f"({first_line(error)}); begin anew with --overwrite"
            ) from error
        self.step, self.best, self.best_success = state["step"], state["best"], state["best_success"]
        self.history = state["history"]

    def save(self, ckpt_dir: Path, name: str, background: Background | None = None) -> Path:
        """Write `policy_<name>.ckpt`: `last` can be resumed from, others hold only the result. OSError if the
        disk is full; an earlier checkpoint then stays as it was. With `background`, a copy is written there.
        """
        path = ckpt_dir / f"policy_{name}.ckpt"
        extra = {"training": self.state()} if name == "last" else {}
        content = policy_content(self.result, step=self.step, references=self.references, **extra)
        check_room(path, content)
        if background is None:
            write_torch(path, content)
        else:
            background.do(write_torch, path, copied(content))
        return path

    def save_step(self, ckpt_dir: Path) -> None:
        """Write a checkpoint of this step; of such, only the newest `keep_last` stay."""
        seed, keep = self.config.seed, self.config.keep_last
        self.save(ckpt_dir, f"step_{self.step}_seed_{seed}")
        paths = ckpt_dir.glob(f"policy_step_*_seed_{seed}.ckpt")
        by_step = sorted(paths, key=lambda path: int(path.name.split("_")[2]))
        for path in by_step[:-keep] if keep else ():
            path.unlink()


def _check_same(config: dict[str, Any], interface: Interface, policy: Policy) -> None:
    """ValueError if the policy is another; what an older version did not store does not differ."""
    known = {
        name: value
        for name, value in asdict(interface).items()
        if value or value is False or name not in OF_EPISODES
    }
    for stored, present in (
        (config, policy.rebuild_config()),
        (known, policy.interface),
    ):
        for name, value in asdict(present).items():
            if stored.get(name, value) == value:
                continue
            if stored is known and name in OF_EPISODES:
                raise ValueError(
                    f"the run to resume was begun with other episodes, or another --train_ratio "
                    f"({OF_EPISODES[name]} differs); give those alone, or train on these from the start: "
                    "another --ckpt_dir, or --overwrite"
                )
            raise ValueError(
                f"the run to resume has {name} {stored[name]!r}, this command {value!r}; "
                "give the same flags, or another --ckpt_dir"
            )
