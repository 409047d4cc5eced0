"""What a task is made of: arms, props, stages of success, scripts. Standard library only.

A `Task` carries everything that tells one task from another; every other file only reads it. The tasks
themselves are in constants.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Arm:
    """A robot arm. Its state and action: joint angles (rad), then the gripper in [0 closed, 1 open]."""

    name: str  # prefix of its joints, geoms and actuators; also the frame of the scene it is attached to
    model: str  # a stem in assets/
    label: str  # in plots and camera names
    joints: tuple[str, ...]
    start: tuple[float, ...]  # rad
    fingers: tuple[tuple[str, float], ...]  # finger joint and its sign: position = sign * opening
    opening: tuple[float, float]  # finger travel (m, or rad where fingers turn) when closed and when open
    start_opening: float  # finger travel (m or rad) at the start of an episode
    delay: float = 0.0  # s from a command until the arm begins to follow it
    time_constant: float | None = None  # s, of its approach to a target; None: as its model's gains have it
    max_speed: float | None = None  # rad/s, of a joint that has a time constant
    reports_command: bool = False  # its gripper cannot be read: the state holds the last command instead
    posture: tuple[tuple[str, float], ...] = ()  # joints and angles (rad) that inverse kinematics keeps near
    joint_labels: tuple[str, ...] = ()  # of its joints, for people; their names if not given
    mirror: tuple[int, ...] = ()  # signs of its state in a mirror; () if no such arm is its mirror image

    @property
    def dim(self) -> int:
        """Numbers that describe its state, and its action."""
        return len(self.joints) + 1

    @property
    def entries(self) -> tuple[str, ...]:
        """What the entries of its state are called."""
        return (*(self.joint_labels or self.joints), "gripper")

    @property
    def actuators(self) -> tuple[str, ...]:
        """Joints that are driven, each by an actuator of its name: the arm's, then the fingers'."""
        return (*self.joints, *(finger for finger, _ in self.fingers))

    def geom(self, name: str) -> str:
        """Full name of one of its geoms."""
        return f"{self.name}/{name}"


@dataclass(frozen=True)
class Prop:
    """A free body, and the box (m, world frame) that its start position is drawn from, uniformly."""

    name: str  # its free joint is called <name>_joint
    low: tuple[float, float, float]
    high: tuple[float, float, float]


Pair = tuple[str, str]  # two geoms that may touch each other; `socket-*` stands for any of those geoms


@dataclass(frozen=True)
class Stage:
    """Holds when every pair of `touch` is in contact and no pair of `clear` is."""

    label: str
    touch: tuple[Pair, ...] = ()
    clear: tuple[Pair, ...] = ()
    after: int = 0  # control steps of this episode, in all, for which `clear` must have been clear
    otherwise: Stage | None = None  # it holds as well when this one does

    @property
    def ways(self) -> tuple[Stage, ...]:
        """This stage and those that may hold in its place, each for itself."""
        others = self.otherwise.ways if self.otherwise else ()
        return (replace(self, otherwise=None), *others)


@dataclass(frozen=True)
class Waypoint:
    """Where an arm's grip point is to be at a control step; in between, motion is interpolated."""

    arm: str  # the arm's label
    step: int
    at: str  # what `xyz` is an offset from: "start" (start pose's grip point), "world", or a prop (its start)
    xyz: tuple[float, float, float]  # m, along the world's axes
    gripper: float  # 0 closed, 1 open
    # From the zero orientation: world axis and angle (degrees), and more such pairs, one after the other.
    turn: tuple[str | float, ...] = ("x", 0.0)


@dataclass(frozen=True)
class Case:
    """One kind of episode of a task that has several: what is different in it."""

    label: str
    props: tuple[Prop, ...] = ()  # those that start elsewhere than the task says
    script: tuple[Waypoint, ...] = ()  # in place of the task's, if there is one


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
    strict: Stage | None = None  # strict success: this and the last stage hold, `strict_steps` running
    strict_steps: int = 10
    script: tuple[Waypoint, ...] = ()
    fps: int = 50  # control steps a second
    cases: tuple[Case, ...] = ()  # kinds of episode, all as likely; () if they are all of one kind
    choices: tuple[Stage, ...] = ()  # what an episode may end in, right or wrong; at most one of them holds

    @property
    def dim(self) -> int:
        """Length of `qpos` and of an action."""
        return sum(arm.dim for arm in self.arms)

    @property
    def max_reward(self) -> int:
        return len(self.stages)

    @property
    def strict_label(self) -> str:
        """What strict success means, in words."""
        return f"{self.strict.label} for {self.strict_steps} steps running" if self.strict else ""

    @property
    def variants(self) -> tuple[Task, ...]:
        """Each case as a task of its own; a task without cases is its only variant."""
        return tuple(map(self._variant, self.cases)) or (self,)

    def _variant(self, case: Case) -> Task:
        own = {prop.name: prop for prop in case.props}
        props = tuple(own.get(prop.name, prop) for prop in self.props)
        return replace(self, props=props, script=case.script or self.script, cases=())

    def case_number(self, episode: int) -> int:
        """The case of an episode, by its number: the cases take turns, so that each has its exact share."""
        return episode % len(self.variants)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Name of each entry of `qpos` and of an action."""
        return tuple(f"{arm.label}_{joint}" for arm in self.arms for joint in arm.entries)


_SWAP = {"left": "right", "right": "left"}


def swapped(name: str) -> str:
    """`name` with left and right exchanged."""
    return re.sub("left|right", lambda found: _SWAP[found[0]], name)


def _swapped_stage(stage: Stage) -> Stage:
    touch = tuple((swapped(one), swapped(other)) for one, other in stage.touch)
    clear = tuple((swapped(one), swapped(other)) for one, other in stage.clear)
    otherwise = stage.otherwise and _swapped_stage(stage.otherwise)
    return replace(stage, touch=touch, clear=clear, otherwise=otherwise)


def _mirrored_turn(turn: tuple[str | float, ...]) -> tuple[str | float, ...]:
    pairs = zip(turn[::2], turn[1::2], strict=True)
    return tuple(entry for axis, degrees in pairs for entry in (axis, degrees if axis == "x" else -degrees))


def _mirrored_props(props: tuple[Prop, ...]) -> tuple[Prop, ...]:
    return tuple(
        replace(prop, low=(-prop.high[0], *prop.low[1:]), high=(-prop.low[0], *prop.high[1:]))
        for prop in props
    )


def _mirrored_script(script: tuple[Waypoint, ...]) -> tuple[Waypoint, ...]:
    return tuple(
        replace(
            point,
            arm=swapped(point.arm),
            xyz=(-point.xyz[0], *point.xyz[1:]),
            turn=_mirrored_turn(point.turn),
        )
        for point in script
    )


def mirrored(task: Task, name: str) -> Task:
    """A two-armed task seen in a mirror at the plane x = 0: left and right swap their parts.

    An episode of `task` becomes one of this task when its arms are swapped and every joint that swings or
    rolls an arm sideways (waist, forearm_roll, wrist_rotate) changes its sign, as in ACT++'s mirrored files.
    """
    return replace(
        task,
        name=name,
        props=_mirrored_props(task.props),
        script=_mirrored_script(task.script),
        stages=tuple(map(_swapped_stage, task.stages)),
        strict=task.strict and _swapped_stage(task.strict),
        cases=tuple(
            replace(case, props=_mirrored_props(case.props), script=_mirrored_script(case.script))
            for case in task.cases
        ),
        choices=tuple(map(_swapped_stage, task.choices)),
    )
