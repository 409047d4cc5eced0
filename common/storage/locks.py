"""One at a time: a command holds the folder that it writes to, or the port that it drives.

The lock is the operating system's, on the folder itself where that is possible (Linux, macOS), and ends with
the process, however that ends. A note in the folder for temporary files says who holds it. Where locks do not
work (some network folders), nobody is kept out.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.commands import this_command
from common.processes import began

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_FAR = 1 << 30  # byte that Windows locks; what is locked there cannot be read


class Held(RuntimeError):
    """Another command holds it; the message says which."""


@contextmanager
def hold(folder: str | Path, make: bool = True) -> Iterator[None]:
    """Hold a folder for this command alone.

    Args:
        folder: made if it is missing, and removed again if it stays empty.
        make: False neither makes nor holds a missing folder.

    Raises:
        Held: another command holds it; nothing has been written.
    """
    folder = Path(folder)
    if not make and not folder.is_dir():
        yield
        return
    missing = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    with contextlib.suppress(OSError):  # writing there will give a clearer error
        folder.mkdir(parents=True, exist_ok=True)
    place = _note(folder) if sys.platform == "win32" else folder  # Windows locks no folders
    try:
        with _held(place, _note(folder), f"another command is at work in {folder}"):
            yield
    finally:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()


@contextmanager
def hold_name(name: str, problem: str) -> Iterator[None]:
    """Hold something by its name, e.g. a port; the message of `Held` begins with `problem`."""
    note = _note(name)
    with _held(note, note, problem):
        yield


@contextmanager
def hold_briefly(name: str | Path, patience: float = 20.0) -> Iterator[None]:
    """Hold what others hold for moments only, e.g. a file while it is rewritten; waits for it.

    Raises:
        Held: it did not become free within `patience` (s).
    """
    deadline = time.monotonic() + patience
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(hold_name(str(name), f"another command writes {name}"))
                break
            except Held:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.02)
        yield


@contextmanager
def _held(place: Path, note: Path, problem: str) -> Iterator[None]:
    """Hold the lock on `place`, and say so in `note`."""
    handle = _take(place, note, problem)
    if handle is None:
        yield
        return
    with contextlib.suppress(OSError):  # a full disk, or another user's note: it then names nobody
        note.write_text(json.dumps(_about_us()), encoding="utf-8")
    try:
        yield
    finally:
        try:
            if place != note or sys.platform != "win32":  # Windows removes no file that is open
                with contextlib.suppress(OSError):
                    note.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _take(place: Path, note: Path, problem: str) -> int | None:
    """A handle that holds the lock; None where there can be none."""
    while True:
        try:
            handle = _open(place, is_folder=place != note)
        except OSError:
            return None
        try:
            _lock(handle)
            if sys.platform == "win32" or os.path.samestat(os.fstat(handle), os.stat(place)):
                return handle
        except FileNotFoundError:
            pass  # its last holder removed it after it was opened here
        except OSError as error:
            if error.errno in _TAKEN:
                os.close(handle)
                raise Held(f"{problem}: {_who(note)}; wait until it is done, or end it") from None
            os.close(handle)
            return None
        os.close(handle)


def _open(place: Path, is_folder: bool) -> int:
    if is_folder:
        place.mkdir(exist_ok=True)  # another process may have removed it meanwhile
        return os.open(place, os.O_RDONLY)
    try:
        return os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # another user's note, which can be locked all the same
        return os.open(place, os.O_RDONLY)


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _note(name: str | Path) -> Path:
    """The file that says who holds a folder or a port."""
    name = str(name) if "://" in str(name) else os.path.realpath(name)  # an address is no path
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"in_use_{digest}.json"


def _about_us() -> dict[str, object]:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    text = f"process {os.getpid()}, {this_command()}, since {since}"
    return {"pid": os.getpid(), "began": began(os.getpid()), "text": text}


def _who(note: Path) -> str:
    """Who holds it, unless the note is out of date."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads(note.read_text(encoding="utf-8"))
        if began(about["pid"]) == about["began"]:
            return about["text"]
    return "an unknown process"
