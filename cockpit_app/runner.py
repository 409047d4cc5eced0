"""A process beside each job: starts its command, passes on Ctrl-C, and notes how it ended.

    python -m cockpit_app.runner JOB_FOLDER

It belongs to no cockpit. So a job goes on when the cockpit or the browser is gone, and a cockpit that is
started later finds out how it ended. Imports nothing that takes time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from common import began, replace_file

JOB, OUTPUT, ENDED, STARTED = "job.json", "output.log", "ended.json", "started.json"
STOP, END = "stop", "end"  # files that ask for Ctrl-C, and to end it at once
LOOK_EVERY = 0.1  # s
_WINDOWS = sys.platform == "win32"


def write_json(path: Path, value: object) -> None:
    """Write a file as a whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    replace_file(part, path)


def _ours(process: subprocess.Popen) -> dict[str, int]:
    return {"runner": os.getpid(), "script": process.pid}


def interrupt() -> None:
    """What Ctrl-C does in a terminal: every process of the job is told, workers too."""
    if _WINDOWS:
        os.kill(0, signal.CTRL_C_EVENT)
    else:
        os.killpg(0, signal.SIGINT)


def end(process: subprocess.Popen) -> None:
    """End the job's processes at once; this one stays."""
    process.kill()
    if not _WINDOWS:
        signal.signal(signal.SIGTERM, lambda *_: None)
        os.killpg(0, signal.SIGTERM)


def run(folder: Path) -> int:
    """Run the command of a job to its end; its exit status, negative for a signal."""
    # a function, as a child would inherit that a signal is ignored
    signal.signal(signal.SIGINT, lambda *_: None)
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "0.5"}
    environment["PYTHONIOENCODING"] = "utf-8"  # as the output is read; a file's own may be another on Windows
    environment.pop("ACT_HELP", None)
    with open(folder / OUTPUT, "ab") as output:
        process = subprocess.Popen(
            job["command"],
            cwd=job["folder"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    about = {who: {"pid": pid, "began": began(pid)} for who, pid in _ours(process).items()}
    write_json(folder / STARTED, about)
    is_stopped = False
    while process.poll() is None:
        if not is_stopped and (folder / STOP).exists():
            interrupt()
            is_stopped = True
        if (folder / END).exists():
            end(process)
        time.sleep(LOOK_EVERY)
    return process.returncode


def main() -> None:
    folder = Path(sys.argv[1])
    status = run(folder)
    write_json(folder / ENDED, {"status": status, "at": time.time()})


if __name__ == "__main__":
    main()
