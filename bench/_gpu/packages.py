"""Packages that a machine with a GPU may lack: they come from a folder, or are left out.

A plain image with PyTorch has no diffusers, robomimic or MuJoCo, and perhaps no OpenCV or h5py. What needs a
missing one is skipped, and says so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import MagicMock

ONLY_IMPORTED = ("cv2", "h5py", "joblib", "psutil", "tqdm")  # by modules whose other parts are needed


def add_site(folder: str | None) -> None:
    """Take packages from a folder too, behind the machine's own. ValueError if there is no such folder."""
    if folder is None:
        return
    path = Path(folder).resolve()
    if not path.is_dir():
        raise ValueError(f"--site is {folder!r}; there is no such folder")
    sys.path.append(str(path))


def lacking(names: Sequence[str]) -> list[str]:
    """Those that cannot be imported, or only as a stand-in."""
    stands_in = {name for name in names if isinstance(sys.modules.get(name), MagicMock)}
    return [name for name in names if name in stands_in or find_spec(name) is None]


def stand_in(names: Sequence[str] = ONLY_IMPORTED) -> None:
    """Let modules import what the machine lacks; whatever is done with it does nothing."""
    for name in lacking(names):
        sys.modules[name] = MagicMock()
        sys.modules[name].__spec__ = ModuleSpec(name, None)  # torch's compiler asks for it
