"""How soon the cockpit shows its first page, how fast it answers, and whether its memory stays flat.

The command is started anew each round, in an empty folder. Twenty clients ask side by side for the page and
for the jobs, as open pages do every second.
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


def started(folder: str) -> tuple[subprocess.Popen, str, float]:
    """A cockpit in a folder, the address of its page, and the seconds until the page came."""
    command = [sys.executable, str(ROOT / "cockpit.py"), "--port", "0", "--no_browser"]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    url = process.stdout.readline().split()[-1]
    with urllib.request.urlopen(url) as page:
        page.read()
    return process, url, time.perf_counter() - began


def ask(url: str, count: int) -> None:
    """Ask for the page and for the jobs in turn."""
    for number in range(count):
        address = url if number % 2 else url.replace("/?", "/api/jobs?")
        with urllib.request.urlopen(address) as answer:
            answer.read()


def first_page() -> Result:
    """A command, to its first page."""
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        process, _, seconds = started(folder)
        megabytes = psutil.Process(process.pid).memory_info().rss / 1e6
        process.terminate()
        process.communicate()
    return {"seconds": seconds, "requests/s": 1 / seconds, "MB": megabytes, "MB more": 0.0}


def many_clients(loads: int) -> Result:
    """So many requests of all clients together."""
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        process, url, _ = started(folder)
        ask(url, WARM)
        before = psutil.Process(process.pid).memory_info().rss / 1e6
        threads = [threading.Thread(target=ask, args=(url, loads // CLIENTS)) for _ in range(CLIENTS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
        after = psutil.Process(process.pid).memory_info().rss / 1e6
        process.terminate()
        process.communicate()
    return {"seconds": seconds, "requests/s": loads / seconds, "MB": after, "MB more": after - before}


def main() -> None:
    args = parse(make_parser(__doc__, repeats=3))
    loads = 2 * CLIENTS if args.quick else 2000
    contenders = {
        "command to first page": first_page,
        f"{loads} requests, {CLIENTS} clients": lambda: many_clients(loads),
    }
    facts = machine()
    results = {name: medians(result) for name, result in alternate(contenders, args.repeats).items()}
    columns = {"s": ".2f", "requests/s": ".0f", "MB": ".1f", "MB more": ".1f"}
    rows = [
        (name, *(f"{one['seconds' if column == 's' else column]:{form}}" for column, form in columns.items()))
        for name, one in results.items()
    ]
    report("The cockpit: its first page, and many clients", facts, ("what", *columns), rows)


if __name__ == "__main__":
    main()
