"""Makes our modules see Windows: what POSIX has is absent there, and files that are open cannot be replaced.

Each Python runs this file as it starts, and those that it starts do too, if this folder is on PYTHONPATH.
Only modules of ours are deceived: their `sys`, `os`, `signal`, `select` and `subprocess` are those below. The
standard library and packages run as on this machine. What a real Windows does besides stays untried.
"""

from __future__ import annotations

import builtins
import errno
import glob
import importlib.machinery
import importlib.util
import os
import select
import signal
import stat
import subprocess
import sys
import types
import warnings
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
ABSENT = {  # of POSIX, by module
    "os": "fork forkpty killpg getpgid getpgrp setpgid setsid getuid geteuid getgid getegid openpty ttyname "
    "nice uname mkfifo statvfs sysconf sched_getaffinity sched_setaffinity wait3 wait4 chown lchown fchmod "
    "fchown WNOHANG posix_spawn posix_fallocate posix_fadvise pread pwrite sync getloadavg fdatasync ctermid",
    "signal": "SIGHUP SIGQUIT SIGKILL SIGUSR1 SIGUSR2 SIGALRM SIGTSTP SIGCONT SIGSTOP SIGPIPE SIGCHLD "
    "SIGWINCH setitimer alarm pause pthread_kill pthread_sigmask sigwait siginterrupt",
    "select": "poll epoll kqueue devpoll",
}
NO_MODULES = {"fcntl", "termios", "tty", "pty", "resource", "pwd", "grp", "readline", "syslog", "posix"}


def is_ours(path: str) -> bool:
    """Whether a file is a module or a script of the project, not of an environment in its folder."""
    inside = os.path.relpath(path, ROOT)
    return not inside.startswith((".", "tests" + os.sep + "no_posix"))


class Windows(types.ModuleType):
    """A module as it is on Windows: `changed` in place of its own, and without what is ABSENT."""

    def __init__(self, module: types.ModuleType, **changed: object) -> None:
        super().__init__(module.__name__)
        self._absent = ABSENT.get(module.__name__, "").split()
        self._module = module
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> object:
        if name in self._absent:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on Windows")
        return getattr(self._module, name)


# --- files: what a process has open can be neither replaced, removed nor renamed


def holder(path: str) -> str:
    """The process that has a file open; "" if none has."""
    try:
        wanted = os.stat(path)
    except OSError:
        return ""
    if not stat.S_ISREG(wanted.st_mode):
        return ""
    for handle in glob.iglob("/proc/[0-9]*/fd/*"):
        try:
            if os.path.samestat(os.stat(handle), wanted):
                return handle.split("/")[2]
        except OSError:
            continue
    return ""


def guarded(function):
    def call(*places, **options):
        for where in places:
            name = os.path.abspath(os.fsdecode(where))
            if name.startswith(os.environ["NO_POSIX_FILES"]) and (process := holder(name)):
                problem = f"as on Windows: process {process} has it open"
                raise PermissionError(errno.EACCES, problem, name)
        return function(*places, **options)

    return call


for name in ("replace", "rename", "unlink", "remove"):
    setattr(os, name, guarded(getattr(os, name)))


def open_no_folders(path, flags, *mode, **options):
    """`os.open`, which opens no folders on Windows."""
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "as on Windows: a folder", str(path))
    return os.open(path, flags, *mode, **options)


# --- processes


def popen(command, *args, **options):
    """`subprocess.Popen` with the options that Windows has; a script of ours is masked in the child too."""
    refused = {"preexec_fn", "pass_fds", "process_group", "user", "group", "umask"} & options.keys()
    if refused or options.get("start_new_session"):
        raise ValueError(f"{refused or 'start_new_session'} does nothing good on Windows")
    alone = options.pop("creationflags", 0)
    options.pop("startupinfo", None)
    if command[0] == sys.executable:
        command = [sys.executable, "-c", "import sitecustomize; sitecustomize.run_main()", *command[1:]]
    return subprocess.Popen(command, *args, start_new_session=bool(alone), **options)


def kill(process, number):
    """`os.kill`, which tells all that share a console of Ctrl-C: here, a group of processes."""
    is_ctrl_c = (process, number) == (0, 0)
    os.kill(process, signal.SIGINT if is_ctrl_c else number)


def select_sockets(*waits):
    """`select.select`, which takes sockets only on Windows."""
    for each in (each for wait in waits[:3] for each in wait):
        number = each if isinstance(each, int) else each.fileno()
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(10038, "as on Windows: it is no socket")
    return select.select(*waits)


# --- msvcrt


def locking(handle: int, mode: int, count: int) -> None:
    import fcntl

    kind = fcntl.LOCK_UN if mode == 0 else fcntl.LOCK_EX | fcntl.LOCK_NB
    try:
        fcntl.flock(handle, kind)
    except OSError:
        raise OSError(errno.EACCES, "as on Windows: locked") from None


msvcrt = types.ModuleType("msvcrt")
msvcrt.__dict__.update(locking=locking, LK_NBLCK=2, LK_UNLCK=0, kbhit=lambda: False, getwch=lambda: "\r")
SEEN = {
    "sys": Windows(sys, platform="win32"),
    "os": Windows(os, name="nt", open=open_no_folders, kill=kill),
    "signal": Windows(signal, SIGBREAK=signal.SIGUSR1, CTRL_C_EVENT=0, CTRL_BREAK_EVENT=1),
    "select": Windows(select, select=select_sockets),
    "subprocess": Windows(
        subprocess,
        Popen=popen,
        STARTUPINFO=types.SimpleNamespace,
        **dict.fromkeys(("CREATE_NEW_PROCESS_GROUP", "CREATE_NEW_CONSOLE"), 512),
        **dict.fromkeys(("STARTF_USESHOWWINDOW", "SW_HIDE"), 1),
    ),
    "msvcrt": msvcrt,
}
really_import = builtins.__import__


def see(name, namespace=None, local=None, names=(), level=0):
    """`import` in a module of ours."""
    if name.partition(".")[0] in NO_MODULES:
        raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
    return SEEN[name] if name in SEEN else really_import(name, namespace, local, names, level)


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module of ours, with the imports of Windows."""

    def exec_module(self, module: types.ModuleType) -> None:
        masked(module)
        super().exec_module(module)


def masked(module: types.ModuleType) -> None:
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": see}


class Finder:
    """Finds modules of ours."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, importlib.machinery.SourceFileLoader) and is_ours(spec.origin):
            spec.loader = Loader(name, spec.origin)
        return spec


def run_main() -> None:
    """Run a script or a module (`-m`) of ours as Python does, masked: the words behind `-c`."""
    words = sys.argv[1:]
    if words[0] == "-m":
        sys.path.insert(0, os.getcwd())
        path, words = importlib.util.find_spec(words[1]).origin, words[1:]
    else:
        path = words[0]
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    sys.argv = [path, *words[1:]]
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    masked(module)
    exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), module.__dict__)


if "NO_POSIX_FILES" in os.environ:
    sys.meta_path.insert(0, Finder)
    if sys.flags.warn_default_encoding:
        ours = "|".join(sorted(Path(each).stem for each in os.listdir(ROOT) if not each.startswith(".")))
        warnings.filterwarnings("error", category=EncodingWarning, module=rf"({ours})(\.|$)")
