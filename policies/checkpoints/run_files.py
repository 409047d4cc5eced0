"""The files of a run: where its policies lie."""

from __future__ import annotations

from pathlib import Path

from actors import is_onnx
from common import cli

BEST, LAST = "policy_best.ckpt", "policy_last.ckpt"  # of the lowest validation loss; of the last step


def run_checkpoint(ckpt_dir: str | Path, name: str | None = None) -> Path:
    """Path of a checkpoint in a run's folder.

    Without a name, the one that the run's flags (config.json) name, or else the best. An ONNX file is given
    in the folder's place.
    """
    folder = Path(ckpt_dir)
    if is_onnx(folder):
        if name is not None:
            raise ValueError(f"--ckpt_name is {name}; --ckpt_dir is a file already: {folder}")
        return folder
    flags = folder / "config.json"
    if name is None and flags.is_file():
        name = cli.read_flags(str(flags)).get("ckpt_name")
    return folder / (name or BEST)


def run_folder(ckpt_dir: str | Path) -> Path:
    """The folder for the results of a policy: that of its run, or the one that an ONNX file lies in."""
    return Path(ckpt_dir).parent if is_onnx(ckpt_dir) else Path(ckpt_dir)
