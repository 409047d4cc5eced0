"""Flags for computing with a network, the same for training, evaluation and the arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from common import cli


@dataclass(frozen=True)
class DeviceConfig:
    """Where a network runs."""

    TITLE: ClassVar[str] = "machine"

    device: str = cli.flag("auto", "cpu, cuda, cuda:1 ...; auto: cuda where there is one")


@dataclass(frozen=True)
class SeedConfig:
    """The seed of everything random."""

    TITLE: ClassVar[str] = "machine"

    seed: int = cli.flag(0, "seed of everything random", least=0, most=cli.MOST_SEED)


@dataclass(frozen=True)
class PrecisionConfig(DeviceConfig):
    """Device and precision."""

    TITLE: ClassVar[str] = "machine"

    amp: str = cli.flag(
        "auto",
        "mixed precision: bf16 or no; auto: bf16 where the machine computes in it",
        ("auto", "bf16", "no"),
    )


@dataclass(frozen=True)
class ComputeConfig(PrecisionConfig, SeedConfig):
    """Device, precision and seed."""

    TITLE: ClassVar[str] = "machine"
