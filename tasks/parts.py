"""The parts of a task: arms, props, stages of success, waypoints, cases. Data only."""

from __future__ import annotations

from dataclasses import dataclass, replace

GRIPPER = "0 closed, 1 open"  # unit of a gripper


@dataclass(frozen=True)
class Entry:
    """One number of a state or an action."""

    name: str
    label: str  # for people, within its group
    group: str  # its arm, for example
    unit: str
    is_gripper: bool = False

    @property
    def span(self) -> tuple[float, float] | None:
        """Its range, where that is known."""
        return (0.0, 1.0) if self.unit == GRIPPER else None


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
    time_constant: float | None = None  # s, of its approach to a target; None: by its model's gains
    max_speed: float | None = None  # rad/s, of a joint that has a time constant
    reports_command: bool = False  # its gripper cannot be read: the state holds the last command instead
    posture: tuple[tuple[str, float], ...] = ()  # joints and angles (rad) that inverse kinematics keeps near
    joint_labels: tuple[str, ...] = ()  # names of its joints for people; () for their own
    closing: tuple[float, float, float] = (0, 1, 0)  # axis that its fingers close along, all joints at zero
    mirror: tuple[int, ...] = ()  # signs of its state in a mirror; () if no arm is its mirror image

    @property
    def dim(self) -> int:
        """Numbers that describe its state, and its action."""
        return len(self.joints) + 1

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of its state."""
        group = f"{self.label} arm"
        joints = (
            Entry(f"{self.label}_{joint}", joint.replace("_", " "), group, "rad")
            for joint in self.joint_labels or self.joints
        )
        return (*joints, Entry(f"{self.label}_gripper", "gripper", group, GRIPPER, is_gripper=True))

    @property
    def start_state(self) -> tuple[float, ...]:
        """Its state at the start of an episode."""
        return (*self.start, self.gripper_at(self.start_opening))

    @property
    def travel(self) -> float:
        """How far (m or rad) its fingers go from closed to open."""
        closed, opened = self.opening
        return opened - closed

    def travel_at(self, gripper: float) -> float:
        """Where its fingers are (m or rad) at a gripper in [0, 1]; values beyond are clipped."""
        return self.opening[0] + min(max(float(gripper), 0.0), 1.0) * self.travel

    def gripper_at(self, travel: float) -> float:
        """How far its gripper is open, in [0, 1], where its fingers are at `travel` (m or rad)."""
        return (travel - self.opening[0]) / self.travel

    @property
    def actuators(self) -> tuple[str, ...]:
        """Driven joints, each with an actuator of the same name: the arm's, then the fingers'."""
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
    yaw: tuple[float, float] = (0.0, 0.0)  # degrees about the vertical; its turn is drawn from this range


Pair = tuple[str, str]  # two geoms that may touch each other; `socket-*` stands for any geom of that pattern

# A prop, a place, and the greatest distance (m) between their middles. A place is a point (x, y, z) in the
# world; (x, y), if height does not count; or the name of another prop, or of a geom, a site or a body.
Near = tuple[str, str | tuple[float, ...], float]


@dataclass(frozen=True)
class Stage:
    """Holds when every pair of `touch` is in contact, no pair of `clear` is, and all of `near` holds."""

    label: str
    touch: tuple[Pair, ...] = ()
    clear: tuple[Pair, ...] = ()
    near: Near | tuple[Near, ...] = ()  # one, or several that must all hold
    after: int = 0  # control steps of this episode, in total, in which `clear` must have held
    otherwise: Stage | None = None  # this stage holds too when that one does

    @property
    def ways(self) -> tuple[Stage, ...]:
        """This stage and its alternatives, each without the others."""
        alternatives = self.otherwise.ways if self.otherwise else ()
        return (replace(self, otherwise=None), *alternatives)

    @property
    def nears(self) -> tuple[Near, ...]:
        """All of `near` as a tuple; of this stage only, not its alternatives."""
        return (self.near,) if self.near and isinstance(self.near[0], str) else self.near


@dataclass(frozen=True)
class Waypoint:
    """Where an arm's grip point should be at a control step; the steps between are interpolated."""

    arm: str  # the arm's label
    step: int
    # Origin of `xyz`: "start" (the start pose's grip point), "world", or a prop (its start); or one of these
    # for each axis: ("world", "cube", "cube") is a fixed x, and the cube's y and z.
    at: str | tuple[str, str, str]
    xyz: tuple[float, float, float]  # m, along the world's axes
    gripper: float  # 0 closed, 1 open
    # From the zero orientation: world axis and angle (degrees), and further pairs, applied in turn.
    turn: tuple[str | float, ...] = ("x", 0.0)
    turn_with: str = ""  # a prop whose turn at its start (about the vertical) the gripper follows

    @property
    def anchors(self) -> tuple[str, str, str]:
        """The origin of each of x, y and z."""
        return (self.at,) * 3 if isinstance(self.at, str) else self.at

    @property
    def at_start(self) -> bool:
        """Whether all of it is an offset from the start pose."""
        return self.anchors == ("start",) * 3


@dataclass(frozen=True)
class Case:
    """One kind of episode of a task that has several: what differs in it."""

    label: str
    props: tuple[Prop, ...] = ()  # props that start elsewhere than the task says
    script: tuple[Waypoint, ...] = ()  # replaces the task's, if given
