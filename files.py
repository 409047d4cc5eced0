"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def complete_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; then that file is flushed to disk and renamed `path`.

    If writing fails or is interrupted, the temporary file is removed and `path` is as it was.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def file_identity(path: str | Path) -> tuple[int, int]:
    """Size (bytes) and time of the last change (ns): what tells whether a file is still the same."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def remove_unfinished(folder: str | Path) -> None:
    """Remove what processes that were killed had begun to write into `folder` (`complete_file`)."""
    for part in Path(folder).glob(".*.part"):
        part.unlink(missing_ok=True)
