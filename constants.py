"""Facts: what a task is, and the registry of all tasks. Standard library only.

A `Task` carries everything that tells one task from another; every other file only reads it. To add a task,
add one entry to `TASKS` (and its scene to `assets/`).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

IMAGE_SIZE = (480, 640)  # height, width (pixels) of every recorded frame
JPEG_QUALITY = 90


class Stream(IntEnum):
    """Purposes of random streams, `default_rng([seed, purpose, i])`: no two purposes share one."""

    RECORD = 0
    TRAIN = 1
    EVALUATE = 2


@dataclass(frozen=True)
class Arm:
    """A robot arm. Its state and action: joint angles (rad), then the gripper in [0 closed, 1 open]."""

    name: str  # prefix of its joints, geoms and actuators; also the frame of the scene it is attached to
    model: str  # a stem in assets/
    label: str  # in plots and camera names
    joints: tuple[str, ...]
    start: tuple[float, ...]  # rad
    fingers: tuple[tuple[str, float], ...]  # finger joint and its sign: position = sign * opening
    opening: tuple[float, float]  # finger travel (m) when closed and when open
    start_opening: float  # finger travel (m) at the start of an episode
    posture: tuple[tuple[str, float], ...] = ()  # joints and angles (rad) that inverse kinematics keeps near

    @property
    def dim(self) -> int:
        """Numbers that describe its state, and its action."""
        return len(self.joints) + 1

    def geom(self, name: str) -> str:
        """Full name of one of its geoms."""
        return f"{self.name}/{name}"


@dataclass(frozen=True)
class Prop:
    """A free body, and the box (m, world frame) that its start position is drawn from, uniformly."""

    name: str  # of its body's geom; the free joint is called <name>_joint
    low: tuple[float, float, float]
    high: tuple[float, float, float]


Pair = tuple[str, str]  # two geoms that may touch each other


@dataclass(frozen=True)
class Stage:
    """Holds when every pair of `touch` is in contact and no pair of `clear` is."""

    label: str
    touch: tuple[Pair, ...]
    clear: tuple[Pair, ...] = ()


@dataclass(frozen=True)
class Waypoint:
    """Where an arm's grip point is to be at a control step; in between, motion is interpolated."""

    arm: str  # the arm's label
    step: int
    at: str  # what `xyz` is an offset from: "start" (grip point at reset), "world", or a prop (its start)
    xyz: tuple[float, float, float]  # m, along the world's axes
    gripper: float  # 0 closed, 1 open
    turn: tuple[str, float] = ("x", 0.0)  # world axis and angle (degrees) from the arm's zero orientation


@dataclass(frozen=True)
class Task:
    """All that tells one task from another."""

    name: str
    episode_len: int  # control steps
    cameras: tuple[str, ...]  # recorded by default
    arms: tuple[Arm, ...]  # left first
    scene: str | None = None  # a stem in assets/; None on the real arm
    props: tuple[Prop, ...] = ()
    stages: tuple[Stage, ...] = ()  # reward = number of the highest stage that holds
    script: tuple[Waypoint, ...] = ()
    fps: int = 50  # control steps a second

    @property
    def dim(self) -> int:
        """Length of `qpos` and of an action."""
        return sum(arm.dim for arm in self.arms)

    @property
    def max_reward(self) -> int:
        return len(self.stages)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Name of each entry of `qpos` and of an action."""
        return tuple(f"{arm.label}_{joint}" for arm in self.arms for joint in (*arm.joints, "gripper"))


def _viperx(label: str) -> Arm:
    """A ViperX 300 as ALOHA sets it up (ACT: constants.py; finger travel and start pose)."""
    return Arm(
        name=f"vx300s_{label}",
        model="vx300s",
        label=label,
        joints=("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"),
        start=(0.0, -0.96, 1.16, 0.0, -0.3, 0.0),
        fingers=(("left_finger", 1.0), ("right_finger", -1.0)),
        opening=(0.01844, 0.05800),
        start_opening=0.02239,
        posture=(("forearm_roll", 0.0),),
    )


LEFT, RIGHT = _viperx("left"), _viperx("right")
RED_BOX = Prop("red_box", low=(0.0, 0.4, 0.05), high=(0.2, 0.6, 0.05))

_left_grasp = ("red_box", LEFT.geom("10_left_gripper_finger"))
_right_grasp = ("red_box", RIGHT.geom("10_right_gripper_finger"))
_on_table = ("red_box", "table")

_TRANSFER_STAGES = (
    Stage("touched", touch=(_right_grasp,)),
    Stage("lifted", touch=(_right_grasp,), clear=(_on_table,)),
    Stage("handed over", touch=(_left_grasp,)),
    Stage("transferred", touch=(_left_grasp,), clear=(_on_table,)),
)


def _transfer_script() -> tuple[Waypoint, ...]:
    """ACT's hand-over (scripted_policy.py): the right arm picks the cube up, the left takes it in mid-air."""
    pick, face = ("y", -60.0), ("x", 90.0)  # reach down at 60 degrees; turn the receiving gripper on its side
    meet = (0.0, 0.5, 0.25)

    def offset(x: float, y: float, z: float) -> tuple[float, float, float]:
        return (meet[0] + x, meet[1] + y, meet[2] + z)

    return (
        Waypoint("right", 0, "start", (0, 0, 0), gripper=0),
        Waypoint("right", 90, "red_box", (0, 0, 0.08), gripper=1, turn=pick),
        Waypoint("right", 130, "red_box", (0, 0, -0.015), gripper=1, turn=pick),
        Waypoint("right", 170, "red_box", (0, 0, -0.015), gripper=0, turn=pick),
        Waypoint("right", 200, "world", offset(0.05, 0, 0), gripper=0, turn=pick),
        Waypoint("right", 220, "world", meet, gripper=0, turn=pick),
        Waypoint("right", 310, "world", meet, gripper=1, turn=pick),
        Waypoint("right", 360, "world", offset(0.1, 0, 0), gripper=1, turn=pick),
        Waypoint("right", 400, "world", offset(0.1, 0, 0), gripper=1, turn=pick),
        Waypoint("left", 0, "start", (0, 0, 0), gripper=0),
        Waypoint("left", 100, "world", offset(-0.1, 0, -0.02), gripper=1, turn=face),
        Waypoint("left", 260, "world", offset(0.02, 0, -0.02), gripper=1, turn=face),
        Waypoint("left", 310, "world", offset(0.02, 0, -0.02), gripper=0, turn=face),
        Waypoint("left", 360, "world", offset(-0.1, 0, -0.02), gripper=0),
        Waypoint("left", 400, "world", offset(-0.1, 0, -0.02), gripper=0),
    )


_ALL = (
    Task(
        name="sim_transfer_cube_scripted",
        episode_len=400,
        cameras=("top",),
        arms=(LEFT, RIGHT),
        scene="transfer_cube",
        props=(RED_BOX,),
        stages=_TRANSFER_STAGES,
        script=_transfer_script(),
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _ALL}


def choose(kind: str, name: str, valid: Iterable[str]) -> str:
    """`name`, if it is one of `valid`; otherwise ValueError with the nearest match and the choices."""
    valid = list(valid)
    if name in valid:
        return name
    near = difflib.get_close_matches(name, valid, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {kind} {name!r}; {hint}choose from {', '.join(valid)}")


def get_task(name: str) -> Task:
    """Look a task up by name; ValueError names the nearest match and all choices."""
    return TASKS[choose("task", name, TASKS)]


def data_dir(task_name: str) -> Path:
    """Where a task's episodes live unless `--dataset_dir` is given: `$ACT_DATA_DIR` or `./data`."""
    return Path(os.environ.get("ACT_DATA_DIR", "data")) / task_name
