"""Flags of the training of a backbone by itself, as a classifier (train_backbone.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from common import DeviceConfig, cli
from detr import NORMS
from training.flags import ResumeConfig

OPTIMISERS = {"sgd": 0.1, "adam": 1e-3}  # and their learning rates


@dataclass(frozen=True)
class ClassifierConfig:
    """Flags of the training of a classifier. Defaults of SGD as in Wang et al. 2017, section 4.1."""

    backbone: str = cli.flag("residual_attention_cifar", "as in imitate_episodes.py, e.g. resnet18")
    backbone_weights: str = cli.flag("none", "what to start from: none, imagenet, or a file")
    norm: str | None = cli.flag(
        None, "normalisation of a backbone with random weights; its own choice if not given", tuple(NORMS)
    )
    epochs: int = cli.flag(100, "passes over the training images", least=1, most=1_000_000)
    batch_size: int = cli.flag(64, "images of a step", least=1, most=65_536)
    lr: float | None = cli.flag(
        None,
        f"learning rate; if not given {', '.join(f'{lr:g} of {name}' for name, lr in OPTIMISERS.items())}",
        above=0,
        most=10,
    )
    lr_drops: tuple[float, ...] = cli.flag(
        (0.4, 0.6), "shares of the run after which the learning rate falls to a tenth", least=0, most=1
    )
    weight_decay: float = cli.flag(1e-4, "weight decay", least=0, most=100)
    val_share: float = cli.flag(
        0.1, "share of the training images that is held back to choose the best by", above=0, below=1
    )
    no_augment: bool = cli.flag(False, "leave out random flips and crops")
    amp: str = cli.flag(
        "auto",
        "mixed precision: bf16 or no; auto: bf16 where the machine computes in it",
        ("auto", "bf16", "no"),
    )
    seed: int = cli.flag(0, "seed of everything random", least=0, most=cli.MOST_SEED)

    def check(self) -> None:
        """ValueError for the first value that makes no sense."""
        if self.norm and self.backbone_weights != "none":
            raise ValueError("--norm is for random weights; leave it out, or --backbone_weights")


@dataclass(frozen=True)
class BackboneConfig(ResumeConfig, DeviceConfig):
    """Flags of this script; those of a run come on top."""

    TITLE: ClassVar[str] = "what"

    ckpt_dir: str = cli.flag(None, "folder for weights, plots and results", required=True)
    data: str = cli.flag(
        "cifar10", "what to classify; fake: made-up images, to try the script", ("cifar10", "fake")
    )
    data_dir: str = cli.flag("data", "folder that holds cifar-10-batches-py")
    download: bool = cli.flag(False, "fetch CIFAR-10 (170 MB) into --data_dir if it is not there")
    optimizer: str = cli.flag(
        "sgd",
        "sgd (Nesterov's momentum), adam, or both, one after the other, to compare",
        (*OPTIMISERS, "both"),
    )

    def folders(self) -> dict[str, Path]:
        """Where each optimiser's run is kept."""
        folder = Path(self.ckpt_dir)
        if self.optimizer == "both":
            return {name: folder / name for name in OPTIMISERS}
        return {self.optimizer: folder}
