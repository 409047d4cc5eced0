"""A room's door: what it offers to the rest of the house, and from which of its files.

A name is loaded when it is first used, so that entering a room costs nothing: `from episodes import
Episode` loads no torch, although statistics, which need it, live there too (PEP 562).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def open_door(
    room: str, offers: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a room's `__init__.py`.

    Args:
        room: the package's name.
        offers: by file of the room, the names that others may import; the file's own name stands for the
            module itself.
    """
    owners = {name: file for file, names in offers.items() for name in names}

    def get(name: str) -> Any:
        if name not in owners:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        module = importlib.import_module(f"{room}.{owners[name]}")
        return module if name == owners[name] else getattr(module, name)

    return get, lambda: sorted(owners), sorted(owners)
