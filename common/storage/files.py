"""Files written completely or not at all, and folders changed completely or not at all."""

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

UNFINISHED = ".unfinished_edit"  # in a folder that is being changed: holds new files until all are written
PATIENCE = 3.0  # s that Windows gets until a file may be replaced
PLAN = "plan.json"  # in that folder: what the change does, and whether all new files are written
PRECIOUS = {".hdf5", ".h5", ".hdf", ".he5", ".ckpt", ".pth", ".pt", ".onnx"}  # of recordings and policies
_FULL = {  # errors of a system that has no room for a file
    errno.ENOSPC: "no space left on device; free some",
    errno.EDQUOT: "your share of the disk is full; free some",
    errno.EFBIG: "the file is larger than this system lets you write (ulimit -f); raise that",
}
_PART = re.compile(r"\.(\d+)(?:@(.+))?\.part$")  # process number, and where it is valid (`processes.here`)
_swept: set[Path] = set()


class DiskFull(OSError):
    """There is no room for a file; the message names it."""


@contextmanager
def complete_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; then that file is flushed to disk and renamed `path`.

    If writing fails or is interrupted, the temporary file is removed and `path` stays as it was. A full disk
    raises DiskFull with the file's name. What killed processes left in the folder is removed. A link stays a
    link; its target is written.
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
            replace_file(part, real)
    finally:
        part.unlink(missing_ok=True)


def replace_file(old: str | Path, new: str | Path) -> None:
    """`os.replace`. Windows refuses it while somebody has `new` open, e.g. a virus scanner: he gets time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(old, new)
        except PermissionError:
            if os.name != "nt" or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


@contextmanager
def told_if_full(path: str | Path) -> Iterator[None]:
    """Turn whatever a library raises on a full disk into DiskFull with the name of `path`."""
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
    """What is full, if an error or one of its causes says so, by its number or in words."""
    while error is not None:
        for number, problem in _FULL.items():
            if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
                return problem
        error = error.__cause__ or error.__context__
    return None


class PatientFile(io.FileIO):
    """A new file for libraries that cannot handle a full disk: after the first error nothing more is written,
    and the end of `with` raises that error.
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
    """Rename a file and make its new folder; a link still leads where it did before."""
    new.parent.mkdir(parents=True, exist_ok=True)
    if old.is_symlink() and not os.path.isabs(os.readlink(old)):
        with suppress(FileExistsError):  # an earlier call was stopped before the next line
            new.symlink_to(os.path.join(old.parent.absolute(), os.readlink(old)))
        old.unlink()
    else:
        replace_file(old, new)


def check_folder(path: str | Path, flag: str) -> None:
    """NotADirectoryError if a folder to write to is a file, or lies below one."""
    for place in (Path(path), *Path(path).absolute().parents):
        if place.is_file():
            raise NotADirectoryError(f"--{flag} is {str(path)!r}; {place} is a file, not a folder")


def check_file(path: str | Path, flag: str, kind: str) -> None:
    """ValueError if a file of a `kind` (".html") to write has the ending of a recording or a policy, would
    replace one of another kind (a result for scripts may have any name), or is a folder; NotADirectoryError
    if it lies below a file.
    """
    path = Path(path)
    if path.suffix.lower() in PRECIOUS - {kind}:
        raise ValueError(f"--{flag} is {path}, a name of recordings or policies; it should end in {kind}")
    if path.is_file() and kind == ".json" and path.suffix.lower() != kind and not _is_json(path):
        raise ValueError(f"--{flag} is {path}, which is there already and no JSON; give another name")
    if path.is_file() and kind != ".json" and not path.suffix.lower().startswith(kind[:4]):
        raise ValueError(f"--{flag} is {path}, which is there already and no {kind} file; give another name")
    if path.is_dir():
        raise ValueError(f"--{flag} is {path}, which is a folder; give a file, e.g. {path / f'new{kind}'}")
    check_folder(path.absolute().parent, flag)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return True


def file_identity(path: str | Path) -> tuple[int, int]:
    """Size (bytes) and time of the last change (ns): they tell whether a file is still the same."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def remove_unfinished(folder: str | Path, patience: float = 2.0) -> None:
    """Remove the unfinished files that killed processes left in `folder` (`complete_file`).

    Files of living processes stay; children of this one that were just killed get `patience` (s) to end.
    """
    deadline = time.monotonic() + patience
    for part in Path(folder).glob(".*.part"):
        writer = _PART.search(part.name)
        if writer is None:
            continue
        pid, place = int(writer[1]), writer[2] or ""
        with suppress(OSError):  # another process was faster, or the folder is read only
            changed = part.stat().st_mtime
            while _is_child(pid) and time.monotonic() < deadline and not has_ended(pid, place, changed):
                time.sleep(0.02)
            if has_ended(pid, place, changed):
                part.unlink()


def empty_folder(folder: Path) -> None:
    """Remove everything in a folder, but not the folder itself: a lock may be on it."""
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
    """The plan of an unfinished change of a folder's files; empty if there is none."""
    try:
        return json.loads((Path(folder) / UNFINISHED / PLAN).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}


def check_whole(folder: str | Path) -> None:
    """OSError, with what to do, if a change was stopped while it moved files into place and left the folder
    half old and half new.
    """
    folder = Path(folder).absolute()
    for root in (folder, folder.parent):
        plan = read_plan(root)
        if plan.get("is_complete") and _concerns(plan["identity"], folder.relative_to(root)):
            raise OSError(
                f"{folder} is half changed: {plan['identity']['command']!r} was stopped while it moved "
                f"files into place. Give it again to finish: {plan.get('again', 'the same command')}"
            )


def _concerns(identity: dict[str, Any], inside: Path) -> bool:
    """Whether a plan changes files in the folder `inside`, given relative to the plan's own."""
    names = [*identity["files"], *(name for move in identity["moves"] for name in move)]
    return any(inside in (Path(name).parent, *Path(name).parents) for name in names)
