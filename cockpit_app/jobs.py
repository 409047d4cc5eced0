"""Jobs: scripts that run as processes of their own, each with a folder that tells what it is and how it goes.

<folder of all jobs>/<number>/job.json      what it is: command, program, values of the form, when
                              started.json  its runner's process
                              output.log    what it prints
                              ended.json    exit status and time
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cockpit_app.runner import END, ENDED, JOB, OUTPUT, STARTED, STOP, write_json
from common import ROOT, began, command_line, is_installed, quoted

TAIL = 8192  # bytes of an output in which its progress stands
MOST_OUTPUT = 200_000  # bytes of an output that are sent at once
LISTED = 50  # that pages show, beside older ones that still run
KEPT = 200  # ended jobs; older ones are forgotten
STARTING = 20.0  # s that a runner may take before it notes itself
MOST_NOTES = 8
_NOTE = re.compile(r"^(check|note|memory|warning): ")  # lines at the beginning that a person should see
_BAR = re.compile(r"^(?:(.*?):? +)?(\d+)%\|.*\| (\d+)/(\d+) \[([\d:]+)<([\d:?]+)(?:, *([^\],]+))?")


@dataclass(frozen=True)
class Progress:
    """What a bar of tqdm says."""

    what: str
    done: int
    total: int
    elapsed: str
    left: str
    rate: str


def read_progress(text: str) -> Progress | None:
    """The last bar in an output."""
    for line in reversed(re.split(r"[\r\n]", text)):
        if bar := _BAR.match(line):
            what, _, done, total, elapsed, left, rate = bar.groups()
            return Progress(what or "", int(done), int(total), elapsed, left, rate or "")
    return None


def plain(text: str) -> str:
    """An output as a terminal shows it in the end: what a carriage return went over is gone."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.replace("\r\n", "\n"))
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


class Job:
    """One job, as its folder tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))

    @property
    def number(self) -> str:
        return self.folder.name

    def ended(self) -> dict[str, Any] | None:
        """How it ended; None while it runs. Its status is None where nobody saw the end."""
        if (ended := _read(self.folder / ENDED)) is not None:
            return ended
        started = _read(self.folder / STARTED)
        if started is None:
            is_new = time.time() - self.about["at"] < STARTING
            return None if is_new else {"status": None, "at": self.about["at"]}
        if any(began(each["pid"]) == each["began"] for each in started.values()):
            return None
        return _read(self.folder / ENDED) or {"status": None, "at": self._changed()}

    def _changed(self) -> float:
        output = self.folder / OUTPUT
        return output.stat().st_mtime if output.exists() else self.about["at"]

    def state(self) -> str:
        """running, stopping, done, stopped, failed, or lost: it was killed, and nobody saw how it ended."""
        ended, is_asked = self.ended(), (self.folder / STOP).exists()
        if ended is None:
            return "stopping" if is_asked else "running"
        status = ended["status"]
        if status is None:
            return "lost"
        return "done" if status == 0 else "stopped" if is_asked or status == 130 else "failed"

    def output(self, start: int = 0) -> tuple[str, int]:
        """The output from a byte on, and where the next part begins; a long one begins later."""
        path = self.folder / OUTPUT
        size = path.stat().st_size if path.exists() else 0
        start = max(min(start, size), size - MOST_OUTPUT, 0)
        if not size:
            return "", 0
        with open(path, "rb") as file:
            file.seek(start)
            data = file.read(size - start)
        return data.decode("utf-8", "replace"), start + len(data)

    def tail(self) -> str:
        """The end of the output."""
        path = self.folder / OUTPUT
        size = path.stat().st_size if path.exists() else 0
        return self.output(max(0, size - TAIL))[0]

    def notes(self) -> list[str]:
        """What it says at its beginning of its data, its memory, and what may be wrong."""
        path = self.folder / OUTPUT
        if not path.exists():
            return []
        with open(path, "rb") as file:
            lines = plain(file.read(TAIL).decode("utf-8", "replace")).split("\n")
        return [line[:600] for line in lines if _NOTE.match(line)][:MOST_NOTES]

    def describe(self) -> dict[str, Any]:
        """For a page: what it is, its state, its progress, and the last thing it said."""
        tail, ended = self.tail(), self.ended()
        lines = [line for line in plain(tail).split("\n") if line.strip() and not _BAR.match(line)]
        bar, state = read_progress(tail), self.state()
        return {
            "number": self.number,
            "program": self.about["program"],
            "values": self.about["values"],
            "title": self.about["title"],
            "shown": self.about["shown"],
            "at": self.about["at"],
            "state": state,
            "ended": ended and ended["at"],
            "progress": bar and vars(bar),
            "notes": self.notes(),
            "last": lines[-1][:600] if lines else "",
        }


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


class Jobs:
    """All jobs of a folder; several cockpits may look at one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def all(self) -> list[Job]:
        """The newest first."""
        numbers = [path.name for path in self.folder.glob("*") if path.name.isdecimal()]
        jobs = []
        for number in sorted(numbers, key=int, reverse=True):
            try:
                jobs.append(Job(self.folder / number))
            except (OSError, ValueError):
                continue  # is being made, or was forgotten meanwhile
        return jobs

    def listed(self) -> list[Job]:
        """Those that pages show: the newest, and all that still run, which must be there to be stopped."""
        jobs = self.all()
        return jobs[:LISTED] + [job for job in jobs[LISTED:] if job.ended() is None]

    def get(self, number: Any) -> Job:
        """A job by its number; ValueError if there is none."""
        if not isinstance(number, str) or not re.fullmatch(r"\d{1,9}", number, re.ASCII):
            raise ValueError(f"job {number!r:.40} is no number")
        if not (self.folder / number / JOB).is_file():
            raise ValueError(f"there is no job {number}")
        return Job(self.folder / number)

    def start(
        self,
        program: str,
        command: list[str],
        title: str,
        values: dict[str, Any],
        place: Path,
        inner: Mapping[str, str] | None = None,
    ) -> Job:
        """Start a script.

        Args:
            program: whose form it was.
            command: the script, as a path below the repository, and its words.
            title: what it is about, for a list.
            values: what the form had, to fill it in again.
            place: folder in which it runs.
            inner: flags that name files of the job's folder, which nobody would type.
        """
        with self._lock:
            folder = self._new_folder()
            words = [f"--{flag}={folder.absolute() / name}" for flag, name in (inner or {}).items()]
            about = {
                "program": program,
                "command": [sys.executable, str(ROOT / command[0]), *command[1:], *words],
                "shown": shown(command, place),
                "title": title,
                "values": values,
                "folder": str(place),
                "at": time.time(),
            }
            write_json(folder / JOB, about)
            self._forget_old()
        _launch(folder)
        return Job(folder)

    def _new_folder(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max((int(job.number) for job in self.all()), default=0) + 1
        while True:
            try:
                (self.folder / str(number)).mkdir()
                return self.folder / str(number)
            except FileExistsError:
                number += 1

    def _forget_old(self) -> None:
        for job in self.all()[KEPT:]:
            if job.ended() is not None:
                shutil.rmtree(job.folder, ignore_errors=True)

    def stop(self, number: Any, at_once: bool = False) -> Job:
        """Press Ctrl-C, once however often it is asked for; with `at_once`, end what does not heed that."""
        job = self.get(number)
        if job.ended() is None:
            (job.folder / STOP).touch()
            if at_once:
                (job.folder / END).touch()
        return job

    def forget(self, number: Any) -> None:
        """Remove an ended job from the list; what it made stays. ValueError if it runs."""
        job = self.get(number)
        if job.ended() is None:
            raise ValueError(f"job {number} still runs; stop it first")
        shutil.rmtree(job.folder, ignore_errors=True)


def shown(command: list[str], place: Path) -> str:
    """A command as a person would type it in a folder."""
    script = command[0] if place == ROOT or is_installed() else str(ROOT / command[0])
    return command_line(quoted(script, *command[1:]))


def _launch(folder: Path) -> None:
    """Start a job's runner, in a session of its own, so that it outlives this process."""
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":  # a console of its own, in which Ctrl-C reaches the job alone
        hidden = subprocess.STARTUPINFO()
        hidden.dwFlags, hidden.wShowWindow = subprocess.STARTF_USESHOWWINDOW, subprocess.SW_HIDE
        options = {"creationflags": subprocess.CREATE_NEW_CONSOLE, "startupinfo": hidden}
    nothing = subprocess.DEVNULL
    runner = subprocess.Popen(
        [sys.executable, "-m", "cockpit_app.runner", str(folder.resolve())],
        cwd=ROOT,
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        **options,
    )
    threading.Thread(target=runner.wait, name=f"job {folder.name}", daemon=True).start()  # leaves no zombie
