"""The guard against hostile targets: how far outside its limits the arm ever gets.

On the wire: commands through servo, bytes and firmware to MuJoCo's body, ten a second in simulated time; the
body is measured by its shapes at every physics step (2 ms). Directly: commands given to `Guard.clamp`, one
after another, and the poses they would lead to. Wanted: no part outside by more than 5 mm; 2 ms a command.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable

import numpy as np
from _harness import machine, make_parser, parse, report
from _stepped_arm import START, Attack, Targets, attacked, clocked
from tqdm import tqdm

from mycobot_scripts.kinematics import frames
from mycobot_scripts.safety import HARD_LIMITS, Guard, Limits

LOW = np.append(np.radians([0, 90, 20, 0, -90, 0]), 0.7)  # the tool point is far below the table
SIDEWAYS = np.append(np.radians([0, 80, 40, 60, 0, 90]), 1.0)  # the open gripper lies beside the table


def sides(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Targets:
    """All joints to corners of their range; the corner changes every 0.3 to 2 s."""
    while True:
        corner = np.radians(HARD_LIMITS) * rng.choice([-1, 1], 6) * rng.uniform(0.2, 1.2, 6)
        target = np.append(START[:6] * rng.integers(0, 2) + corner * rng.uniform(0.1, 1), rng.integers(0, 2))
        yield from itertools.repeat(target, rng.integers(3, 21))


def swings(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Targets:
    """Between two poses on both sides of the table's edge, every 0.3 to 2 s."""
    while True:
        low = LOW + np.append(rng.normal(0, 0.3, 6), 0)
        high = START + np.append(rng.normal(0, 0.5, 6), 0)
        for target in (low, high) * 3:
            yield from itertools.repeat(target, rng.integers(3, 21))


def dives(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Targets:
    """Down into the table, again and again from elsewhere."""
    while True:
        above = START + np.append(rng.normal(0, 0.4, 6), 0)
        yield from itertools.repeat(above, 15)
        yield from itertools.repeat(LOW + np.append([above[0], *rng.normal(0, 0.4, 5)], 0), 25)


def huge(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Targets:
    """Far beyond all limits."""
    while True:
        yield from itertools.repeat(rng.choice([-1e9, 1e9], 7), rng.integers(1, 10))


def noise(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Targets:
    """Anywhere."""
    while True:
        yield rng.normal(0, rng.choice([0.1, 0.5, 2.0]), 7) + START * rng.integers(0, 2)


def drifts(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Targets:
    """Slowly along the table's edge, always pressing down a little."""
    while True:
        turn, press = np.radians(rng.uniform(-2, 2)), np.radians(rng.uniform(0.2, 3))
        for _ in range(80):
            yield where() + [turn, press, *rng.normal(0, np.radians(1), 4), 0]


def greedy(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Targets:
    """Of many poses nearby, where the elbow, the wrist, the flange or the tool point is the lowest."""
    while True:
        link, spread = rng.integers(3, 8), rng.choice([0.05, 0.2, 0.5])
        for _ in range(40):
            nearby = where()[:6] + rng.normal(0, spread, (60, 6))
            positions, rotations = frames(nearby)
            heights = np.column_stack([positions[..., 2], positions[:, 6, 2] + 0.15 * rotations[:, 6, 2, 2]])
            yield np.append(nearby[heights[:, link].argmin()], rng.integers(0, 2))
        yield from itertools.repeat(START, 15)


def folds(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Targets:
    """The arm into itself: elbow and wrist bent as far as they go."""
    while True:
        bent = np.radians([rng.uniform(-90, 90), rng.uniform(-60, 60), *rng.choice([-143, 143], 2), 0, 0])
        bent[4:] = rng.uniform(-3, 3, 2)
        yield from itertools.repeat(np.append(bent, rng.integers(0, 2)), 30)


def grips(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Targets:
    """Open and close, with the gripper on its side by the table."""
    while True:
        tilted = SIDEWAYS + np.append(rng.normal(0, 0.3, 6), 0)
        for _ in range(40):
            yield np.append(tilted[:6], rng.integers(0, 2))


ATTACKS: dict[str, tuple[Attack, dict, dict]] = {  # targets, limits, settings of the servo
    "all joints to changing sides": (sides, {}, {}),
    "up and down across the table's edge": (swings, {}, {}),
    "the same, --speed 100": (swings, {}, {"speed": 100}),
    "the same, --speed 5": (swings, {}, {"speed": 5}),
    "the same, a small box": (swings, {"box_x": (-0.4, -0.15), "box_y": (-0.25, 0.15)}, {}),
    "dives at the table": (dives, {}, {}),
    "far beyond all limits": (huge, {}, {}),
    "noise": (noise, {}, {}),
    "slowly along the table's edge": (drifts, {}, {}),
    "the deepest point nearby": (greedy, {}, {}),
    "into itself": (folds, {}, {}),
    "fast gripper by the table": (grips, {}, {}),
    "begun outside, x": (swings, {"box_x": (-0.25, 0.25)}, {}),
    "begun outside, x and y": (swings, {"box_x": (-0.15, 0.15), "box_y": (-0.02, 0.15)}, {}),
    "begun outside, height": (swings, {"max_height": 0.1}, {}),
    "begun outside, table": (swings, {"table_height": 0.15}, {}),
}
Row = dict[str, float]


def on_the_line(name: str, commands: int, seed: int) -> Row:
    """An attack through servo, wire, firmware and body: how far outside the arm was (m), and the time (s)."""
    attack, limits, settings = ATTACKS[name]
    return attacked(attack, Limits(**limits), settings, commands, seed, name)


def directly(name: str, commands: int, seed: int) -> Row:
    """An attack at `Guard.clamp`, by poses: the arm is where the last command was."""
    attack, limits, _ = ATTACKS[name]
    rng, limits = np.random.default_rng([seed, 1, len(name)]), Limits(**limits)
    guard, pose, seconds = Guard(limits), START, []
    begun, _ = guard.outside(START[:6], START[6])
    targets, worst = attack(rng, lambda: pose), 0.0
    clamp = clocked(guard.clamp, seconds)
    for _ in tqdm(range(commands), desc=f"{name}, directly", leave=False):
        pose = clamp(next(targets), pose)
        worst = max(worst, guard.outside(pose[:6], pose[6])[0] - begun)
    return {"direct": worst, "clamps": seconds}


def parse_flags() -> argparse.Namespace:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--commands", type=int, default=20_000, help="on the wire, of all attacks together")
    parser.add_argument("--direct", type=int, default=1_000_000, help="at the guard, of all attacks together")
    parser.add_argument(
        "--attacks", nargs="+", default=list(ATTACKS), choices=list(ATTACKS), metavar="ATTACK"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parse(parser)


def main() -> None:
    args, facts = parse_flags(), machine()
    if args.quick:
        args.commands, args.direct = 10 * len(args.attacks), 10 * len(args.attacks)
    rows = []
    for name in args.attacks:
        row = on_the_line(name, args.commands // len(args.attacks), args.seed)
        direct = directly(name, args.direct // len(args.attacks), args.seed)
        clamps = 1000 * np.array(row["clamps"] + direct["clamps"])
        outside = [f"{1000 * row[key]:.1f}" for key in ("tool", "parts", "itself")]
        times = [f"{np.median(clamps):.2f}", f"{np.percentile(clamps, 99):.1f}"]
        counts = [str(len(row["clamps"])), str(row["stops"]), *outside]
        rows.append([name, *counts, str(len(direct["clamps"])), f"{1000 * direct['direct']:.1f}", *times])
    header = ["attack", "on the wire", "stops", "tool, mm", "parts, mm", "itself, mm", "directly", "mm"]
    report("Outside the limits at most", facts, [*header, "CPU ms, median", "99 %"], rows)


if __name__ == "__main__":
    main()
