"""What live cameras cost: two of 480x640, 15 pictures a second, for two open pages, while the arm is driven.

Counted is the processor time of the cockpit and of the script that drives the arm, with nobody at the cameras
and with two pages. Wanted: 40 % of a core at most, and 10.0 steps a second of the arm's loop. The twin runs
beside them, and is not counted.
"""

from __future__ import annotations

import threading
import time

import psutil
from _cockpit import Page, Visitor
from _harness import machine, make_parser, parse, report

CAMERAS = ("top", "right_wrist")
BOUNDARY = b"--frame\r\n"
TO_AND_FRO = 1.0  # s


class Looker:
    """Reads a camera's stream until `close`, and counts its pictures."""

    def __init__(self, visitor: Visitor, camera: str) -> None:
        self.pictures, self._ending = 0, False
        self._answer = visitor.open(f"/desk/{visitor.job}/{camera}")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending and (data := self._answer.read1(1 << 16)):
            self.pictures += data.count(BOUNDARY)

    def close(self) -> None:
        self._ending = True
        self._thread.join()
        self._answer.close()


def measure(visitor: Visitor, pages: list[Page], looks: bool, seconds: float) -> tuple[str, ...]:
    """Cells: shares of a core of cockpit and script, of both, pictures a second and page, steps a second."""
    cameras = [name for _ in pages for name in CAMERAS] if looks else []
    lookers = [Looker(visitor, name) for name in cameras]
    processes = [psutil.Process(number) for number in visitor.processes()]
    before = [sum(process.cpu_times()[:2]) for process in processes]
    seen, began, rates = [each.pictures for each in lookers], time.monotonic(), []
    while time.monotonic() - began < seconds:
        way = 1 if (time.monotonic() - began) % (2 * TO_AND_FRO) < TO_AND_FRO else -1
        pages[0].rates = [0, 0, 0, 0, 0, way * 0.5, 0]
        time.sleep(0.2)
        rates.append(pages[0].state["rate"])
    took = time.monotonic() - began
    shares = [(sum(p.cpu_times()[:2]) - b) / took for p, b in zip(processes, before, strict=True)]
    pictures = [(each.pictures - n) / took for each, n in zip(lookers, seen, strict=True)]
    for looker in lookers:
        looker.close()
    rates = [rate for rate in rates if rate is not None]
    loop = f"{min(rates):.2f} to {max(rates):.2f}" if rates else "-"
    rate = f"{min(pictures):.1f}" if pictures else "-"
    return (*(f"{100 * share:.0f} %" for share in (*shares, sum(shares))), rate, loop)


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each row")
    args = parse(parser)
    seconds = 4.0 if args.quick else args.seconds
    facts = machine()
    with Visitor("--robot", "twin") as visitor:
        visitor.drive()
        pages = [Page(visitor, f"page {n}") for n in range(2)]
        pages[0].own()
        time.sleep(2.0)
        rows = [
            ("two pages, nobody looks at the cameras", *measure(visitor, pages, False, seconds)),
            ("two pages, two cameras each", *measure(visitor, pages, True, seconds)),
        ]
        for page in pages:
            page.close()
    columns = ("cockpit", "script", "both", "pictures/s each, least", "steps/s")
    report("Live cameras in the cockpit, shares of a core", facts, ("what", *columns), rows)


if __name__ == "__main__":
    main()
