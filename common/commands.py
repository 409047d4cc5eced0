"""What a person types: `python3 SCRIPT.py`, on Windows `python SCRIPT.py`, of a wheel `act-...`."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common.web import MASK, masked

ROOT = Path(__file__).resolve().parents[1]  # the repository, or what a wheel has of it
PYTHON = "python" if sys.platform == "win32" else "python3"
COMMANDS = {  # of the wheel, and the script that each runs
    "act-demo": "demo.py",
    "act-cockpit": "cockpit.py",
    "act-record": "record_sim_episodes.py",
    "act-replay": "replay_episodes.py",
    "act-visualize": "visualize_episodes.py",
    "act-edit": "edit_episodes.py",
    "act-train": "imitate_episodes.py",
    "act-train-backbone": "train_backbone.py",
    "act-train-latent": "train_latent_model.py",
    "act-report": "report.py",
    "act-features": "visualize_features.py",
    "act-export": "export_policy.py",
    "act-run": "model_runs.py",
    "act-serve": "policy_server.py",
    "act-task": "show_task.py",
    "act-arm-check": "mycobot_scripts/check_arm.py",
    "act-arm-drive": "mycobot_scripts/drive_arm.py",
    "act-arm-record": "mycobot_scripts/record_episodes.py",
    "act-arm-replay": "mycobot_scripts/replay_episode.py",
    "act-arm-import": "mycobot_scripts/import_recordings.py",
    "act-arm-leader": "mycobot_scripts/leader.py",
    "act-arm-twin": "mycobot_scripts/twin.py",
}


def quoted(*words: object) -> str:
    """Words as a shell of this computer takes them: on Windows, cmd knows no single quotes."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def is_installed() -> bool:
    """Whether this runs from an installed wheel: its scripts lie where nobody looks, but it has commands."""
    return not (ROOT / "pyproject.toml").is_file()


def command_line(words: str) -> str:
    """What a person types to run a script: `words` are its path below the repository, and its flags."""
    script, space, flags = words.partition(" ")
    for command, path in COMMANDS.items() if is_installed() else ():
        if script == path:
            return f"{command}{space}{flags}"
    return f"{PYTHON} {words}"


def shown_command(argv: Sequence[str]) -> str:
    """A command line, as a person would give it, without passwords and tokens."""
    words = [
        MASK if before == "--token" else masked(word) for before, word in zip(["", *argv], argv, strict=False)
    ]
    return quoted(*(re.sub("^--token=.*", f"--token={MASK}", word) for word in words))


def this_command(argv: Sequence[str] | None = None) -> str:
    """The command line of this process, or `argv`, as a person would give it, without passwords."""
    script, *words = sys.argv if argv is None else argv
    if is_installed() and Path(script).is_relative_to(ROOT):
        script = Path(script).relative_to(ROOT).as_posix()
    return command_line(shown_command([script, *words]))
