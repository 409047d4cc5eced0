"""Train the prior over the codes of a finished ACT policy with --use_vq; evaluation then uses it.

python3 train_latent_model.py --ckpt_dir runs/act_vq
python3 train_latent_model.py --ckpt_dir runs/act_vq --ckpt_name policy_last.ckpt --num_steps 2000
"""

from __future__ import annotations

from collections.abc import Sequence

from common import cli, hold
from training import LatentModelConfig


def parse_flags(argv: Sequence[str] | None = None) -> LatentModelConfig:
    """This script's flags."""
    return cli.parse(LatentModelConfig, __doc__, argv)


def main() -> None:
    config = parse_flags()
    from training import train_latent_model  # imports torch

    with hold(config.ckpt_dir, make=False):
        train_latent_model(config)


if __name__ == "__main__":
    cli.run(main)
