"""A leader arm: lag from its motion to the command, limits against a hostile hand, pick and place.

Pick and place: the stand-in plays a motion as a person's hand makes it, for another place of the cube each
time (`_leader_motion.py`); on the twin, in real time, it is read from its port, retargeted, guarded and
recorded as by record_episodes.py --teleop so101. Lag: by how much the commands on the wire are best shifted
to lie on the leader's motion. Hostile: ten minutes of leader joints that jump, swing, shake, press down and
grip anew, through kinematics, retargeting, guard, bytes and firmware to MuJoCo's body, in simulated time; its
shapes are measured at every physics step. Wanted: at most one step (100 ms), no limit crossed by more than
5 mm, all succeed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from _harness import machine, make_parser, parse, report
from _leader_motion import SCALE, TASK, Teacher, leader_motion
from _stepped_arm import PERIOD, START, attacked
from tqdm import tqdm

from mycobot_scripts import leader, record_episodes
from mycobot_scripts.demos import Recorder, scripted_actions
from mycobot_scripts.kinematics import tool_point
from mycobot_scripts.robot import ArmFile, Jog, axes_in_picture, open_session, start_rng
from mycobot_scripts.safety import Limits
from mycobot_scripts.stand_in import Motion, PtyWire, StandInLeader
from tasks import sample_start
from teleop import Hand, Retarget, so101

MOST_LAG, TOLERANCE = 0.4, 5.0  # s, mm
ATTEMPTS = 5  # at an episode, while the computer is too busy
Angles = Iterator[np.ndarray]  # of a leader (5,), ten a second


# --- pick and place


def motion_for(seed: int, index: int) -> Motion:
    """A hand's motion for the cube of an episode that record_episodes.py records on the twin."""
    case = TASK.case_number(index)
    actions = scripted_actions(TASK, sample_start(TASK, start_rng(seed, index), case), case)
    return leader_motion(actions, ArmFile().home, axes_in_picture(TASK), np.random.default_rng([seed, index]))


def pick_and_place(seed: int, index: int, pace: float = 1.0) -> tuple[bool, float] | None:
    """Record an episode led by the stand-in; whether it succeeded, and the lag (s of the twin's clock).

    None if the computer was too busy for the twin, which then stops the run.
    """
    made = motion_for(seed, index)
    motion = Motion(pace * made.fps, made.joints, made.gripper)  # as slow as the twin
    calibration = so101.Calibration.load(leader.CALIBRATION)
    stand_in = StandInLeader(PtyWire(), motion, calibration)
    sent: list[tuple[float, np.ndarray]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(stand_in):
        words = ["--robot", "twin", "--task_name", TASK.name, "--dataset_dir", f"{folder}/data"]
        words += ["--num_episodes", str(index + 1), "--seed", str(seed), "--teleop_scale", str(SCALE)]
        words += ["--pace", str(pace)]
        words += [
            "--teleop",
            "so101",
            "--leader_port",
            stand_in.port,
            "--leader_file",
            str(leader.CALIBRATION),
        ]
        config, setup = record_episodes.parse_flags(words)
        config, task = record_episodes.complete(config, setup)
        with open_session(setup, task, Teacher(stand_in, motion.seconds)) as session:
            note = session.robot.guard.note

            def noted(time: float, target: np.ndarray) -> None:
                sent.append((time / pace, target.copy()))
                note(time, target)

            session.robot.guard.note = noted
            recorder = Recorder(session, config)
            recorder.prepare()
            with contextlib.suppress(RuntimeError):
                recorder.record(index)
            if session.robot.was_late:
                return None
            success = session.twin.state()["success"]
    return bool(success), pace * lag(sent, stand_in, motion)


def lag(sent: list[tuple[float, np.ndarray]], stand_in: StandInLeader, motion: Motion) -> float:
    """The shift (s) of the commands at which they lie nearest to where the leader's motion has the tool."""
    moments = np.array([time for time, _ in sent]) - stand_in.began
    tips = np.array([tool_point(target[:6]) for _, target in sent])
    during = (moments > 0) & (moments < motion.seconds)
    moments, tips = moments[during], tips[during]
    hand = axes_in_picture(TASK) @ so101.PERSON_FROM_BASE
    grid = np.arange(0, motion.seconds, 0.01)
    way = np.array([so101.forward(motion.at(t)[0])[0] for t in grid])
    goals = tool_point(ArmFile().home[:6]) + SCALE * (way - way[0]) @ hand.T
    shifts = np.arange(-0.05, MOST_LAG, 0.002)
    errors = [
        sum(
            ((np.interp(moments - shift, grid, goals[:, axis]) - tips[:, axis]) ** 2).sum()
            for axis in range(3)
        )
        for shift in shifts
    ]
    return float(shifts[int(np.argmin(errors))])


# --- a hostile hand


def corners(rng: np.random.Generator) -> Angles:
    """All joints from one corner of their range to another at once, every 0.3 to 2 s."""
    while True:
        joints = np.where(rng.random(5) < 0.5, so101.LOW, so101.HIGH) * rng.uniform(0.2, 1, 5)
        yield from itertools.repeat(joints, rng.integers(3, 21))


def swings(rng: np.random.Generator) -> Angles:
    """Each joint back and forth over its range, up to twice a second."""
    hertz, phase = rng.uniform(0.05, 2.0, 5), rng.uniform(0, 2 * np.pi, 5)
    middle, half = (so101.LOW + so101.HIGH) / 2, (so101.HIGH - so101.LOW) / 2
    for step in itertools.count():
        yield middle + half * np.sin(2 * np.pi * hertz * step * PERIOD + phase)


def presses(rng: np.random.Generator) -> Angles:
    """Down as far as it goes, turning and rolling about, and up again."""
    while True:
        pan, roll = rng.uniform(so101.LOW[[0, 4]], so101.HIGH[[0, 4]])
        for share in (*np.linspace(0, 1, rng.integers(3, 15)), *np.ones(rng.integers(5, 20))):
            yield np.array([share * pan, 1.7 * share, 0.8 * share, 0.5 * share, roll * share])


def shakes(rng: np.random.Generator) -> Angles:
    """About a place, by up to a radian at each look."""
    while True:
        place, spread = rng.uniform(so101.LOW, so101.HIGH), rng.choice([0.05, 0.3, 1.0])
        for _ in range(40):
            yield place + rng.normal(0, spread, 5)


HOSTILE: dict[
    str, tuple[Callable[[np.random.Generator], Angles], float, float]
] = {  # scale, chance of a grip
    "jumps from corner to corner": (corners, 1.0, 0.0),
    "swings": (swings, 1.0, 0.0),
    "presses down, scale 3": (presses, 3.0, 0.0),
    "shakes": (shakes, 1.0, 0.0),
    "swings, and grips anew": (swings, 2.0, 0.1),
}


def led(name: str) -> Callable:
    """An attack as those of guard.py: targets from a hostile leader."""
    motion, scale, regrips = HOSTILE[name]

    def targets(rng: np.random.Generator, where: Callable[[], np.ndarray]) -> Iterator[np.ndarray]:
        limits = Limits()
        low = np.array([limits.box_x[0], limits.box_y[0], limits.table_height + limits.clearance])
        high = np.array([limits.box_x[1], limits.box_y[1], limits.table_height + limits.max_height])
        jog = Jog(retarget=Retarget(scale, box=(low, high)))
        jog.begin(START)
        grip, p = 1, so101.PERSON_FROM_BASE
        for joints in motion(rng):
            grip += rng.random() < regrips
            position, orientation = so101.forward(joints)
            hand = Hand(grip, p @ position, p @ orientation, float(rng.random() < 0.5))
            yield jog.step(np.zeros(7), PERIOD, where(), hand)

    return targets


def parse_flags() -> argparse.Namespace:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--episodes", type=int, default=10, help="of pick and place")
    parser.add_argument("--minutes", type=float, default=10.0, help="of a hostile hand, in simulated time")
    parser.add_argument(
        "--pace", type=float, default=1.0, help="of the twin; below 1, what is read in real time lags less"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", help="write the motion of the first episode to this file, and end")
    return parse(parser)


def hostile_rows(minutes: float, seed: int) -> list[list[str]]:
    """How far outside each attack brought the arm."""
    rows, commands = [], round(minutes * 60 / PERIOD / len(HOSTILE))
    for name in HOSTILE:
        row = attacked(led(name), Limits(), {}, commands, seed, name)
        worst = [1000 * row[key] for key in ("tool", "parts", "itself")]
        crossed = sum(outside > TOLERANCE for outside in worst) + row["stops"]
        what = f"hostile hand, {commands * PERIOD / 60:.1f} min: {name}"
        outside = " ".join(f"{each:.1f}" for each in worst)
        rows.append([what, f"{crossed} crossed", f"{outside} mm: tool, parts, itself", "0 crossed"])
    return rows


def led_rows(episodes: int, seed: int, pace: float) -> list[list[str]]:
    """Success and lag of episodes on the twin; one that the computer was too busy for is made again."""
    done, repeated = [], 0
    for index in tqdm(range(episodes), desc="pick and place", leave=False):
        for _ in range(ATTEMPTS):
            with contextlib.redirect_stdout(io.StringIO()):
                result = pick_and_place(seed, index, pace)
            if result is not None:
                done.append(result)
                break
            repeated += 1
    won = sum(success for success, _ in done)
    steps, spread = "0 measured", "0 ms"
    if done:
        lags = 1000 * np.array([each for _, each in done])
        steps, spread = (
            f"{np.median(lags) / 1000 / PERIOD:.2f} steps",
            f"{lags.min():.0f} to {lags.max():.0f} ms",
        )
    busy = f"{repeated} repeated, too busy"
    return [
        ["lag, leader to wire", steps, spread, "1 step at most"],
        ["pick and place, led", f"{won} of {len(done)}", busy, f"{episodes} of {episodes}"],
    ]


def main() -> None:
    args, facts = parse_flags(), machine()
    if args.write:
        return motion_for(args.seed, 0).save(Path(args.write))
    if args.quick:
        args.episodes, args.minutes = 1, 0.1
    rows = hostile_rows(args.minutes, args.seed) if args.minutes else []
    rows += led_rows(args.episodes, args.seed, args.pace) if args.episodes else []
    report("A leader arm", facts, ["", "measured", "", "wanted"], rows)


if __name__ == "__main__":
    main()
