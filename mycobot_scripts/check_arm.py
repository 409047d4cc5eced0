"""Check the arm, its gripper and its cameras, and say what is wrong and what to do about it.

    python3 mycobot_scripts/check_arm.py --cameras top=1,right_wrist=0
    python3 mycobot_scripts/check_arm.py --robot twin

looks first, and asks before it moves: to the start pose, a few degrees of joint 6, then to where the first
sequence picks, to see whether the cameras see the gripper there. Pictures and report.json go to check_arm/.
`--calibrate` shows and sets gripper mode, start pose, table height, the tip's offset and reference pictures,
in mycobot320.json. `--against` a dataset, a checkpoint or that file tells which cameras were moved, and how
to push them back.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from cameras import PlacementLimits, Reference
from common import cli, open_page, shown
from mycobot_scripts.checks import (
    Checker,
    Finding,
    Ghost,
    PlacementServer,
    arm_checks,
    calibrate,
    check_camera,
    check_placements,
    check_same,
    check_visibility,
    find_references,
    judged,
    summary,
    write,
)
from mycobot_scripts.demos import Motion, find_task
from mycobot_scripts.desk import open_person
from mycobot_scripts.kinematics import JOINTS, tool_point
from mycobot_scripts.robot import (
    BUSY,
    STOP_KEY,
    YES_NO,
    Camera,
    MyCobotRobot,
    Operator,
    Setup,
    add_robot_flags,
    cameras_text,
    close_servo,
    find_cameras,
    parse_cameras,
    read_setup,
    same_sources,
    start_twin,
    twin_flags,
)
from mycobot_scripts.safety import Guard, SafetyStop
from mycobot_scripts.wire import FIRMWARE, Servo, beyond_limits, clock
from tasks import Task

CHECKED = "to its start pose, a bit of joint 6, the gripper, to where it picks"
START_MISS = 1.0  # degrees off its start pose within which the arm counts as there
TWIN_TASK, REAL_TASK = "sim_mycobot320_move_cube_scripted", "mycobot320_move_cube"


@dataclass(frozen=True)
class CheckArmConfig(PlacementLimits):
    """Flags of this script."""

    task_name: str | None = cli.flag(None, f"task to be ready for; {REAL_TASK}, or its twin's, if not given")
    sequence: str = cli.flag("pickandmove", "waypoints; the arm picks where their gripper first closes")
    output_dir: str = cli.flag("check_arm", "folder for pictures and report")
    still: bool = cli.flag(False, "leave out whatever moves the arm")
    yes: bool = cli.flag(False, "move without asking")
    calibrate: bool = cli.flag(
        False, "show and set gripper mode, start pose, table height, tip, reference pictures"
    )
    against: str | None = cli.flag(
        None,
        "compare the cameras with the pictures that episodes begin with, and do nothing else: a dataset's "
        "folder, a run's, a checkpoint, or mycobot320.json",
    )
    view: bool = cli.flag(
        False,
        "with --against, a page that shows cameras and references while you push, until you press enter",
    )


def picking_pose(motion: Motion) -> np.ndarray:
    """The pose (7,) in which the gripper first closes."""
    grippers = np.array([pose.gripper for pose in motion.poses])
    closing = np.flatnonzero(np.diff(grippers) < 0)
    return motion.poses[int(closing[0]) if len(closing) else 0].qpos


def connect(port: str, guard: Guard, setup: Setup, checker: Checker) -> Servo | None:
    """Connect to the arm on a port and check its pose; None, with a finding, if there is no arm."""
    try:
        servo = Servo(port, guard, setup.servo).start()
    except (RuntimeError, OSError, ImportError) as error:
        what, _, advice = str(error).partition("; ")
        checker.add([Finding("port", "bad", what, advice)])
        return None
    degrees = np.degrees(servo.latest.qpos[:JOINTS])
    text = f"{servo.port}; the arm is at {' '.join(f'{angle:.2f}' for angle in degrees)} deg"
    wrong = beyond_limits(degrees)
    checker.add([judged("port", not wrong, f"{text}{wrong and '; '}{wrong}", FIRMWARE)])
    return servo


def connect_cameras(
    sources: dict[str, str], task: Task, checker: Checker, stack: contextlib.ExitStack
) -> dict[str, Camera]:
    """The cameras that give pictures."""
    cameras = {}
    for one, other in same_sources(sources):
        text = f"{one} and {other} are the same camera, {shown(sources[one])}"
        checker.add([Finding("cameras", "bad", text, f"give each name its own; {cameras_text()}")])
    for name, source in sources.items():
        camera = Camera(name, source)
        stack.callback(camera.close)
        try:
            cameras[name] = camera.wait()
        except RuntimeError as error:
            checker.add([Finding(f"camera {name}", "bad", str(error), cameras_text())])
    missing = [name for name in task.cameras if name not in sources]
    if missing:
        text = f"{task.name} sees with {', '.join(task.cameras)}; not given: {', '.join(missing)}"
        example = ",".join(f"{name}={source}" for name, source in zip(missing, _some_cameras(), strict=False))
        checker.add([Finding("cameras", "bad", text, f"--cameras {example}; {cameras_text()}")])
    return cameras


def _some_cameras() -> list[str]:
    return find_cameras() or ["0", "1", "2"]


def check_table(setup: Setup, pick: np.ndarray) -> Iterator[Finding]:
    """Where scripts believe the table and the tip to be."""
    limits = setup.limits
    height = float(tool_point(pick[:JOINTS], limits.tool_length)[2]) - limits.table_height
    table, length = 1000 * limits.table_height, 1000 * limits.tool_length
    text = (
        f"{table:.0f} mm above the arm's foot; the tip, {length:.0f} mm ahead of the flange, is "
        f"{1000 * height:.0f} mm above it where it picks"
    )
    is_measured = setup.arm.is_calibrated or setup.config.robot == "twin"  # the defaults are the twin's
    advice = "these are the defaults; check_arm.py --calibrate measures both"
    yield Finding("table, tip", "ok" if is_measured else "look", text, "" if is_measured else advice)
    if height < limits.clearance:
        advice = "the sequence goes through the table, or one of the two is wrong: --calibrate"
        yield Finding(
            "clearance", "bad", f"the tip must stay {1000 * limits.clearance:.0f} mm above it", advice
        )


def look(
    servo: Servo | None, cameras: dict[str, Camera], setup: Setup, fps: int, folder: Path, checker: Checker
) -> None:
    """All checks that do not move the arm."""
    for what, check in (
        ("firmware", lambda: arm_checks.check_firmware(servo)),
        ("joint limits", lambda: arm_checks.check_limits(servo)),
        ("servos", lambda: arm_checks.check_health(servo, setup.limits)),
        ("line", lambda: arm_checks.check_line(servo)),
    ):
        if servo is not None:
            checker.attempt(what, check)
    has_noise = setup.config.robot != "twin"
    for name, camera in cameras.items():
        checker.attempt(f"camera {name}", lambda camera=camera: check_camera(camera, fps, folder, has_noise))
    checker.attempt("cameras", lambda: check_same(cameras))


def move(
    robot: MyCobotRobot, pick: np.ndarray, cameras: dict[str, Camera], folder: Path, checker: Checker
) -> None:
    """All that move it: rates and gripper at the start pose, then whether cameras see it where it picks."""

    def start_pose() -> Iterator[Finding]:
        if robot.reset().last():
            raise SafetyStop(robot.stopped)
        yield Finding("start pose", "ok", "reached")

    def visibility() -> Iterator[Finding]:
        if robot.reset(start=np.append(pick[:JOINTS], arm_checks.OPEN)).last():
            raise SafetyStop(robot.stopped)
        yield from check_visibility(robot, cameras, folder)

    if not checker.attempt("start pose", start_pose):
        return
    for what, check in (
        ("motion", lambda: arm_checks.check_motion(robot)),
        ("gripper", lambda: arm_checks.check_gripper(robot)),
        ("gripper visible", visibility),
        ("start pose", start_pose),
    ):
        if (what != "gripper visible" or cameras) and not checker.attempt(what, check):
            return


def compare(
    robot: MyCobotRobot | None,
    cameras: dict[str, Camera],
    references: dict[str, Reference],
    config: CheckArmConfig,
    operator: Operator,
    checker: Checker,
) -> None:
    """Each camera against its reference: at the start pose, where the arm goes if it may and is elsewhere."""
    if robot is not None:
        off = np.degrees(np.abs(robot.servo.latest.qpos - robot.start)[:JOINTS].max())
        if off > START_MISS and checker.may_move and may_move(config, operator, "to its start pose"):
            with robot.interrupts_stop():
                robot.reset()
            off = np.degrees(np.abs(robot.servo.latest.qpos - robot.start)[:JOINTS].max())
        text = f"{off:.1f} degrees off it"
        advice = "references show the arm at its start pose; a camera on the arm shows something else here"
        checker.add([judged("start pose", off <= START_MISS, text, advice, "look")])
    if config.view:
        follow(cameras, references, config, operator)
    checker.attempt("cameras", lambda: check_placements(cameras, references, config))


def follow(
    cameras: dict[str, Camera], references: dict[str, Reference], config: CheckArmConfig, operator: Operator
) -> None:
    """Show the cameras beside their references until the person presses enter: on the person's page, or else
    in a browser.
    """
    both = [(name, camera) for name, camera in cameras.items() if name in references]
    ghosts = {name: Ghost(name, camera, references[name], config) for name, camera in both}
    keys = operator.keys
    if keys.see({f"{name} against its reference": ghost.look for name, ghost in ghosts.items()}):
        keys.show(status=lambda: "; ".join(f"{name}: {ghost.text}" for name, ghost in ghosts.items()))
        keys.ask("push the cameras until they stand well; then press enter", {"enter": True})
        keys.show(status=None)
        return
    server = PlacementServer(ghosts)
    try:
        open_page(server.address)
        keys.ask(f"push the cameras, as {server.address} shows; then press enter", {"enter": True})
    finally:
        server.close()


def may_move(config: CheckArmConfig, operator: Operator, where: str = CHECKED) -> bool:
    """Whether the person lets the arm move."""
    if config.still:
        return False
    question = f"The arm is going to move: {where}. Is its way clear? [y/n]"
    return config.yes or operator.keys.ask(question, YES_NO)


def run(setup: Setup, config: CheckArmConfig, task: Task, operator: Operator) -> list[Finding]:
    """All checks, or the calibration."""
    is_twin = setup.config.robot == "twin"
    pick = picking_pose(Motion.load(config.sequence))
    folder, checker = Path(config.output_dir), Checker(is_twin, operator.show)
    references = {} if config.against is None else find_references(config.against)
    with contextlib.ExitStack() as stack:
        port, sources = setup.config.port, parse_cameras(setup.config.cameras)
        if is_twin:
            stack.enter_context(clock.slowed(setup.config.pace))
            twin = stack.enter_context(start_twin(task.name, **twin_flags(setup.config)))
            port, sources = twin.port, {name: twin.cameras[name] for name in task.cameras}
        guard = Guard(setup.limits)
        guard.when_late = BUSY if is_twin else guard.when_late
        is_alone = bool(references) and config.still  # cameras only: no arm is needed
        servo = None if is_alone else connect(port, guard, setup, checker)
        if servo is not None:
            stack.callback(close_servo, servo, operator, setup.config.release)
        if config.calibrate:
            if servo is not None:
                robot = MyCobotRobot(replace(task, cameras=()), servo, {}, setup.arm.home, operator)
                operator.keys.meet(robot)
                calibrate(servo, operator, setup, sources)
            return checker.findings
        task = replace(task, cameras=tuple(references) or task.cameras)
        cameras = connect_cameras(sources, task, checker, stack)
        seeing = replace(task, cameras=tuple(cameras))  # those that work
        robot = servo and MyCobotRobot(seeing, servo, cameras, setup.arm.home, operator)
        if robot is None:
            operator.keys.see({name: camera.look for name, camera in cameras.items()})
        else:
            operator.keys.meet(robot)
            operator.show(keys=STOP_KEY)
        if references:
            compare(robot, cameras, references, config, operator, checker)
            print(summary(checker.findings))
            return checker.findings
        look(servo, cameras, setup, task.fps, folder, checker)
        checker.add(check_table(setup, pick))
        if robot is not None and checker.may_move and may_move(config, operator):
            with robot.interrupts_stop():
                move(robot, pick, cameras, folder, checker)
    write(folder / "report.json", checker.findings)
    print(f"{summary(checker.findings)}; {folder / 'report.json'}")
    return checker.findings


def parse_flags(argv: Sequence[str] | None = None) -> tuple[CheckArmConfig, Setup]:
    """This script's flags, and those of the arm."""
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, CheckArmConfig)
    add_robot_flags(parser)
    setup = read_setup(parser, argv)
    return cli.from_flags(CheckArmConfig, setup.args), setup


def main(argv: Sequence[str] | None = None) -> None:
    config, setup = parse_flags(argv)
    if config.view and config.against is None:
        raise ValueError("--view shows cameras beside references; give --against too")
    task = find_task(config.task_name or (TWIN_TASK if setup.config.robot == "twin" else REAL_TASK), setup)
    with open_person(setup, "check_arm", task.name) as keys:
        findings = run(setup, config, task, Operator(keys))
    if any(finding.level == "bad" for finding in findings):
        raise SystemExit(1)


if __name__ == "__main__":
    cli.run(main)
