"""Where this toolkit's checkout is; each plugin has a copy of this file, as `<plugin>.checkout`."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

VARIABLE = "ACT_TOOLKIT"
_MARK = "imitate_episodes.py"  # stands at the root


def find() -> Path:
    """The root; ValueError, with what to do, if it is not known."""
    named = os.environ.get(VARIABLE)
    beside = Path(__file__).resolve().parents[2]  # in the checkout: pip install -e
    for root in [Path(named)] if named else [beside, *_installed()]:
        if (root / _MARK).is_file():
            return root
    what = (
        f"{VARIABLE} is {named}, where the toolkit is not" if named else "the toolkit's checkout is not known"
    )
    raise ValueError(f"{what}; set {VARIABLE} to its folder, or install the plugin by `pip install -e`")


def _installed() -> list[Path]:
    """The root of the toolkit's wheel, if that is installed."""
    try:
        return [importlib.import_module("act_toolkit").ROOT]
    except ImportError:
        return []


def enter() -> None:
    """Make the toolkit's modules importable, behind all that is installed."""
    root = str(find().resolve())
    if root not in sys.path:
        sys.path.append(root)
    common = importlib.import_module("common")
    if Path(common.__file__).resolve().parents[1] != Path(root):
        raise ValueError(f"another package is called `common`, {common.__file__}; it hides the toolkit's")
