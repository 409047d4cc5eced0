"""The toolkit as an installed package: its commands (`act-record`), and its modules for other programs.

    import act_toolkit
    act_toolkit.enter()
    from episodes import Episode

A wheel has the repository's files in tree/, beside this one; in the repository this folder lies among them.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
ROOT = _HERE / "tree" if (_HERE / "tree").is_dir() else _HERE.parent


def enter() -> None:
    """Make the modules importable by the names that they have in the repository."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def run() -> None:
    """Run the script of the command that this process is, as `python3 SCRIPT.py` does. A link to a command
    may have another name.
    """
    sys.path.insert(0, str(ROOT))
    from common import COMMANDS

    called = Path(sys.argv[0])
    found = [COMMANDS[name] for name in (called.stem, called.resolve().stem) if name in COMMANDS]
    if not found:
        sys.exit(f"error: {called.name} is no command of this toolkit; they are {', '.join(COMMANDS)}")
    script = ROOT / found[0]
    sys.argv[0] = str(script)
    sys.path[0] = str(script.parent)
    runpy.run_path(str(script), run_name="__main__")
