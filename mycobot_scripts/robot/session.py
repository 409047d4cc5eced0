"""An arm, or its twin, made ready from a script's flags: port, cameras, limits, and who may stop it.

parser = cli.make_parser(__doc__)
add_robot_flags(parser)
setup = read_setup(parser)                    # the arm's own file gives defaults
with open_keys() as keys, open_session(setup, task, keys) as session:
    step = session.robot.reset()
"""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common import check_file, cli, masked, tcp_address
from constants import MYCOBOT, TASKS, Stream, is_mycobot
from episodes import is_plain
from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.robot.arm_file import DEFAULT_PATH, ArmFile
from mycobot_scripts.robot.cameras import Camera, cameras_text, close_cameras, open_cameras
from mycobot_scripts.robot.operator import SIDES, Jog, Keys, Operator, TerminalPad, axes_from
from mycobot_scripts.robot.robot import MyCobotRobot
from mycobot_scripts.robot.twin_client import TwinHandle, drift_flag, room_flag, start_twin
from mycobot_scripts.robot.twin_scene import TwinScene, axes_in_picture
from mycobot_scripts.safety import Guard, Limits
from mycobot_scripts.wire import FIRMWARE, SLOWEST, Servo, ServoConfig, beyond_limits, clock
from tasks import Task
from teleop import Device, Retarget, TeleopConfig, open_device

ROBOTS = ("mycobot320", "twin")
BUSY = (
    "this computer is too busy for the twin: end other programs, close its page in the browser, or slow it "
    "down by --pace 0.5"
)


@dataclass(frozen=True)
class RobotConfig:
    """Which arm, and how a person controls it."""

    robot: str = cli.flag(
        "mycobot320", "the real arm, or its twin, a simulation that is started for you", ROBOTS
    )
    port: str = cli.flag("auto", "serial port of the arm, or socket://HOST:PORT; auto looks for it")
    cameras: str | None = cli.flag(
        None, "cameras by name: numbers, paths or URLs, e.g. top=1,right_wrist=/dev/v4l/by-id/NAME"
    )
    arm_file: str | None = cli.flag(
        None,
        f"the arm's own values (check_arm.py --calibrate); {DEFAULT_PATH}, if there is one, if not given",
    )
    seen_from: str | None = cli.flag(
        None,
        "side from which you see the arm when you drive it by keys; behind it if not given, and the twin as "
        "its first camera sees it",
        tuple(SIDES),
    )
    pace: float = cli.flag(
        1.0,
        "0.5 is slow motion of the twin, half as fast as real time, for a computer that is too slow",
        least=SLOWEST,
        most=1.0,
    )
    move_camera: dict[str, tuple[float, float, float, float, float, float]] | None = cli.flag(
        None,
        "cameras of the twin that were moved, each by mm to the right, up and back, and degrees about these "
        "axes, e.g. top=5,0,0,0,0,1",
        least=-500,
        most=500,
    )
    move_after: float = cli.flag(
        0.0, "seconds from a camera's first picture until it is moved so, as by a bump", least=0
    )
    room: int | None = room_flag()
    drift: bool = drift_flag()
    confirm: bool = cli.flag(False, "ask before the first motion")
    release: bool = cli.flag(False, "let go of the arm at the end, after asking you to hold it")
    desk: str | None = cli.flag(
        None,
        "serve pages instead of asking in the terminal; this file then tells where (the cockpit reads it)",
    )
    unattended: bool = cli.flag(
        False, "with --desk, go on when no page is heard; else the arm stops after half a second"
    )


@dataclass(frozen=True)
class Setup:
    """Everything that the flags say about the arm."""

    config: RobotConfig
    limits: Limits
    servo: ServoConfig
    arm: ArmFile
    args: argparse.Namespace  # all flags of the script
    teleop: TeleopConfig = TeleopConfig()  # of scripts in which a person drives


def add_robot_flags(parser: argparse.ArgumentParser, is_driven: bool = False) -> None:
    """Flags of the arm, of its servo loop, of its limits, and of what a person drives it with."""
    cli.add_flags(parser, RobotConfig, "the arm")
    if is_driven:
        cli.add_flags(parser, TeleopConfig)
    cli.add_flags(parser, ServoConfig, "talking to the arm")
    cli.add_flags(parser, Limits, "safety: what the arm may do")


def read_setup(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> Setup:
    """Parse a command line; the arm's own file gives the defaults."""
    first, _ = parser.parse_known_args(argv)
    cli.from_flags(RobotConfig, first)
    is_real = first.robot == "mycobot320"  # the file describes the real arm's desk
    arm = ArmFile.load(first.arm_file) if is_real or first.arm_file else ArmFile()
    parser.set_defaults(**arm.flags())
    args = parser.parse_args(argv)
    configs = (RobotConfig, Limits, ServoConfig)
    config, limits, servo = (cli.from_flags(config, args) for config in configs)
    if config.pace != 1 and config.robot != "twin":
        raise ValueError(f"--pace is {config.pace}; the real arm has no slow motion, --robot twin has")
    if config.move_camera and config.robot != "twin":
        raise ValueError("--move_camera moves the twin's cameras; give --robot twin, or move yours by hand")
    for name in ("room", "drift"):
        if getattr(config, name) not in (None, False) and config.robot != "twin":
            raise ValueError(f"--{name} is for --robot twin; the real arm stands in a room of its own")
    if config.unattended and config.desk is None:
        raise ValueError("--unattended goes with --desk, which asks pages; a terminal is never lost")
    if config.desk is not None and not Path(config.desk).absolute().parent.is_dir():
        raise ValueError(f"--desk is {config.desk}; its folder is not there")
    if config.desk is not None:
        check_file(config.desk, "desk", ".json")
    tcp_address(config.port)
    parse_cameras(config.cameras)  # refused before anything is written or opened
    is_driven = hasattr(args, "teleop_scale")
    return Setup(
        *(config, limits, servo, arm, args),
        cli.from_flags(TeleopConfig, args) if is_driven else TeleopConfig(),
    )


def twin_flags(config: RobotConfig) -> dict[str, Any]:
    """What `start_twin` is told of the flags."""
    names = ("pace", "move_camera", "move_after", "room", "drift")
    return {name: getattr(config, name) for name in names}


def parse_cameras(text: str | None) -> dict[str, str]:
    """`top=1,right_wrist=0` as a dict; ValueError for any other form."""
    sources: dict[str, str] = {}
    for word in re.split(r",(?=\w+=)", text) if text else ():
        name, equals, source = word.partition("=")
        if not (equals and name and source):
            raise ValueError(
                f"--cameras has {masked(word)!r}; it takes name=source, e.g. top=1,right_wrist=0"
            )
        if name in sources:
            raise ValueError(f"--cameras names {name} twice")
        if not is_plain(name):
            raise ValueError(
                f"--cameras has the name {name!r}; it must be plain, without '/', e.g. right_wrist"
            )
        sources[name] = source
    return sources


def tasks_of(robot: str) -> list[str]:
    """Names of the tasks of constants.py that the arm, or its twin, can do."""
    is_twin = robot == "twin"
    return [t.name for t in TASKS.values() if is_mycobot(t) and (t.scene is not None) == is_twin]


def check_task(task: Task, robot: str) -> None:
    """ValueError unless the arm, or its twin, can do a task."""
    is_twin = robot == "twin"
    if not is_mycobot(task) or (task.scene is not None) != is_twin:
        what = "the twin plays" if is_twin else "the real arm does"
        also = "" if is_twin else ", and tasks of your own by any other name"
        raise ValueError(f"--task_name is {task.name}; {what} {', '.join(tasks_of(robot))}{also}")


def camera_sources(setup: Setup, task: Task) -> dict[str, str]:
    """Sources of the task's cameras; ValueError, with the cameras there are, if one is missing."""
    sources = parse_cameras(setup.config.cameras)
    missing = [name for name in task.cameras if name not in sources]
    if missing:
        example = ",".join(f"{name}={i}" for i, name in enumerate(task.cameras))
        raise ValueError(
            f"--cameras lacks {', '.join(missing)}; give all that {task.name} sees with, e.g. --cameras "
            f"{example}; {cameras_text()}"
        )
    return {name: sources[name] for name in task.cameras}


@dataclass
class Session:
    """An arm that is ready, and its operator."""

    setup: Setup
    robot: MyCobotRobot
    operator: Operator
    twin: TwinHandle | None = None
    scene: TwinScene | None = None
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)  # what ends with the session

    @property
    def task(self) -> Task:
        return self.robot.task

    @property
    def servo(self) -> Servo:
        return self.robot.servo

    @property
    def keys(self) -> Keys:
        return self.operator.keys

    @property
    def is_twin(self) -> bool:
        return self.twin is not None

    def jog(self) -> Jog:
        """Drives the tool by keys, in directions as the person sees the arm."""
        side = self.setup.config.seen_from
        is_pictured = side is None and self.is_twin
        axes = axes_in_picture(self.task) if is_pictured else axes_from(side or "behind")
        limits, bottom = self.setup.limits, self.setup.limits.table_height
        low = np.array([limits.box_x[0], limits.box_y[0], bottom + limits.clearance])
        high = np.array([limits.box_x[1], limits.box_y[1], bottom + limits.max_height])
        retarget = Retarget(self.setup.teleop.teleop_scale, axes, (low, high))
        return Jog("tool", limits.tool_length, axes, retarget)

    def device(self, name: str) -> Device:
        """What the person drives with (`teleop.DEVICES`), the keys beside it; closed with the session."""
        device = open_device(name, TerminalPad(self.keys), self.setup.teleop)
        self.closing.callback(device.close)
        return device


@contextlib.contextmanager
def open_session(
    setup: Setup,
    task: Task,
    keys: Keys,
    action_range: tuple[np.ndarray, np.ndarray] | None = None,
    randomize: bool = False,
) -> Iterator[Session]:
    """Start the twin if it is asked for, open port and cameras; in the end the arm holds its pose.

    With `randomize`, the twin's resets can change how its scene looks.

    `q` stops whatever `Session.robot` does; so do actions far outside the `action_range`, if it is given.
    """
    check_task(task, setup.config.robot)
    operator = Operator(keys, asks_first=setup.config.confirm)
    with contextlib.ExitStack() as stack:
        pace = setup.config.pace
        stack.enter_context(clock.slowed(pace))
        twin = scene = None
        if setup.config.robot == "twin":
            slow = "" if pace == 1 else f", in slow motion (pace {pace:g})"
            print(f"starting the twin of {task.name}{slow}", flush=True)
            twin = stack.enter_context(start_twin(task.name, **twin_flags(setup.config), randomize=randomize))
            print(f"look at it: {twin.page} in a browser", flush=True)
            port, sources = twin.port, {name: twin.cameras[name] for name in task.cameras}
            scene, there = TwinScene(twin, task), twin.cameras
            stack.callback(scene.close)
        else:
            port, sources = setup.config.port, camera_sources(setup, task)
            there = parse_cameras(setup.config.cameras)
        cameras = open_cameras(sources)
        stack.callback(close_cameras, cameras)
        guard = Guard(setup.limits, action_range)
        guard.when_late = BUSY if twin else guard.when_late
        servo = Servo(port, guard, setup.servo).start()
        stack.callback(close_servo, servo, operator, setup.config.release)
        degrees = np.degrees(servo.latest.qpos[:JOINTS])
        if wrong := beyond_limits(degrees):
            raise RuntimeError(f"the arm says that it is at {degrees.round(2).tolist()}; {wrong}; {FIRMWARE}")
        robot = MyCobotRobot(task, servo, cameras, setup.arm.home, operator, scene)
        if scene is not None:
            keys.show(reward=lambda: [scene.state["reward"], scene.state["max_reward"]])
        if setup.config.desk is not None:
            _show_others(keys, {name: there[name] for name in there if name not in sources}, stack)
        keys.meet(robot)
        yield Session(setup, robot, operator, twin, scene, stack)


def _show_others(keys: Keys, sources: dict[str, str], stack: contextlib.ExitStack) -> None:
    """Show cameras that the task does not see with; one that gives no picture stops nothing."""
    cameras = {name: Camera(name, source) for name, source in sources.items()}
    stack.callback(close_cameras, cameras)
    keys.see({name: camera.look for name, camera in cameras.items()})


def close_servo(servo: Servo, operator: Operator, release: bool) -> None:
    """Leave the arm holding its pose, or released, if that was asked for and somebody holds it."""
    try:
        release = release and servo.error is None and operator.holds_it("")
    except (RuntimeError, KeyboardInterrupt) as error:
        release = False
        print(f"the servos stay on ({error or 'Ctrl-C'})")
    servo.close(release)
    print(f"in all: {servo.stats.text()}")
    if servo.error is not None:
        print(f"the arm goes no further than its last command: {servo.error}")
    else:
        print("the servos are released" if release else "the arm holds its pose")


def start_rng(seed: int, episode: int) -> np.random.Generator:
    """Random numbers for the start of a recorded episode, on the twin as in simulation."""
    return np.random.default_rng([seed, Stream.RECORD, episode])


def as_recorded(
    task: Task, is_twin: bool, style: str = "script", disturb: Sequence[str] | None = None
) -> dict[str, object]:
    """Facts that a recorded episode's file holds (`demos.Recording`).

    Args:
        task: what was done.
        is_twin: whether the twin did it.
        style: how the arm was moved: as a script, a person or a policy does it.
        disturb: words of `--disturb`.
    """
    of_twin = {"render_quality": "fast", "pace": clock.pace()} if is_twin else {}
    fps = max(1, round(task.fps))  # a run's may be a fraction; a file holds whole steps
    words = " ".join(disturb or ())
    return {
        "task": task.name,
        "fps": fps,
        "sim": is_twin,
        "robot": MYCOBOT.name,
        "style": style,
        "disturbed": words,
        **of_twin,
    }
