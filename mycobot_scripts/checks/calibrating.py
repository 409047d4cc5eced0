"""Shows and sets the values of an arm and its desk: gripper mode, start pose, tip, table, cameras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from common import shown
from mycobot_scripts.checks.calibration import fit_tip, table_height
from mycobot_scripts.checks.camera_checks import take_still
from mycobot_scripts.demos import Guiding
from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.robot import (
    DEFAULT_PATH,
    GRIPPER_MODES,
    ArmFile,
    Operator,
    Setup,
    close_cameras,
    keep_references,
    open_cameras,
)
from mycobot_scripts.wire import Servo, ask

TWIN_PATH = "mycobot320_twin.json"  # never read for the real arm
LEVEL = 0.005  # m; touches of one table that are further apart are wrong
MENU = (
    "set [g]ripper mode, start pose [h], [t]ip, table's height [z], reference [p]ictures; [s]ave, or [q]uit "
    "without saving"
)
MODES = f"drive it {GRIPPER_MODES[0]} [0], {GRIPPER_MODES[1]} [1], or [l]eave it as it is?"
FAR = 2.0  # degrees; a picture from further off the start pose is no reference
TOUCHES, PLACES = 5, 3  # of one point, to measure the tip; of the table, to measure its height
TIP = rf"""Mark a point on the table. Close the gripper (c), touch the point with its tips and capture that,
{TOUCHES} times, each time leaning the gripper another way, by 30 degrees or more:

    seen from the front      seen from the side
       2    1    3               4       5
        \   |   /                 \     /
         \  |  /                   \   /
    ______\_|_/______        ______\_/______
"""
TABLE = f"""Close the gripper (c), then touch the table at {PLACES} places far apart, the gripper pointing
straight down, and capture each."""


class Calibration:
    """A person measures; the arm's file is written only at the end.

    Args:
        servo: the arm.
        operator: who measures.
        arm: values to begin with.
        sources: cameras, if not those of `arm`.
    """

    def __init__(
        self, servo: Servo, operator: Operator, arm: ArmFile, sources: dict[str, str] | None = None
    ) -> None:
        self._servo, self._operator, self.arm = servo, operator, arm
        self._sources = arm.cameras if sources is None else sources
        self._pictures: dict[str, np.ndarray] = {}  # of the cameras, at the start pose
        self._touches: list[np.ndarray] = []  # (6,) rad, where the tip touched the table

    def text(self) -> str:
        """What the file will hold."""
        arm = self.arm
        mode = GRIPPER_MODES.get(arm.gripper_mode, "left as it is")
        home = " ".join(f"{angle:g}" for angle in arm.home_degrees)
        cameras = ", ".join(f"{name}={shown(source)}" for name, source in self._sources.items()) or "none"
        return (
            f"gripper mode  {arm.gripper_mode if arm.gripper_mode is not None else '-'} ({mode})\n"
            f"start pose    {home} deg, gripper {arm.home_gripper:g}\n"
            f"tip           {1000 * arm.tool_length_m:.0f} mm ahead of the flange\n"
            f"table         {1000 * arm.table_height_m:.0f} mm above the arm's foot\n"
            f"cameras       {cameras}\n"
            f"references    {', '.join({**arm.references, **self._pictures}) or 'none'}\n"
            f"port          {arm.port}"
        )

    def gripper_mode(self) -> None:
        """Show the mode, and set another."""
        mode = ask(self._servo, lambda arm: arm.get_gripper_mode())
        print(f"the gripper's mode: {mode.text}, {GRIPPER_MODES.get(mode.value, 'unknown')}")
        wanted = self._operator.keys.ask(MODES, {"0": 0, "1": 1, "l": None, "q": None})
        if wanted is not None:
            self._servo.ask(lambda arm: arm.set_gripper_mode(wanted))
            print("set; scripts set it whenever they begin. Back to port IO, it takes a power cycle.")
        self.arm = replace(self.arm, gripper_mode=wanted)

    def home(self) -> None:
        """Have the person lead the arm to its start pose."""
        poses = self._guided("Lead the arm to where episodes are to begin; the last pose captured counts.", 1)
        if poses:
            degrees = tuple(round(float(angle), 2) for angle in np.degrees(poses[-1][:JOINTS]))
            self.arm = replace(self.arm, home_degrees=degrees)

    def tip(self) -> None:
        """Measure the tip's distance ahead of the flange, by touching one point from several sides."""
        poses = self._guided(TIP, TOUCHES)
        if not poses:
            return
        try:
            tip = fit_tip([pose[:JOINTS] for pose in poses])
        except ValueError as error:
            print(f"not measured: {error}")
            return
        print(
            f"the tip is {1000 * tip.length:.0f} mm ahead of the flange, give or take "
            f"{1000 * tip.uncertainty:.0f}; the touches miss one point by {1000 * tip.residual:.1f} mm"
        )
        if tip.is_good or self._is_wanted():
            self.arm = replace(self.arm, tool_length_m=round(tip.length, 4))
            if self._touches:
                self._measure_table()

    def table(self) -> None:
        """Measure the table's height, by touching it at some places."""
        poses = self._guided(TABLE, PLACES)
        if poses:
            self._touches = [pose[:JOINTS] for pose in poses]
            self._measure_table()

    def _measure_table(self) -> None:
        """The table's height where it was touched, with the tip as it is known now."""
        height, spread = table_height(self._touches, self.arm.tool_length_m)
        apart = f"the touches are {1000 * spread:.0f} mm apart in height"
        print(f"the table is {1000 * height:.0f} mm above the arm's foot; {apart}")
        if spread > LEVEL:
            print(
                f"that is more than {1000 * LEVEL:.0f} mm: measure the tip first, and hold it straight down"
            )
        if spread <= LEVEL or self._is_wanted():
            self.arm = replace(self.arm, table_height_m=round(height, 4))

    def _is_wanted(self) -> bool:
        question = "that is not sure; take it all the same? [y/n]"
        return self._operator.keys.ask(question, {"y": True, "n": False})

    def pictures(self) -> None:
        """Take a picture by each camera: at the start pose, what later pictures are compared with."""
        degrees = np.degrees(self._servo.latest.qpos[:JOINTS])
        off = float(np.abs(degrees - self.arm.home_degrees).max())
        if off > FAR:
            print(f"the arm is {off:.0f} degrees off its start pose; set that first, or lead it there [h]")
            return
        try:
            cameras = open_cameras(self._sources)
        except RuntimeError as error:
            print(f"not taken: {error}")
            return
        try:
            for name, camera in cameras.items():
                self._pictures[name] = take_still(camera)
        finally:
            close_cameras(cameras)
        print(f"taken: {', '.join(cameras) or 'none, as there are no --cameras'}")

    def save(self, path: str) -> Path:
        """Write the pictures and the arm's file; returns its path."""
        self.arm = keep_references(self.arm, Path(path), self._pictures)
        return self.arm.save(path)

    def _guided(self, what: str, at_least: int) -> list[np.ndarray] | None:
        print(what)
        gripper = float(self._servo.latest.qpos[JOINTS])
        return Guiding(self._servo, self._operator, gripper, at_least).capture()


def calibrate(servo: Servo, operator: Operator, setup: Setup, sources: dict[str, str]) -> None:
    """Have a person look at the values and set them; writes the arm's file if the person wants it."""
    is_real = setup.config.robot == "mycobot320"
    arm = replace(setup.arm, cameras=sources, port=setup.config.port) if is_real else setup.arm
    path = setup.config.arm_file or (DEFAULT_PATH if is_real else TWIN_PATH)
    work = Calibration(servo, operator, arm, sources)
    steps: dict[str, Callable[[], None]] = {
        "g": work.gripper_mode,
        "h": work.home,
        "t": work.tip,
        "z": work.table,
        "p": work.pictures,
    }
    while True:
        print(f"\n{work.text()}")
        choice = operator.keys.ask(MENU, {key: key for key in (*steps, "s", "q")})
        if choice == "q":
            print("nothing was saved")
            return
        try:
            if choice == "s":
                readers = "scripts that run in this folder" if is_real else "with --arm_file, scripts"
                print(f"saved {work.save(path)}; {readers} take it")
                return
            steps[choice]()
        except (ValueError, OSError) as error:  # what was measured before is not lost
            print(f"not taken: {error}")
