"""How long STOP takes from a page to the wire, and how long a page that is gone does, on the twin.

A wire-tap between the script and the twin's port notes when each command passes. A page drives the arm to and
fro; then STOP is posted to the cockpit, or the page says no more. Wanted: the STOP command within 100 ms of
the POST in 99 % of 200 times, and nothing that moves the arm after it.
"""

from __future__ import annotations

import os
import random
import select
import threading
import time
import tty
from collections.abc import Callable
from typing import Any

import numpy as np
from _cockpit import Page, Visitor
from _harness import machine, make_parser, parse, report
from tqdm import tqdm

from mycobot_scripts.robot import start_twin
from mycobot_scripts.wire import Command, FrameParser

TASK = "sim_mycobot320_move_cube_scripted"
MOVES = (Command.SEND_ANGLES, Command.SET_GRIPPER_VALUE)
SWING = 0.6  # s one way
LET_GO = 0.5  # s after which what was held down may be held down anew
CALM = 0.6  # s after STOP in which nothing may move the arm
PATIENCE = 30.0  # s
STALE = "3"  # s; a busy computer must not stop the arm before STOP does


class Tap:
    """A serial port that passes everything on to another one, and notes the commands.

    Args:
        port: the other one.
    """

    def __init__(self, port: str) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._other = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._other)
        self._slave, self._parser = slave, FrameParser()
        self.commands: list[tuple[float, int]] = []  # when (s) and what
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        ends = {self._master: self._other, self._other: self._master}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                try:
                    data = os.read(end, 4096)
                    if end == self._master:
                        now = time.monotonic()
                        self.commands += [(now, frame.command) for frame in self._parser.feed(data)]
                    os.write(ends[end], data)
                except OSError:
                    return

    def since(self, moment: float, *commands: int) -> list[float]:
        """When such commands passed after a moment, in s since then."""
        return [at - moment for at, command in list(self.commands) if at >= moment and command in commands]


def until(what: Callable[[], Any], page: Page) -> Any:
    """Wait until something holds; RuntimeError, with how the arm stands, if it does not."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        if time.monotonic() > deadline:
            told = {name: page.state.get(name) for name in ("doing", "stopped", "owner", "clamps")}
            raise RuntimeError(f"nothing came for {PATIENCE:.0f} s; the last state: {told}")
        time.sleep(0.01)
    return found


def one(visitor: Visitor, tap: Tap, page: Page, ends: bool, sign: int) -> tuple[float, float, int, Page]:
    """Stop the arm while it moves, by STOP or as the page `ends`.

    Returns:
        s until STOP was on the wire, s until the last command that moves, and such commands after STOP; the
        page from then on.
    """
    page.rates = None
    time.sleep(LET_GO)
    page.rates = [0, 0, 0, 0, 0, sign * 0.5, 0]
    until(lambda: page.state["doing"] == "jog" and not page.state["stopped"], page)
    time.sleep(SWING + 0.1 * random.random())
    if ends:
        page.close()
        began = page.beaten
    else:
        began = time.monotonic()
        visitor.say("stop", client="bench")
    stop = until(lambda: tap.since(began, Command.STOP), page)[0]
    time.sleep(CALM)
    moves = tap.since(began, *MOVES)
    page = Page(visitor, f"page {time.monotonic()}").own() if ends else page
    return stop, max([0.0, *moves]), sum(at > stop for at in moves), page


def measure(times: int, losses: int) -> list[tuple[str, ...]]:
    """Rows of the table."""
    results: dict[str, list[tuple[float, float, int]]] = {
        "STOP, from its POST": [],
        "page gone, from its last beat": [],
    }
    with start_twin(TASK) as twin:
        tap = Tap(twin.port)
        cameras = ",".join(f"{name}={url}" for name, url in twin.cameras.items())
        with Visitor("--arm_port", tap.port, "--cameras", cameras) as visitor:
            visitor.drive(stale=STALE)
            page = Page(visitor, "page").own()
            for n in tqdm(range(times + losses), unit="stop"):
                ends = n >= times
                *result, page = one(visitor, tap, page, ends, 1 if n % 2 else -1)
                results[list(results)[ends]].append(tuple(result))
            page.close()
    return [(name, *row(np.array(rows))) for name, rows in results.items() if rows]


def row(results: np.ndarray) -> tuple[str, ...]:
    """Cells of (n, 3): s until STOP, s until the last move, moves after STOP."""
    stop, last = 1000 * results[:, 0], 1000 * results[:, 1]
    cells = [np.median(stop), np.percentile(stop, 99), stop.max(), np.percentile(last, 99)]
    return (str(len(results)), *(f"{cell:.0f}" for cell in cells), str(int(results[:, 2].sum())))


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--times", type=int, default=200, help="STOPs")
    parser.add_argument("--losses", type=int, default=30, help="pages that go")
    args = parse(parser)
    facts = machine()
    rows = measure(*((4, 2) if args.quick else (args.times, args.losses)))
    columns = ("n", "median ms", "99 % ms", "most ms", "last move, 99 % ms", "moves after STOP")
    report("STOP at the wire of the twin, through the cockpit", facts, ("what", *columns), rows)


if __name__ == "__main__":
    main()
