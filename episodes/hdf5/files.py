"""HDF5 files, whoever wrote them: reads nothing from other files, and nothing too large for memory."""

from __future__ import annotations

import errno
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from episodes.errors import EpisodeError, OpenError
from episodes.frames import check_memory

# what h5py raises on files that are damaged or hold something it does not know
READ_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError)
SMALL = 64 << 20  # bytes that any dataset may take
TINY = 1 << 20  # bytes for which nobody asks how much memory is free: that takes as long as to read them
MOST_UNPACKED = 100  # times its file's size: bytes of a larger dataset; numbers hardly compress
LISTED = 10  # names in a message
MOST_LINKS = 16  # in a chain
MOST_DATASETS = 100_000  # looked at in a group
ANEW = "record it again, or leave it out: edit_episodes.py check says how"
_WHERE = re.compile(r"errno = (\d+)")
_REASONS = {  # why a file cannot be opened although its content may be sound
    errno.EAGAIN: "another program has it open and locked; close that program, or, if that only reads, set "
    "HDF5_USE_FILE_LOCKING=FALSE",
    errno.ENOLCK: "its file system cannot lock files; set HDF5_USE_FILE_LOCKING=FALSE",
    errno.ENOSYS: "its file system cannot lock files; set HDF5_USE_FILE_LOCKING=FALSE",
    errno.EOPNOTSUPP: "its file system cannot lock files; set HDF5_USE_FILE_LOCKING=FALSE",
    errno.EACCES: "no permission to read it; its owner may give it: chmod a+r",
    errno.EPERM: "no permission to read it; its owner may give it: chmod a+r",
    errno.EIO: "the disk or network failed during reading (EIO); check them and try again",
    errno.ELOOP: "a link that leads to itself; mend the link",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n) or use fewer workers",
    errno.ENOMEM: "there is not enough memory to read it; close other programs or use fewer workers",
}
_POINTERS = {  # first bytes of stand-ins for a file that was not fetched
    b"version https://git-lfs": "a pointer of git-lfs, not the file itself; fetch it: git lfs pull",
    b"<!DOCTYPE": "a web page (HTML), not the file itself; download it again",
    b"<html": "a web page (HTML), not the file itself; download it again",
}


def open_file(path: Path) -> h5py.File:
    """Open without HDF5's cache of chunks (up to 1 MB per dataset), as no chunk is read twice."""
    return h5py.File(path, "r", rdcc_nbytes=0)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to read from.

    Raises:
        FileNotFoundError: there is no such file.
        OpenError: it cannot be opened or read, for a reason outside of it.
        EpisodeError: it is damaged, not an HDF5 file, or the reader says so.
    """
    _check_place(path)
    try:
        with open_file(path) as root:
            yield root
    except EpisodeError:
        raise
    except READ_ERRORS as error:
        raise read_error(path, error) from error


def _check_place(path: Path) -> None:
    """Refuse folders, devices, empty files and stand-ins, before HDF5 sees them."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        if not path.is_symlink():
            raise FileNotFoundError(f"{path}: no such episode file") from error
        target = os.readlink(path)
        raise OpenError(f"{path}: a link to {target}, which is not there; mend or remove the link") from error
    except OSError as error:
        raise read_error(path, error) from error
    if stat.S_ISDIR(mode):
        raise OpenError(f"{path}: a folder, not an episode file; give it another name, or --dataset_dir it")
    if not stat.S_ISREG(mode):
        raise OpenError(f"{path}: a pipe or device, not an episode file; move it elsewhere")
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise read_error(path, error) from error
    if not start:
        raise EpisodeError(f"{path}: no complete HDF5 file (it has 0 bytes); {ANEW}")
    for first, problem in _POINTERS.items():
        if start.startswith(first):
            raise OpenError(f"{path}: {problem}")


def read_error(path: Path, error: BaseException) -> EpisodeError:
    """The error to raise for a file that could not be opened or read."""
    reason = " ".join(str(error).split()) or type(error).__name__
    number = getattr(error, "errno", None)
    if number is None and (match := _WHERE.search(reason)):
        number = int(match[1])
    if isinstance(error, MemoryError):
        number = errno.ENOMEM
    if number in _REASONS:
        return OpenError(f"{path}: {_REASONS[number]}")
    if number:
        return OpenError(f"{path}: it cannot be read ({os.strerror(number)})")
    if "consistency flags" in reason or "open for write" in reason:
        return OpenError(
            f"{path}: the program that writes it has not closed it; wait for that or, if that program is "
            f"gone, run h5clear -s {path.name}"
        )
    return EpisodeError(f"{path}: no complete HDF5 file ({reason}); {ANEW}")


def find(root: h5py.File, name: str) -> h5py.Group | h5py.Dataset | h5py.Datatype | None:
    """The file's item of a name; None if there is none. EpisodeError for a link to another file."""
    item, links = root, 0
    parts = _parts(name)
    while parts:
        part = parts.pop(0)
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise EpisodeError(
                f"{root.filename}: {name} is a link to another file ({link.filename}), which is not read; "
                "copy its target into the file (h5copy)"
            )
        if isinstance(link, h5py.SoftLink):
            links += 1
            if links > MOST_LINKS:
                raise EpisodeError(f"{root.filename}: {name} is a link that leads to itself; mend it")
            item = root if link.path.startswith("/") else item
            parts = _parts(link.path) + parts
        else:
            item = item[part]
    return item


def children(root: h5py.File, name: str) -> list[str]:
    """Names in a group of the file; none if it is no group."""
    item = find(root, name)
    return [str(each) for each in item] if isinstance(item, h5py.Group) else []


def datasets_below(root: h5py.File, name: str = "/") -> dict[str, h5py.Dataset]:
    """All datasets of a group of the file and of the groups in it, by their name below the group.

    Links to other files are not followed, and no group is entered twice.
    """
    group = find(root, name)
    found: dict[str, h5py.Dataset] = {}

    def note(place: str | bytes, item: h5py.Group | h5py.Dataset) -> bool | None:
        if isinstance(item, h5py.Dataset) and isinstance(place, str):
            found[place] = item
        return True if len(found) > MOST_DATASETS else None  # True ends the visit

    if isinstance(group, h5py.Group):
        group.visititems(note)
    return found


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def check_storage(dataset: h5py.Dataset, name: str) -> None:
    """EpisodeError unless the data lie in the file itself and can be unpacked here, in memory."""
    if dataset.is_virtual or dataset.external:
        raise EpisodeError(
            f"{name} has its data in other files, which are not read; copy them into the file (h5repack)"
        )
    plist = dataset.id.get_create_plist()
    filters = (plist.get_filter(i) for i in range(plist.get_nfilters()))
    for code, _, _, title in filters:
        if not h5py.h5z.filter_avail(code):
            filter_name = title.decode("ascii", "replace") or f"number {code}"
            raise EpisodeError(
                f"{name} is compressed by a filter that h5py lacks here ({filter_name}); use another: "
                "h5repack -f GZIP=4 OLD NEW"
            )
    if dataset.chunks:
        _check_memory(math.prod(dataset.chunks) * dataset.dtype.itemsize, f"{name}, a chunk of it,")


def _check_memory(nbytes: int, name: str) -> None:
    if nbytes > TINY:
        check_memory(nbytes, name)


def read_numbers(dataset: h5py.Dataset, name: str) -> np.ndarray:
    """A whole dataset; EpisodeError, before anything is read, if it is far larger than its file."""
    check_storage(dataset, name)
    nbytes = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    most = max(SMALL, MOST_UNPACKED * os.stat(dataset.file.filename).st_size)
    if nbytes > most:
        raise EpisodeError(
            f"{name} claims {layout(dataset)}, {nbytes / 1e9:.1f} GB, in a file of "
            f"{os.stat(dataset.file.filename).st_size / 1e6:.1f} MB; it is damaged"
        )
    _check_memory(nbytes, name)
    value = dataset[()]
    if not isinstance(value, np.ndarray):  # a scalar, or an empty one
        raise EpisodeError(f"{name} is one value; it must have one row a step")
    return value


def layout(item: h5py.Dataset | np.ndarray) -> str:
    """Type and shape, for a message."""
    dtype = str(item.dtype)
    return f"{dtype if len(dtype) <= 40 else f'{dtype[:37]}...'} {item.shape}"


def listed(names: Iterable[str]) -> str:
    """Names for a message: the first ten, and how many more."""
    names = [str(name) for name in names]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
