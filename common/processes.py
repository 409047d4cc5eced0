"""Other processes: whether they live, who they are; and how a worker ends with the command it works for."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

import psutil

from common.commands import shown_command

LOOK_EVERY = 0.2  # s between two checks whether a command still runs
CLOCK_STEP = 3600.0  # s by which the clock may be moved while a file is written
_SHARED_MEMORY = (
    "sem.loky-",
    "joblib_memmapping_folder_",
)  # how joblib's names begin, before the process number
_FIRST_PIDS, _FIRST_IPC = "pid:[4026531836]", "ipc:[4026531839]"  # namespaces of the machine itself (Linux)


@cache
def here() -> str:
    """Where process numbers are valid: on this machine, and on Linux in this PID namespace."""
    return f"{socket.gethostname()}-{_namespace('pid').strip('pid:[]')}".strip("-")


def _namespace(kind: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return ""


def began(pid: int) -> float | None:
    """When a process began, on Linux by a clock that nobody sets; None if it does not exist or has ended."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform != "linux":
            return process.create_time()
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return float(file.read().rpartition(")")[2].split()[19])  # clock ticks since the machine started
    except (psutil.NoSuchProcess, OSError, OverflowError):
        return None
    except psutil.AccessDenied:
        return 0.0  # it lives, but we may not look at it


def has_ended(pid: int, place: str, changed: float) -> bool:
    """Whether a process that wrote something has certainly ended.

    Args:
        pid: its number.
        place: where that number is valid (`here`); "" for here.
        changed: when its file was last changed, s since 1970.
    """
    if place and place != here():
        return time.time() - changed > 24 * CLOCK_STEP  # no writer rests for a day
    if began(pid) is None:
        return True
    try:
        return psutil.Process(pid).create_time() > changed + CLOCK_STEP  # another process has the number now
    except psutil.Error:
        return False


_watched: set[int] = set()


def end_with(pid: int, since: float | None) -> None:
    """End this process at once, whatever it is doing, when process `pid`, begun at `since`, has ended."""
    if pid in _watched or pid == os.getpid():
        return
    _watched.add(pid)

    def watch() -> None:
        while began(pid) == since:
            time.sleep(LOOK_EVERY)
        os._exit(1)

    threading.Thread(target=watch, name=f"ends with {pid}", daemon=True).start()


def sweep_shared_memory() -> None:
    """Remove the shared memory of joblib's killed processes; that of living ones stays."""
    is_shared = _namespace("ipc") == _FIRST_IPC and _namespace("pid") != _FIRST_PIDS
    if os.name != "posix" or is_shared:  # a container that sees memory of processes, but not them
        return
    for folder in {Path("/dev/shm"), Path(tempfile.gettempdir())}:
        for prefix in _SHARED_MEMORY:
            for entry in folder.glob(f"{prefix}*"):
                _sweep(entry, entry.name.removeprefix(prefix).replace("_", "-").partition("-")[0])


def _sweep(entry: Path, pid: str) -> None:
    try:
        status = entry.lstat()
        is_ours = status.st_uid == os.getuid() and pid.isdecimal()
        if not is_ours or not has_ended(int(pid), "", status.st_mtime) or _is_mapped(entry):
            return
        if entry.is_dir():
            for file in entry.iterdir():
                file.unlink()
            entry.rmdir()
        else:
            entry.unlink()
    except OSError:
        pass  # another process was faster, or we may not remove it


def _is_mapped(entry: Path) -> bool:
    """Whether a process still uses it, e.g. one in a container, which has another number there."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            if entry.name in maps.read_text(encoding="utf-8", errors="replace"):
                return True
        except OSError:
            continue
    return False


def who_opened(path: str | Path) -> str:
    """The other processes that have a file or a device open, for a message; "" if that is unknown."""
    target, holders = os.path.realpath(path), []
    for process in psutil.process_iter() if sys.platform == "linux" else ():
        try:
            handles = list(Path(f"/proc/{process.pid}/fd").iterdir())
            if process.pid != os.getpid() and any(os.path.realpath(handle) == target for handle in handles):
                since = time.strftime("%H:%M:%S", time.localtime(process.create_time()))
                holders.append(f"process {process.pid}, {shown_command(process.cmdline())}, since {since}")
        except (psutil.Error, OSError):
            continue
    return "; ".join(holders)
