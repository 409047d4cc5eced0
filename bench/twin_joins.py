"""Where chunks meet on the arm: the largest acceleration and jerk of its joints, with and without a join.

The emulated arm in simulated time: firmware and MuJoCo's body, ten commands a second, chunks computed in the
background. The policy takes as long as a row says. It knows a smooth motion, but each of its chunks is off by
an offset of its own, which grows. The last way also limits the speeds to 1.5 times the motion's. Joints are
measured on the body, 50 times a second. The first row has the motion itself, without offsets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from _harness import machine, make_parser, parse, report
from _simulated_thread import SimulatedThread
from _stepped_arm import SteppedBody, link_to
from tqdm import tqdm

from actors import Actor, Observation, Rest, Seen
from constants import MYCOBOT
from evaluation import BackgroundExecution, Join
from mycobot_scripts.kinematics import JOINTS, on_the_wire
from mycobot_scripts.safety import Guard, Limits, SpeedFilter
from mycobot_scripts.wire import LinkedArm, ServoConfig
from tasks import ArmIndex

FPS, CHUNK = 10, 40
SAMPLE = 0.02  # s between looks at the body
START = on_the_wire(np.append(MYCOBOT.start, 0.7))
PERIODS = np.array([4.0, 5.0, 3.5, 4.5, 6.0, 3.0])  # s of each joint's motion
SWING = np.array([0.25, 0.1, 0.12, 0.15, 0.15, 0.3])  # rad
MARGIN = 1.5
WAYS = ("none", "fade", "fade, speed limits")
SETTLED = 3.0  # s, from when on it counts


def motion(steps: np.ndarray) -> np.ndarray:
    """The motion's actions (n, 7) at so many steps; it begins at rest."""
    angles = 2 * math.pi * steps[:, None] / FPS / PERIODS
    return START + np.column_stack([SWING * (1 - np.cos(angles)) / 2, np.zeros(len(steps))])


class Thinker(Actor):
    """Knows the motion; takes `seconds` for a chunk.

    Each chunk begins off by an offset of the deviation `error` (rad), and goes off as far again in a second.
    """

    chunk_size = execution_horizon = CHUNK
    observation_horizon = 1

    def __init__(self, seconds: float, error: float, seed: int) -> None:
        self._seconds, self._error, self._rng = seconds, error, np.random.default_rng(seed)
        self.work: Callable[[float], None] = lambda seconds: None  # told how long it thinks

    def observe(self, observation: Observation) -> Seen:
        return {"step": np.array(observation["step"])}

    def act(self, seen: Seen, rest: Rest | None = None) -> np.ndarray:
        self.work(self._seconds)
        offset, drift = self._rng.normal(0, self._error, (2, 1, JOINTS))
        ahead = np.arange(CHUNK)
        chunk = motion(int(seen["step"]) + ahead)
        chunk[:, :JOINTS] += offset + drift * ahead[:, None] / FPS
        return chunk


class Recorder:
    """Looks at the body every `SAMPLE` s; stands where `SteppedBody` measures its shapes."""

    def __init__(self, body: SteppedBody) -> None:
        self._index, self._every = ArmIndex(body.model, MYCOBOT), round(SAMPLE / body.model.opt.timestep)
        self._steps, self.joints = 0, []

    def note(self, data: Any) -> None:
        if self._steps % self._every == 0:
            self.joints.append(self._index.state(data)[0][:JOINTS].copy())
        self._steps += 1


def measure(way: str, thought: float, seconds: float, error: float, seed: int) -> tuple[float, float]:
    """Largest acceleration (rad/s^2) and jerk (rad/s^3) of the joint that has most of it."""
    body, guard = SteppedBody(START, Limits()), Guard(Limits())
    body.measure = recorder = Recorder(body)
    arm, thread = LinkedArm(link_to(body), guard, ServoConfig()), SimulatedThread(body)
    policy = Thinker(thought, error, seed)
    policy.work = thread.work
    join = Join(0 if way == "none" else FPS // 2, np.arange(JOINTS + 1) < JOINTS)
    execute = BackgroundExecution(policy, FPS, CHUNK // 2, executor=thread, now=thread.now, join=join)
    shown = motion(np.arange(10 * FPS))[:, :JOINTS]
    most = [MARGIN * FPS**order * np.abs(np.diff(shown, n=order, axis=0)).max(axis=0) for order in (1, 2)]
    speed = SpeedFilter(*most, 1 / FPS) if "limits" in way else None
    if speed is not None:
        speed.begin(START)
    for step in tqdm(range(round(seconds * FPS)), desc=f"{thought:g} s, {way}", leave=False):
        action = execute({"step": step})
        if speed is not None:
            speed.follow(arm.sent)
            action = speed(action)
        deadline = body.time + 1 / FPS
        arm.command(action)
        arm.update(deadline - body.time)
        body.time = max(body.time, deadline)
        body.advance(body.time)
    settled = np.array(recorder.joints)[round(SETTLED / SAMPLE) :]
    return tuple(float(np.abs(np.diff(settled, n=n, axis=0)).max() / SAMPLE**n) for n in (2, 3))


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--thoughts", type=float, nargs="+", default=[0.1, 0.4, 0.8], help="s for a chunk")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--error", type=float, default=0.03, help="rad; deviation of the chunks' offsets")
    parser.add_argument("--seed", type=int, default=0, help="of the offsets")
    args, facts = parse(parser), machine()
    seconds = 6.0 if args.quick else args.seconds
    rows = []
    for name, thought, error in [
        ("the motion itself", 0.0, 0.0),
        *((f"{thought:g} s", thought, args.error) for thought in args.thoughts),
    ]:
        results = [measure(way, thought, seconds, error, args.seed) for way in WAYS]
        accelerations, jerks = zip(*results, strict=True)
        rows.append([name, *(f"{a:.1f}" for a in accelerations), *(f"{j:.0f}" for j in jerks)])
    header = ["a chunk takes", *(f"{what}, {way}" for what in ("rad/s2", "rad/s3") for way in WAYS)]
    title = (
        f"Largest acceleration and jerk of the arm's joints, {seconds:g} s each, off by {args.error:g} rad"
    )
    report(title, facts, header, rows)


if __name__ == "__main__":
    main()
