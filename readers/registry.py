"""The formats that are read. A new one is one line here, and its reader in a file of its own."""

from __future__ import annotations

from pathlib import Path

from episodes import listed
from readers.base import Reader
from readers.formats import ActFiles, RobomimicFiles, Tables, TextLogs, ZarrBuffers
from readers.lerobot import LeRobot

# asked in this order whether they know a folder or file; the first that does, reads it
READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (LeRobot(), RobomimicFiles(), ZarrBuffers(), ActFiles(), Tables(), TextLogs())
}


def recognised(path: Path) -> Reader:
    """The reader of a folder or file.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: no reader knows it; it says what is there.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; give the folder or file of the recordings")
    for reader in READERS.values():
        if reader.recognises(path):
            return reader
    there = sorted(each.name for each in path.iterdir()) if path.is_dir() else [path.name]
    raise ValueError(
        f"{path} is of no format that is read ({', '.join(READERS)}); it holds {listed(there) or 'nothing'}; "
        "if it is one of them all the same: --format"
    )
