"""An SO-101 leader arm: calibrate it, look at what it says, or try all without one by its stand-in.

    python3 mycobot_scripts/leader.py --calibrate
    python3 mycobot_scripts/leader.py
    python3 mycobot_scripts/leader.py --stand_in

Calibration asks for two poses, and writes so101.json in the folder that you are in. The other scripts then
take the leader by --teleop so101. The stand-in plays a recorded motion of a hand, each time you press Enter.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from common import check_folder, cli, command_line, listen_address
from teleop import LeaderConfig, feetech, open_bus, so101

SHIPPED = Path(__file__).resolve().parent / "stand_in"
SHIPPED_MOTION = "pick_and_place"
MOTION, CALIBRATION = SHIPPED / f"{SHIPPED_MOTION}.json", SHIPPED / "so101.json"
LOOKS, STILL = 15, 2.0  # readings of a pose, and degrees that they may differ by
EXAMPLE = "--robot twin --task_name sim_mycobot320_move_cube_scripted --num_episodes 1 --teleop_scale 2"


@dataclass(frozen=True)
class LeaderScriptConfig(LeaderConfig):
    """Flags of this script."""

    calibrate: bool = cli.flag(False, "hold the leader in two poses, and write --leader_file")
    stand_in: str | None = cli.flag(
        None,
        f"serve a stand-in that plays this recorded motion of a leader; {SHIPPED_MOTION} is shipped",
        bare=SHIPPED_MOTION,
    )
    tcp: str | None = cli.flag(
        None, "serve the stand-in at HOST:PORT, not on a pseudo-terminal", bare="127.0.0.1:9101"
    )


def steady_reading(bus: feetech.Bus) -> dict[int, int]:
    """Where all servos are; RuntimeError if one is not heard, ValueError if it moves."""
    looks = []
    for _ in range(4 * LOOKS):
        looks += [steps] if len(steps := bus.positions(list(so101.IDS.values()))) == len(so101.IDS) else []
        if len(looks) == LOOKS:
            break
        time.sleep(0.02)
    else:
        raise RuntimeError(f"--leader_port is {bus.port!r}, where replies are lost: look at the cables")
    reading = {}
    for name, id in so101.IDS.items():
        values = looks[0][id] + so101.wrapped(np.array([steps[id] for steps in looks]) - looks[0][id])
        if np.ptp(values) * 360 / feetech.STEPS > STILL:
            raise ValueError(f"{name} moved while it was read; hold the leader still")
        reading[id] = round(float(np.median(values)))
    return reading


def calibrate(config: LeaderScriptConfig) -> None:
    """Ask for the two poses, and write the file."""
    check_folder(Path(config.leader_file).absolute().parent, "leader_file")
    with contextlib.closing(open_bus(config.leader_port)) as bus:
        poses = []
        for name, words in so101.POSES.items():
            try:
                input(f"pose {name}: {words}.\nHold it so, and press Enter ")
            except EOFError:
                raise RuntimeError("nobody can answer: standard input is closed") from None
            poses.append(steady_reading(bus))
    so101.Calibration.of(*poses).save(config.leader_file)
    print(f"saved {config.leader_file}; look at it: {command_line('mycobot_scripts/leader.py')}")


def show(config: LeaderScriptConfig) -> None:
    """Show what the leader says, until Ctrl-C."""
    calibration = so101.Calibration.load(config.leader_file)
    with contextlib.closing(open_bus(config.leader_port)) as bus:
        print(f"leader on {bus.port}; move it, Ctrl-C ends")
        while True:
            steps = bus.positions(list(so101.IDS.values()))
            if len(steps) == len(so101.IDS):
                joints = calibration.joints(steps)
                degrees = " ".join(f"{angle:7.1f}" for angle in np.degrees(joints))
                place = " ".join(f"{1000 * x:5.0f}" for x in so101.forward(joints)[0])
                line = f"{degrees} deg   tool {place} mm   gripper {calibration.gripper(steps):.2f}"
                print(f"\r{line}", end="", flush=True)
            time.sleep(0.1)


def serve(config: LeaderScriptConfig) -> None:
    """Serve the stand-in, until Ctrl-C."""
    from mycobot_scripts.stand_in import Motion, PtyWire, StandInLeader, TcpWire

    motion = Motion.load(MOTION if config.stand_in == SHIPPED_MOTION else config.stand_in)
    has_terminals = hasattr(os, "openpty")
    address = listen_address(config.tcp) if config.tcp else None if has_terminals else ("127.0.0.1", 0)
    wire = PtyWire() if address is None else TcpWire(*address)
    leader = StandInLeader(wire, motion, so101.Calibration.load(CALIBRATION))
    try:
        print(f"leader port={leader.port} file={CALIBRATION}", flush=True)
        given = f"--teleop so101 --leader_port {leader.port} --leader_file {CALIBRATION}"
        print(f"try it: {command_line('mycobot_scripts/record_episodes.py')} {EXAMPLE} {given}")
        print("there e closes the clutch; here Enter begins the motion, at the same moment. Ctrl-C ends it.")
        while sys.stdin.readline():
            leader.play()
            print(f"moves for {motion.seconds:.0f} s", flush=True)
        leader.join()
    finally:
        leader.close()


def parse_flags(argv: Sequence[str] | None = None) -> LeaderScriptConfig:
    """This script's flags."""
    config = cli.parse(LeaderScriptConfig, __doc__, argv)
    if config.calibrate and config.stand_in:
        raise ValueError("--calibrate does not go with --stand_in; leave one of them out")
    if config.tcp and not config.stand_in:
        raise ValueError("--tcp is for --stand_in; give --leader_port socket://HOST:PORT to reach one")
    return config


def main(argv: Sequence[str] | None = None) -> None:
    config = parse_flags(argv)
    (calibrate if config.calibrate else serve if config.stand_in else show)(config)


if __name__ == "__main__":
    cli.run(main)
