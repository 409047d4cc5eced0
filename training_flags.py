"""Flags of the training loop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cli
from compute_flags import ComputeConfig


@dataclass(frozen=True)
class ResumeConfig:
    """Flags of what happens to a run that is there already."""

    TITLE: ClassVar[str] = "what"

    resume: bool = cli.flag(False, "go on where a run in --ckpt_dir stopped (or begin, if there is none)")
    overwrite: bool = cli.flag(False, "begin anew although --ckpt_dir holds a run")

    def check(self) -> None:
        """ValueError for flags that contradict each other."""
        if self.resume and self.overwrite:
            raise ValueError("--resume goes on with a run, --overwrite begins anew; give one of them")

    def resumes(self, last: Path) -> bool:
        """Whether to go on with the run whose checkpoint `last` is; ValueError if there is one and neither
        flag is given.
        """
        if last.is_file() and not (self.resume or self.overwrite):
            raise ValueError(
                f"{last.parent} holds a run already; add --resume to go on with it, or --overwrite to begin "
                "anew"
            )
        return self.resume and last.is_file()


@dataclass(frozen=True)
class TrainConfig(ComputeConfig):
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

    def steps(self, n_episodes: int, processes: int = 1) -> int:
        """Optimiser steps of the whole run on `n_episodes` training episodes."""
        if self.num_steps is not None:
            return self.num_steps
        return math.ceil(self.num_epochs * n_episodes / (self.batch_size * self.accumulate * processes))

    def batch_line(self, processes: int = 1) -> str:
        """How large the batch of a step is, for the reader."""
        factors = {"samples": self.batch_size, "accumulated": self.accumulate, "processes": processes}
        product = " x ".join(f"{n} {name}" for name, n in factors.items() if n > 1 or name == "samples")
        return f"global batch {math.prod(factors.values())} = {product}"
