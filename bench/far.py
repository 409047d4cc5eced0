"""A policy on another machine: does the arm keep its rate, and the policy its success, over a slow line?

Rate: a server (policy_server.py) in a process of its own, behind a proxy that delays and loses segments, and
a loop of `--fps` steps a second that executes its chunks as model_runs.py does, in real time. In the last
rows the line is dead for a while: the arm must not stop before `--stale` s, and must stop after. There, so
that it is asked while it is dead, few actions of each chunk are executed.

Success: the task in simulated time, from the same starts in each row. The server is asked over a real
connection, without delay; each chunk comes as much later, in simulated time, as its segments take on the line
of the row (`FarLink`'s model) and a GPU or CPU to compute (`--thought`).
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _far_link import FarLink, travel_time
from _harness import ROOT, machine, make_parser, parse, table
from _simulated_thread import SimulatedThread
from tqdm import tqdm

from actors import Actor, Observation, RemoteActor, Rest, Seen
from constants import Stream, get_task
from evaluation import (
    BackgroundExecution,
    ExecutionConfig,
    Join,
    Steps,
    difference_interval,
    open_actor,
    rollout,
    rollout_steps,
)
from policies import run_checkpoint

FLAGS = ExecutionConfig()
STALE = 0.8  # s, model_runs.py's
DEAD = (0.5, 2.0)  # s
DEAD_AFTER = 2.0  # s
OFTEN = 4  # steps


@dataclass(frozen=True)
class Line:
    """What is between the arm and the policy."""

    name: str
    round_trip: float | None  # s; None: the policy is on the arm's machine
    loss: float = 0.0
    dead: float = 0.0  # s that it is dead for, in a run
    query_every: int | None = None  # actions of each chunk that are executed; as the flag says if not given


LINES = [
    Line("this machine", None),
    *(Line(f"{1000 * s:.0f} ms, 1 % lost", s, 0.01) for s in (0.05, 0.15, 0.4)),
]
DEAD_LINES = [Line(f"50 ms, 1 % lost, dead for {s:g} s", 0.05, 0.01, s, OFTEN) for s in DEAD]


@contextmanager
def served(checkpoint: Path) -> Iterator[int]:
    """The port of a server of a checkpoint's policy, in a process of its own."""
    flags = ["--ckpt_dir", str(checkpoint.parent), "--ckpt_name", checkpoint.name, "--port", "0"]
    command = [sys.executable, str(ROOT / "policy_server.py"), *flags, "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield int(re.search(r":(\d+);", process.stdout.readline())[1])
    finally:
        process.kill()
        process.wait()


class Pause:
    """Deadlines, `period` s apart."""

    def __init__(self, period: float) -> None:
        self._period, self._next, self.moments = period, time.monotonic(), []

    def wait(self) -> None:
        self._next += self._period
        time.sleep(max(0.0, self._next - time.monotonic()))
        self.moments.append(time.monotonic())


def drive(line: Line, checkpoint: Path, port: int, args: Any) -> list[str]:
    """A row: `--seconds` of chunks of a policy, at the rate of an arm."""
    link = None
    if line.round_trip is None:
        actor: Actor = open_actor(checkpoint, "cpu")
    else:
        link = FarLink(port, line.round_trip / 2, line.loss)
        actor = RemoteActor(f"127.0.0.1:{link.port}", late=STALE)
    execute = BackgroundExecution(
        actor, args.fps, line.query_every or args.query_every, join=Join.of(actor, FLAGS, args.fps)
    )
    execute.warm_up()
    seen = actor.interface.black_observation(np.array(actor.traits.qpos_mean))
    execute(seen)
    pause, stopped = Pause(1 / args.fps), ""
    try:
        for step in range(round(args.seconds * args.fps)):
            if link is not None:
                link.is_dead = 0 <= step / args.fps - DEAD_AFTER < line.dead
            execute(seen)
            pause.wait()
    except ConnectionError:
        stopped = f"{time.monotonic() - pause.moments[0] - DEAD_AFTER:.1f} s after it died"
    gaps = np.diff(pause.moments)
    latencies = 1000 * np.percentile(execute.latencies, [50, 99])
    execute.close()
    lost = "-" if link is None else f"{link.lost} of {link.passed}"
    if link is not None:
        link.close()
    times = [f"{1 / gaps.mean():.2f}", f"{1000 * gaps.max():.0f} ms"]
    return [
        line.name,
        *times,
        f"{latencies[0]:.0f}, {latencies[1]:.0f} ms",
        lost,
        f"{execute.held}",
        stopped or "0 stops",
    ]


class Slow(Actor):
    """An actor whose chunks come later, in simulated time.

    Args:
        actor: it.
        line: it is asked over.
        thread: in which it computes.
        link: through which its segments pass, to be counted; none for an actor that is here.
        thought: s for a chunk.
    """

    def __init__(
        self, actor: Actor, line: Line, thread: SimulatedThread, link: FarLink | None, thought: float
    ) -> None:
        self.interface, self.traits = actor.interface, actor.traits
        self._actor, self._line, self._thread, self._link, self._thought = actor, line, thread, link, thought

    def reset(self, key: Any) -> None:
        self._actor.reset(key)
        self._random = random.Random(repr(key))

    def observe(self, observation: Observation) -> Seen:
        return self._actor.observe(observation)

    def act(self, seen: Seen, rest: Rest | None = None) -> np.ndarray:
        before = self._link.passed if self._link else 0
        chunk = self._actor.act(seen, rest)
        segments = self._link.passed - before if self._link else 0
        self._thread.work(self._thought + self._on_the_way(segments))
        return chunk

    def _on_the_way(self, segments: int) -> float:
        """s to and fro: the last segment of each way waits for those before it; the answer has few."""
        if self._line.round_trip is None:
            return 0.0
        delay = self._line.round_trip / 2
        ways = (max(1, segments - 3), min(3, segments))
        return sum(max(travel_time(delay, self._line.loss, self._random) for _ in range(n)) for n in ways)


class Clock:
    """Simulated time."""

    time = 0.0


def successes(line: Line, checkpoint: Path, port: int, args: Any) -> tuple[list[bool], list[float], int]:
    """Success of each rollout; s of all chunks; steps that were held."""
    from sim_env import make_sim_env

    clock, link = Clock(), None
    if line.round_trip is None:
        actor: Actor = open_actor(checkpoint, "cpu")
    else:
        link = FarLink(port)
        actor = RemoteActor(f"127.0.0.1:{link.port}", late=60.0)  # of this busy machine
    task, thread = get_task(actor.interface.task), SimulatedThread(clock)
    slow = Slow(actor, line, thread, link, args.thought)
    join = Join.of(actor, FLAGS, task.fps)
    execute = BackgroundExecution(
        slow, task.fps, args.query_every, executor=thread, now=thread.now, join=join
    )
    env, steps = make_sim_env(task, actor.interface.render_quality or "fast"), rollout_steps(task, actor)

    def act(_: int, seen: Observation) -> np.ndarray:
        action = execute(seen)[: task.dim]
        clock.time += 1 / task.fps
        return action

    done = []
    for index in tqdm(range(args.first, args.first + args.rollouts), desc=line.name, unit="rollout"):
        execute.reset([0, Stream.ACT, index])
        start, kept = env.reset(np.random.default_rng([0, Stream.EVALUATE, index])), Steps()
        rollout(env, start, act, steps, kept)
        done.append(kept.highest_reward == task.max_reward)
    env.close()
    if link is not None:
        link.close()
    return done, execute.latencies, execute.held


def success_rows(checkpoint: Path, port: int, args: Any) -> list[list[str]]:
    """A row for each line; differences are from the first."""
    rows, first = [], None
    for line in LINES:
        done, latencies, held = successes(line, checkpoint, port, args)
        first = first or (sum(done), len(done))
        low, high = difference_interval((sum(done), len(done)), first)
        median, slowest = 1000 * np.percentile(latencies, [50, 99])
        took = f"{median:.0f}, {slowest:.0f} ms"
        interval = f"{100 * low:+.1f} to {100 * high:+.1f} %" if rows else "0"
        rows.append([line.name, f"{sum(done)} of {len(done)}", interval, took, f"{held}"])
        print("\t".join(rows[-1]), file=sys.stderr)
    return rows


RATE_HEADER = (
    "the policy is at",
    "steps a second",
    "longest pause",
    "a chunk took (median, 99 %)",
    "segments lost",
    "steps held",
    "stops",
)
SUCCESS_HEADER = (
    "the policy is at",
    "success",
    "difference, 95 % interval",
    "a chunk took (median, 99 %)",
    "steps held",
)


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--ckpt_dir", required=True, help="folder of the policy, as of demo.py --twin")
    parser.add_argument("--fps", type=float, default=10.0, help="steps a second of the rate's loop")
    parser.add_argument("--query_every", type=int, default=20, help="actions of each chunk that are executed")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each row of rates")
    parser.add_argument("--rollouts", type=int, default=50, help="of each row of successes; 0: none")
    parser.add_argument("--first", type=int, default=1000, help="number of the first start")
    parser.add_argument("--thought", type=float, default=0.03, help="s for a chunk, in simulated time")
    args, facts = parse(parser), machine()
    if args.quick:
        args.seconds, args.rollouts = 4.0, 1
    checkpoint = run_checkpoint(args.ckpt_dir)
    with served(checkpoint) as port:
        rates = [drive(line, checkpoint, port, args) for line in [*LINES, *DEAD_LINES]]
        title = f"Over a line, {args.fps:g} steps a second, {args.seconds:g} s each, --stale {STALE:g}"
        print(f"{title}\n{facts}\n\n{table(RATE_HEADER, rates)}", flush=True)
        if args.rollouts:
            rows = success_rows(checkpoint, port, args)
            print(f"\nSuccess over a line, {args.thought:g} s for a chunk, in simulated time\n")
            print(table(SUCCESS_HEADER, rows))


if __name__ == "__main__":
    main()
