"""Checkpoint files: plain values and tensors."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

import cli

BEST, LAST = "policy_best.ckpt", "policy_last.ckpt"  # of least validation loss; of the last step


def run_checkpoint(ckpt_dir: str | Path, name: str | None = None) -> Path:
    """Path of the checkpoint of that name in a run's folder.

    Without a name, of the one that the run's flags (config.json) name; of the best where they name none.
    """
    folder = Path(ckpt_dir)
    flags = folder / "config.json"
    if name is None and flags.is_file():
        name = cli.read_flags(str(flags)).get("ckpt_name")
    return folder / (name or BEST)


def read_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Content of a checkpoint; FileNotFoundError, or ValueError if it is no torch file of plain values."""
    path = Path(path)
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.ckpt"))
        found = f"in that folder: {', '.join(there) or 'none'}"
        raise FileNotFoundError(
            f"no checkpoint {path}; {found if path.parent.is_dir() else 'there is no such folder'}"
        )
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a whole checkpoint: {str(error).splitlines()[0]}") from error
