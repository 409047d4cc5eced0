"""Files that are there as a whole or not at all, and folders that are changed as a whole."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from common.processes import has_ended, here

UNFINISHED = ".unfinished_edit"  # in a folder that is being changed: new files until all are there
PLAN = "plan.json"  # in that folder: what is done, and whether all are there
_FULL = {  # what a system says when a file finds no room
    errno.ENOSPC: "no space left on device; free some",
    errno.EDQUOT: "your share of the disk is full; free some",
    errno.EFBIG: "the file is larger than this system lets you write (ulimit -f); raise that",
}
_PART = re.compile(r"\.(\d+)(?:@(.+))?\.part$")  # process, and where that number holds
_swept: set[Path] = set()


class DiskFull(OSError):
    """There is no room for a file; the message names it."""


@contextmanager
def complete_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; then that file is flushed to disk and renamed `path`.

    If writing fails or is interrupted, the temporary file is removed and `path` is as it was. DiskFull, with
    the file's name, if that is because there is no room. What killed processes left in the folder is removed.
    A link stays one: the file that it leads to is written.
    """
    real = Path(os.path.realpath(path))
    part = real.with_name(f".{real.name}.{os.getpid()}@{here()}.part")
    if real.parent not in _swept:
        _swept.add(real.parent)
        remove_unfinished(real.parent, patience=0)
    try:
        with told_if_full(path):
            yield part
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, real)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def told_if_full(path: str | Path) -> Iterator[None]:
    """DiskFull with the name of `path` for whatever a library raises when there is no room for it."""
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        problem = _full_disk(error)
        if problem is None:
            raise
        raise DiskFull(f"{path}: {problem} and give the same command again") from error


def _full_disk(error: BaseException | None) -> str | None:
    """What is full, if an error or one that led to it says so: by its number, or in words."""
    while error is not None:
        for number, problem in _FULL.items():
            if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
                return problem
        error = error.__cause__ or error.__context__
    return None


class PatientFile(io.FileIO):
    """A new file for libraries that do not bear a full disk: the first error is kept, and nothing is written
    any more. It is raised when the file is closed, by `with`.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        with self._kept():
            while self._error is None and done < len(view):
                done += super().write(view[done:])
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        with self._kept():
            return super().truncate(size)
        return size or 0

    def close(self) -> None:
        with self._kept():
            super().close()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._error = self._error or error

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if self._error is not None:
            raise self._error


def move_file(old: Path, new: Path) -> None:
    """Rename a file, whose new folder is made; a link leads from there to where it did before."""
    new.parent.mkdir(parents=True, exist_ok=True)
    if old.is_symlink() and not os.path.isabs(os.readlink(old)):
        with suppress(FileExistsError):  # from a time when this was stopped before the next line
            new.symlink_to(os.path.join(old.parent.absolute(), os.readlink(old)))
        old.unlink()
    else:
        os.replace(old, new)


def check_folder(path: str | Path, flag: str) -> None:
    """NotADirectoryError if a folder that is to be written to is a file, or lies below one."""
    for place in (Path(path), *Path(path).absolute().parents):
        if place.is_file():
            raise NotADirectoryError(f"--{flag} is {str(path)!r}; {place} is a file, no folder")


def file_identity(path: str | Path) -> tuple[int, int]:
    """Size (bytes) and time of the last change (ns): what tells whether a file is still the same."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def remove_unfinished(folder: str | Path, patience: float = 2.0) -> None:
    """Remove what processes that were killed had begun to write into `folder` (`complete_file`).

    What a living one writes is left alone; children of this one, just killed, get `patience` (s) to be gone.
    """
    deadline = time.monotonic() + patience
    for part in Path(folder).glob(".*.part"):
        writer = _PART.search(part.name)
        if writer is None:
            continue
        pid, place = int(writer[1]), writer[2] or ""
        with suppress(OSError):  # somebody was faster, or the folder is read only
            changed = part.stat().st_mtime
            while _is_child(pid) and time.monotonic() < deadline and not has_ended(pid, place, changed):
                time.sleep(0.02)
            if has_ended(pid, place, changed):
                part.unlink()


def empty_folder(folder: Path) -> None:
    """Remove everything in a folder, which stays (and with it whoever holds it)."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_child(pid: int) -> bool:
    try:
        return psutil.Process(pid).ppid() == os.getpid()
    except psutil.Error:
        return False


def read_plan(folder: str | Path) -> dict[str, Any]:
    """What a change of a folder's files, begun and not ended, has to do; empty if there is none."""
    try:
        return json.loads((Path(folder) / UNFINISHED / PLAN).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}


def check_whole(folder: str | Path) -> None:
    """OSError, with what to do, for a folder that is half old and half new: a change was stopped while its
    files took their places.
    """
    folder = Path(folder).absolute()
    for root in (folder, folder.parent):
        plan = read_plan(root)
        if plan.get("is_complete") and _concerns(plan["identity"], folder.relative_to(root)):
            raise OSError(
                f"{folder} is half changed: {plan['identity']['command']!r} was stopped while files took "
                f"their places. Give it again, it does the rest: {plan.get('again', 'the same command')}"
            )


def _concerns(identity: dict[str, Any], inside: Path) -> bool:
    """Whether a plan's files are in its folder itself, or in this one inside it."""
    names = [*identity["files"], *(name for move in identity["moves"] for name in move)]
    return any(inside in (Path(name).parent, *Path(name).parents) for name in names)
