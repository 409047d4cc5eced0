"""Train a backbone alone, as a classifier on CIFAR-10; policies can start from it (--backbone_weights).

python3 train_backbone.py --ckpt_dir runs/cifar --download
python3 train_backbone.py --ckpt_dir runs/cifar_both --optimizer both --epochs 30
"""

from __future__ import annotations

from collections.abc import Sequence

from common import cli, hold
from training import BackboneConfig, ClassifierConfig


def parse_flags(argv: Sequence[str] | None = None) -> tuple[BackboneConfig, ClassifierConfig]:
    """This script's flags, and those of a run."""
    parser = cli.make_parser(__doc__, ("what",))
    cli.add_flags(parser, BackboneConfig)
    cli.add_flags(parser, ClassifierConfig, "training")
    args = parser.parse_args(argv)
    return cli.from_flags(BackboneConfig, args), cli.from_flags(ClassifierConfig, args)


def main() -> None:
    config, training = parse_flags()
    from training import train_backbone  # imports torch

    with hold(config.ckpt_dir):
        train_backbone(config, training)


if __name__ == "__main__":
    cli.run(main)
