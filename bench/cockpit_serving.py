"""How soon the cockpit shows its first page, how fast it answers, and whether its memory stays flat.

The command is started anew each round, in an empty folder. Twenty clients ask side by side for the page and
for the jobs, as open pages do every second. With --minutes, they do so at people's pace, for so long.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import psutil
from _harness import ROOT, Result, alternate, machine, make_parser, medians, parse, report

CLIENTS = 20
WARM = 100  # requests before memory is looked at
LOADS = 2000  # of all clients together


def started(folder: str) -> tuple[subprocess.Popen, str, float]:
    """A cockpit in a folder, the address of its page, and the seconds until the page came."""
    command = [sys.executable, str(ROOT / "cockpit.py"), "--port", "0", "--no_browser"]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    url = process.stdout.readline().split()[-1]
    with urllib.request.urlopen(url) as page:
        page.read()
    return process, url, time.perf_counter() - began


def ask(url: str, count: int, pause: float = 0.0, jobs: int = 1) -> None:
    """Ask for the jobs (so many times) and for the page in turn, `count` requests, with pauses (s)."""
    for number in range(1, count + 1):
        address = url.replace("/?", "/api/jobs?") if number % (jobs + 1) else url
        with urllib.request.urlopen(address) as answer:
            answer.read()
        time.sleep(pause)


def first_page() -> Result:
    """A command, to its first page."""
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        process, _, seconds = started(folder)
        megabytes = psutil.Process(process.pid).memory_info().rss / 1e6
        process.terminate()
        process.communicate()
    return {"seconds": seconds, "requests/s": 1 / seconds, "MB": megabytes, "MB more": 0.0}


def many_clients(count: int, pause: float = 0.0, jobs: int = 1) -> Result:
    """So many requests of all clients together."""
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        process, url, _ = started(folder)
        ask(url, WARM)
        before = psutil.Process(process.pid).memory_info().rss / 1e6
        asked = (url, count // CLIENTS, pause, jobs)
        threads = [threading.Thread(target=ask, args=asked) for _ in range(CLIENTS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
        after = psutil.Process(process.pid).memory_info().rss / 1e6
        process.terminate()
        process.communicate()
    return {"seconds": seconds, "requests/s": count / seconds, "MB": after, "MB more": after - before}


def soak(minutes: float, loads: int) -> Result:
    """Page loads spread over so many minutes; in between, each client asks for the jobs every second."""
    jobs = max(1, round(60 * minutes * CLIENTS / loads) - 1)  # between two loads of a client
    return many_clients(loads * (jobs + 1), pause=1.0, jobs=jobs)


def main() -> None:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--minutes", type=float, help="spread the page loads over so long, once")
    args = parse(parser)
    loads = 2 * CLIENTS if args.quick else LOADS
    contenders = {
        "command to first page": first_page,
        f"{loads} requests, {CLIENTS} clients": lambda: many_clients(loads),
    }
    if args.minutes:
        contenders = {f"{loads} page loads in {args.minutes:g} minutes": lambda: soak(args.minutes, loads)}
    facts = machine()
    results = {
        name: medians(result)
        for name, result in alternate(contenders, 1 if args.minutes else args.repeats).items()
    }
    columns = {"s": ".2f", "requests/s": ".0f", "MB": ".1f", "MB more": ".1f"}
    rows = [
        (name, *(f"{one['seconds' if column == 's' else column]:{form}}" for column, form in columns.items()))
        for name, one in results.items()
    ]
    report("The cockpit: its first page, and many clients", facts, ("what", *columns), rows)


if __name__ == "__main__":
    main()
