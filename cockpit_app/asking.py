"""Runs one of the scripts for what it prints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 120.0  # s; a busy machine is slow


def output_of(words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What Python prints when it is started with some words in a folder.

    Raises:
        ValueError: it fails; the message is its last line.
        subprocess.TimeoutExpired: it takes longer than `PATIENCE`.
    """
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no answer"]
        raise ValueError(lines[-1].removeprefix("error: "))
    return done.stdout
