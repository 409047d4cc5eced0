"""Drive the arm, or its twin, by hand, without recording anything.

    python3 mycobot_scripts/drive_arm.py --cameras top=1,right_wrist=0
    python3 mycobot_scripts/drive_arm.py --robot twin

Keys: those of jogging (they are shown), h to the start pose, g guide it by hand, t tool or joint space, x
slow, q quits; on the twin, b knocks its prop loose, n puts the props to another start. What stops a run
stops this too; the next key goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import cli
from mycobot_scripts.demos import TWIN_TASK, Driver, task_to_drive
from mycobot_scripts.desk import open_person
from mycobot_scripts.robot import (
    Setup,
    add_robot_flags,
    open_session,
    read_setup,
)
from teleop import DEVICES, check_device


@dataclass(frozen=True)
class DriveArmConfig:
    """Flags of this script."""

    task_name: str | None = cli.flag(None, f"scene of the twin; {TWIN_TASK} if not given")
    jog: str = cli.flag("keyboard", "what you drive it with", DEVICES, alias="teleop")
    seed: int = cli.flag(0, "seed of the twin's starts", least=0, most=cli.MOST_SEED)


def parse_flags(argv: Sequence[str] | None = None) -> tuple[DriveArmConfig, Setup]:
    """This script's flags, and those of the arm."""
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, DriveArmConfig)
    add_robot_flags(parser, is_driven=True)
    setup = read_setup(parser, argv)
    return cli.from_flags(DriveArmConfig, setup.args), setup


def main(argv: Sequence[str] | None = None) -> None:
    config, setup = parse_flags(argv)
    task = task_to_drive(config.task_name, setup)
    check_device(config.jog, setup.teleop)
    with open_person(setup, "drive_arm", task.name) as keys, open_session(setup, task, keys) as session:
        Driver(session, session.device(config.jog), config.seed).run()


if __name__ == "__main__":
    cli.run(main)
