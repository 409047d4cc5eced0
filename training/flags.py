"""Flags of training: the episodes, the loop, and what a run is. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from common import ComputeConfig, DeviceConfig, SeedConfig, Workers, cli
from constants import IMAGE_SIZE
from episodes import CACHES, ViewConfig
from evaluation import EvalConfig
from policies import POLICIES, AugmentConfig


@dataclass(frozen=True)
class ResumeConfig:
    """Flags for a run that exists already."""

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
        1,
        "batches for each optimiser step: as one batch that many times larger, in less memory",
        least=1,
        most=65_536,
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
    beta2: float = cli.flag(
        0.999,
        "share of the mean square of the gradients that AdamW keeps from step to step; short runs want less",
        least=0,
        below=1,
    )
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
        "none; the policy's own if not given",
        least=0,
        below=1,
    )
    compile: bool = cli.flag(False, "compile the network; a minute at the start, faster steps on a GPU")
    deterministic: bool = cli.flag(
        False,
        "on a GPU, take kernels that give the same numbers each time, where there are such: slower; a CPU "
        "always does",
    )
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


@dataclass(frozen=True)
class FeedConfig(AugmentConfig, ViewConfig):
    """Flags of the episodes, of what the policy sees of them, and of how they are sampled."""

    TITLE: ClassVar[str] = "data"

    dataset_dir: tuple[str, ...] | None = cli.flag(
        None,
        "folder of the episodes, or several, of which the first also validates; $ACT_DATA_DIR/<task> or "
        "data/<task> if not given",
        distinct=True,
    )
    sample_weights: tuple[float, ...] | None = cli.flag(
        None, "how often samples come from each folder, e.g. 7 2 1; all the same if not given", least=0
    )
    stats_dir: tuple[str, ...] | None = cli.flag(
        None,
        "folders whose episodes set the normalisation; those of --dataset_dir if not given",
        distinct=True,
    )
    skip_mirrored_data: bool = cli.flag(False, "leave out folders and files with mirror in their name")
    camera_names: tuple[str, ...] | None = cli.flag(
        None, "cameras the policy sees; the task's own if not given", distinct=True, group="picture"
    )
    image_size: tuple[int, int] = cli.flag(
        IMAGE_SIZE,
        "height and width (pixels) the policy sees; smaller is faster",
        least=8,
        most=8192,
        group="picture",
    )
    cache: str = cli.flag(
        "auto",
        "frames in memory: none, their JPEGs, or decoded at --image_size; auto: what fits into half of the "
        "free memory",
        CACHES,
    )
    train_ratio: float = cli.flag(
        0.8, "share of the (first folder's) episodes that is trained on; the rest validates", above=0, below=1
    )
    early_share: float = cli.flag(
        0.0, "share of each batch that starts within the first --early_steps of an episode", least=0, most=1
    )
    early_steps: int = cli.flag(40, "see --early_share", least=1, most=1_000_000)


@dataclass(frozen=True)
class RunConfig(FeedConfig, ComputeConfig):
    """Flags that say what is trained, and on what."""

    TITLE: ClassVar[str] = "what"

    task_name: str = cli.flag(
        None,
        "task, e.g. sim_transfer_cube_scripted; any other name with --dataset_dir: what lies there",
        required=True,
    )
    ckpt_dir: str = cli.flag(
        None,
        "folder for checkpoints, plots, videos and results; with --eval also a policy.onnx",
        required=True,
    )
    policy_class: str = cli.flag("ACT", "kind of policy", tuple(POLICIES))
    places_only: tuple[str, ...] | None = cli.flag(
        None,
        "folders of --dataset_dir whose pictures teach where objects are (--place_loss), and whose actions "
        "teach nothing, as those of people contradict one another; the first of the others validates",
        distinct=True,
    )


@dataclass(frozen=True)
class TrainingRunConfig(Workers, ResumeConfig, RunConfig, EvalConfig):
    """Flags of imitate_episodes.py; those of the training loop and of the policy come on top."""

    TITLE: ClassVar[str] = "what"

    config: str | None = cli.flag(
        None,
        "a preset, or the config.json of a run to repeat; flags given beside it take precedence, also "
        "--no_encoder false and the like",
    )
    eval: bool = cli.flag(False, "evaluate a checkpoint (--ckpt_name) in simulation", group="evaluation")
    ckpt_name: str | None = cli.flag(
        None,
        "checkpoint to evaluate, or policy.onnx; the one that the run's flags name, else policy_best.ckpt, "
        "if not given",
        group="evaluation",
    )
    place_loss: float = cli.flag(
        0.0,
        "weight of a second loss: from its pictures at the start of an episode, the policy's backbones must "
        "also tell where the objects are, if the episodes know (scripted ones do); helps where looks vary",
        least=0,
        most=1000,
        group="training",
    )
    no_check: bool = cli.flag(
        False, "do not look for what is wrong with the episodes before training", group="training"
    )
    dry_run: bool = cli.flag(
        False,
        "load everything, take a few steps, say how much memory and time the training takes, and end; "
        "nothing is written",
        group="training",
    )
    chunk_seconds: float | None = cli.flag(
        None, "length of a chunk in seconds, instead of in steps", above=0, most=3600, group="training"
    )

    def check(self) -> None:
        """ValueError for the first value that makes no sense."""
        self.check_workers(self.onscreen_render)
        self.check_augment()
        self.check_evaluation()
        if self.dry_run and self.eval:
            raise ValueError("--dry_run is for training; leave it out with --eval")
        super().check()

    def chunk_steps(self, fps: int) -> int:
        """Control steps in --chunk_seconds; ValueError if there is none."""
        steps = round(self.chunk_seconds * fps)
        if steps < 1:
            raise ValueError(
                f"--chunk_seconds is {self.chunk_seconds}; it must be at least {1 / fps:g}, a control step"
            )
        return steps


@dataclass(frozen=True)
class LatentModelConfig(DeviceConfig, SeedConfig):
    """Flags of the training of a prior over codes (train_latent_model.py)."""

    ckpt_dir: str = cli.flag(
        None, "folder of the policy's run; its config.json tells where the episodes are", required=True
    )
    ckpt_name: str | None = cli.flag(
        None,
        "checkpoint that gets the prior; if not given, the one of the run's flags, else policy_best.ckpt",
    )
    dataset_dir: tuple[str, ...] | None = cli.flag(
        None, "folders of the episodes; the run's if not given", distinct=True
    )
    num_steps: int = cli.flag(1000, "optimiser steps", least=1, most=100_000_000)
    batch_size: int = cli.flag(64, "chunks of actions at once", least=1, most=65_536)
    lr: float = cli.flag(3e-4, "learning rate", above=0, most=10)
