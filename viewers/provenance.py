"""What was run: `commands.json` in a run's folder lists its commands, with time and versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common import ROOT, complete_file, from_plain, hold_briefly, is_installed, this_command

NOTED = "commands.json"
PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "h5py",
    "opencv-python-headless",
    "mujoco",
    "dm_control",
    "diffusers",
)


@dataclass(frozen=True)
class NotedCommand:
    """A command that was run."""

    what: str  # what it does to the run
    when: str  # ISO 8601
    command: str
    versions: dict[str, str]  # by name, of what its results may depend on


def note_command(folder: Path, what: str, argv: Sequence[str] | None = None) -> None:
    """Add a command to the folder's list; passwords and tokens are masked.

    Args:
        folder: the run's.
        what: what the command does to the run.
        argv: the command; the one that is running if not given.
    """
    when = datetime.now().astimezone().isoformat(timespec="seconds")
    line = this_command(argv)
    entry = asdict(NotedCommand(what, when, line, versions()))
    with hold_briefly(folder / NOTED):
        entries = [*read_commands(folder), entry]
        with complete_file(folder / NOTED) as part:
            part.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def read_commands(folder: Path) -> list[dict[str, Any]]:
    """The folder's list, oldest first; empty if there is none. ValueError if the file is damaged."""
    path = folder / NOTED
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise ValueError("it must be a list")
        return [asdict(from_plain(NotedCommand, entry, f"command {i}")) for i, entry in enumerate(entries)]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no list of commands ({error}); move it away") from None


def versions() -> dict[str, str]:
    """What results may depend on: this code's commit, Python, the packages that compute, and the machine."""
    entries = {"code": _commit(), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            entries[package] = version(package)
        except PackageNotFoundError:
            continue
    entries["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{_gpu()}"
    return entries


def _commit() -> str:
    """The commit of this code, with `-dirty` if files were changed since; of a wheel its version."""
    if is_installed():  # a repository around it would be the user's
        return f"act-toolkit {version('act-toolkit')}"
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown: no git repository"
    return done.stdout.strip()


def _gpu() -> str:
    torch = sys.modules.get("torch")  # every program that could use a GPU has imported it
    if torch is None or not torch.cuda.is_available():
        return ""
    return f", {torch.cuda.get_device_name()}"
