"""The loop on the arm, on the twin with real delays: does it keep its pace with a slow policy?

A policy that thinks for 0.4 s gives chunks of 20 actions, all of which are executed, 10 a second: a chunk
ends every two seconds. Wanted: 10.0 +- 0.1 steps a second, no pause over 120 ms. The twin runs on this
machine too, which should have nothing else to do. A second table has the port alone, with and without TCP:
round trips to a twin that answers at once.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from _harness import machine, make_parser, parse, report
from tqdm import tqdm

from actors import Actor, Observation, Rest, Seen
from constants import get_task
from evaluation import BackgroundExecution, ChunkedExecution
from mycobot_scripts.robot import ArmFile, MyCobotRobot, open_cameras, start_twin
from mycobot_scripts.safety import Guard, Limits
from mycobot_scripts.wire import Command, Link, Servo

TASK = "sim_mycobot320_move_cube_scripted"
SWING = math.radians(10)  # of joints 1 and 6, back and forth over four seconds
WAYS = {
    "acknowledged writes": {},
    "silent firmware": {"legacy": True},
    "silent firmware, 1 % of replies lost": {"legacy": True, "lose_replies": 0.01},
    "acknowledged, each chunk waited for (--sync)": {},
    "acknowledged writes, over TCP": {"tcp": "127.0.0.1:0"},
}
WIRES = {"pseudo-terminal": {}, "TCP": {"tcp": "127.0.0.1:0"}}


class Thinker(Actor):
    """Swings two joints, after some thought."""

    chunk_size = execution_horizon = 20
    observation_horizon = 1

    def __init__(self, start: np.ndarray, seconds: float) -> None:
        self._start, self._seconds, self._asked = start, seconds, 0

    def observe(self, observation: Observation) -> Seen:
        return {}

    def act(self, seen: Seen, rest: Rest | None = None) -> np.ndarray:
        time.sleep(self._seconds)
        phase = 2 * math.pi * (time.monotonic() % 4.0 + np.arange(self.chunk_size) / 10) / 4
        chunk = np.tile(self._start, (self.chunk_size, 1))
        chunk[:, [0, 5]] += SWING * np.sin(phase)[:, None]
        return chunk


def measure(way: str, seconds: float, thought: float) -> list[str]:
    """Run one way for so long; a row of the table."""
    task, arm = get_task(TASK), ArmFile()
    with start_twin(TASK, **WAYS[way]) as twin:
        servo = Servo(twin.port, Guard(Limits())).start()
        with MyCobotRobot(task, servo, open_cameras(twin.cameras), arm.home) as robot:
            actor = Thinker(robot.start, thought)
            is_sync = "--sync" in way
            execute = ChunkedExecution(actor) if is_sync else BackgroundExecution(actor, task.fps)
            step = robot.reset()
            for _ in tqdm(range(round(seconds * task.fps)), desc=way, unit="step"):
                if step.last():
                    raise RuntimeError(f"{way}: {robot.stopped}")
                step = robot.step(execute(step.observation))
            execute.close()
            timing, line = robot.timing, servo.stats
            state = twin.state()
    cells = [f"{timing.rate:.2f}", f"{1000 * timing.longest:.0f}", str(timing.late_steps), str(timing.missed)]
    return [way, *cells, f"{execute.held}", f"{line.lost}", f"{state['slipped']:.2f}"]


def round_trips(wire: str, count: int) -> list[str]:
    """Median, 99th percentile and slowest of so many questions (ms); a row of the second table."""
    with start_twin(TASK, no_delays=True, **WIRES[wire]) as twin:
        link = Link(twin.port)
        for _ in range(count):
            link.ask(Command.GET_ANGLES)
        times = 1000 * np.array(link.latencies)
        link.close()
    return [wire, str(len(times)), *(f"{np.percentile(times, share):.2f}" for share in (50, 99, 100))]


def main() -> None:
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each way")
    parser.add_argument(
        "--thought", type=float, default=0.4, help="seconds that the policy takes for a chunk"
    )
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help=argparse.SUPPRESS)
    args = parse(parser)
    seconds = 3.0 if args.quick else 60 * args.minutes
    facts = machine()
    trips = [round_trips(wire, 100 if args.quick else 3000) for wire in WIRES]
    trip_header = ["port", "round trips", "median ms", "99 % ms", "slowest ms"]
    report(f"{TASK} on the twin, round trips without the arm's delays", facts, trip_header, trips)
    rows = [measure(way, seconds, args.thought) for way in args.ways]
    header = [
        "way",
        "steps/s",
        "longest pause ms",
        "late",
        "left out",
        "held",
        "replies lost",
        "twin slipped s",
    ]
    report(f"{TASK} on the twin, {seconds:.0f} s each, a policy of {args.thought:g} s", facts, header, rows)


if __name__ == "__main__":
    main()
