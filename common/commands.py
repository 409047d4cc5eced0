"""Commands as a person types them: `python3 SCRIPT.py ...`, on Windows `python SCRIPT.py ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.addresses import shown_command

PYTHON = "python" if sys.platform == "win32" else "python3"


def command_line(words: str) -> str:
    """What a person types to run a script: `words` are its path below the repository, and its flags."""
    return f"{PYTHON} {words}"


def this_command(argv: Sequence[str] | None = None) -> str:
    """The command line of this process, or `argv`, as a person would give it, without passwords."""
    return command_line(shown_command(sys.argv if argv is None else argv))
