"""The files of a run: where its policies lie."""

from __future__ import annotations

from pathlib import Path

from common import cli

BEST, LAST = "policy_best.ckpt", "policy_last.ckpt"  # of the lowest validation loss; of the last step


def run_checkpoint(ckpt_dir: str | Path, name: str | None = None) -> Path:
    """Path of a checkpoint in a run's folder.

    Without a name, the one that the run's flags (config.json) name, or else the best.
    """
    folder = Path(ckpt_dir)
    flags = folder / "config.json"
    if name is None and flags.is_file():
        name = cli.read_flags(str(flags)).get("ckpt_name")
    return folder / (name or BEST)
