"""Facts: the numbers of all tasks, and names for those of arms and styles (tasks/). Standard library only.

To add a task, add one entry to `TASKS` (and its scene to `assets/`).
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

from common import choose
from tasks import LEFT, MYCOBOT, RIGHT, Case, Prop, Stage, Task, Waypoint, by_name, mirrored
from tasks import STYLES as STYLES  # by its name here
from tasks import is_mycobot as is_mycobot

IMAGE_SIZE = (480, 640)  # height, width (pixels) of every recorded frame
JPEG_QUALITY = 90
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of red, green, blue in [0, 1]; networks see it as grey
IMAGENET_STD = (0.229, 0.224, 0.225)


class Stream(IntEnum):
    """Purposes of random streams, `default_rng([seed, purpose, i])`: no two purposes share one."""

    RECORD = 0
    TRAIN = 1
    EVALUATE = 2
    RECORD_LOOKS = 3
    EVALUATE_LOOKS = 4
    TRAIN_EVALUATE = 5  # evaluations while training
    ACT = 6  # what a policy draws in a rollout
    KNOCK = 7  # where a prop lands that is knocked loose
    RECOVER = 8  # which demonstrations begin in the middle of an attempt that failed
    DISTURB = 9  # what disturbs a rollout (`--disturb`)
    STYLE = 10  # how a demonstration by script differs from the script (`--style`)
    MULTIPLY = 11  # starts of episodes that are made from others
    MULTIPLY_LOOKS = 12
    MULTIPLY_MIDWAY = 13  # which of them begin in the middle of an attempt that failed, and where
    MULTIPLY_TRIAL = 14  # starts that demonstrations are tried from before any is chosen to be repeated


RED_BOX = Prop("red_box", low=(0.0, 0.4, 0.05), high=(0.2, 0.6, 0.05))
RED_PEG = Prop("red_peg", low=(0.1, 0.4, 0.05), high=(0.2, 0.6, 0.05))
BLUE_SOCKET = Prop("blue_socket", low=(-0.2, 0.4, 0.05), high=(-0.1, 0.6, 0.05))
YELLOW_BOX = Prop("yellow_box", low=(0.0, 0.9, 0.05), high=(0.0, 0.9, 0.05))  # always on the same spot

# the stages look at one of each arm's two fingers, as ACT does
_LEFT_FINGER, _RIGHT_FINGER = LEFT.geom("10_left_gripper_finger"), RIGHT.geom("10_right_gripper_finger")
_RIGHT_FINGERS = RIGHT.geom("*_gripper_finger")

_box_left, _box_right = ("red_box", _LEFT_FINGER), ("red_box", _RIGHT_FINGER)
_box_on_table, _box_in_right_hand = ("red_box", "table"), ("red_box", _RIGHT_FINGERS)
_TRANSFER_STAGES = (
    Stage("touched", touch=(_box_right,)),
    Stage("lifted", touch=(_box_right,), clear=(_box_on_table,)),
    Stage("handed over", touch=(_box_left,)),
    Stage("transferred", touch=(_box_left,), clear=(_box_on_table,)),
)
_TRANSFER_STRICT = Stage("held by the receiving gripper alone", clear=(_box_in_right_hand,))

_grasps = (("socket-*", _LEFT_FINGER), ("red_peg", _RIGHT_FINGER))
_peg_or_socket_on_table = (("red_peg", "table"), ("socket-*", "table"))
_INSERTION_STAGES = (
    Stage("touched", touch=_grasps),
    Stage("lifted", touch=_grasps, clear=_peg_or_socket_on_table),
    Stage("peg at socket", touch=(("red_peg", "socket-*"),), clear=_peg_or_socket_on_table),
    Stage("inserted", touch=(("red_peg", "pin"),)),
)
_INSERTION_STRICT = Stage("both in the air", clear=_peg_or_socket_on_table)

# The fork that this task comes from (act-plus-plus_one: sim_env.py) never resets its count of steps in the
# air, and calls a scene broken when the platform stands on the table.
_MOVE_STAGES = (
    Stage("touched", touch=(_box_right,)),
    Stage("lifted", touch=(_box_right,), clear=(_box_on_table,)),
    Stage(
        "placed",
        touch=(("red_box", "yellow_box"), ("yellow_box", "table")),
        clear=(_box_on_table, ("yellow_box", _RIGHT_FINGERS)),
        after=50,
    ),
)
_MOVE_STRICT = Stage("let go", clear=(_box_in_right_hand,))


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


CUBE = Prop("cube", low=(-0.385, -0.11, 0.06), high=(-0.305, -0.03, 0.06))  # m; includes the user's place A

_pads = tuple(("cube", MYCOBOT.geom(f"{side}_pad")) for side in ("left", "right"))

_PICKED = (
    Stage("touched", touch=_pads),
    Stage("lifted", touch=_pads, clear=(("cube", "place_a"), ("cube", "table"))),
)
_MYCOBOT_STAGES = (*_PICKED, Stage("placed", touch=(("cube", "place_b1"),), clear=_pads))

BOX = Prop("box", low=(-0.05, -0.12, -0.678), high=(0.05, -0.12, -0.678))  # out of sight, below the table
BOX_ON_B1 = Prop("box", low=(-0.271, -0.228, 0.112), high=(-0.259, -0.220, 0.112))

_box_away, _box_on_b1 = ("box", "shelf"), ("box", "place_b1")
# If the box is pushed off B1, it is neither there nor on its shelf: then no place is right.
_CHOOSE_STAGES = (
    *_PICKED,
    Stage(
        "placed at the right one",
        touch=(("cube", "place_b1"), _box_away),
        clear=_pads,
        otherwise=Stage("at B2", touch=(("cube", "place_b2"), _box_on_b1), clear=_pads),
    ),
)
_CHOICES = (
    Stage(
        "B1",
        touch=(("cube", "place_b1"),),
        clear=_pads,
        otherwise=Stage("on the box at B1", touch=(("cube", "box"), _box_on_b1), clear=_pads),
    ),
    Stage("B2", touch=(("cube", "place_b2"),), clear=_pads),
)


def _mycobot_script() -> tuple[Waypoint, ...]:
    """Pick at A, place at B1, at the pace of the user's frames (act-plus-plus_one: action_cal.py).

    The gripper points down, leaning outwards by 18 degrees as it does at home: straight down, the arm cannot
    reach all of A. It leans about the axis that its fingers close along, so that the cube stays upright.
    """
    home = ("x", 90.0, "z", -90.0, "y", 17.0)
    pick = ("x", 90.0, "z", -90.0, "y", 18.0)
    place = (*pick, "z", 60.0)
    b1 = (-0.265, -0.219)  # m

    return (
        Waypoint("right", 0, "start", (0, 0, 0), gripper=0.7, turn=home),
        Waypoint("right", 7, "cube", (0, 0, 0.04), gripper=0.7, turn=pick),
        Waypoint("right", 12, "cube", (0, 0, 0), gripper=0.7, turn=pick),
        Waypoint("right", 14, "cube", (0, 0, 0), gripper=0.7, turn=pick),
        Waypoint("right", 20, "cube", (0, 0, 0), gripper=0.2, turn=pick),
        Waypoint("right", 26, "cube", (0, 0, 0.03), gripper=0.2, turn=pick),
        Waypoint("right", 40, "world", (-0.31, -0.09, 0.155), gripper=0.2, turn=pick),
        Waypoint("right", 65, "world", (-0.29, -0.12, 0.16), gripper=0.2, turn=place),
        Waypoint("right", 82, "world", (*b1, 0.155), gripper=0.2, turn=place),
        Waypoint("right", 96, "world", (*b1, 0.122), gripper=0.2, turn=place),
        Waypoint("right", 101, "world", (*b1, 0.122), gripper=0.2, turn=place),
        Waypoint("right", 107, "world", (*b1, 0.122), gripper=0.7, turn=place),
        Waypoint("right", 115, "world", (*b1, 0.122), gripper=0.7, turn=place),
    )


def _mycobot_b2_script() -> tuple[Waypoint, ...]:
    """Pick at A, place at B2: high over what stands at B1, then leaning out further, as B2 is far."""
    to_a = tuple(point for point in _mycobot_script() if point.step <= 26)
    pick = to_a[-1].turn
    home = ("x", 90.0, "z", -90.0)
    far = (*home, "y", 30.0, "z", 55.0)
    b2 = (-0.227, -0.334)  # m

    return (
        *to_a,
        Waypoint("right", 40, "world", (-0.30, -0.09, 0.185), gripper=0.2, turn=pick),
        Waypoint("right", 60, "world", (-0.25, -0.16, 0.205), gripper=0.2, turn=(*pick, "z", 40.0)),
        Waypoint("right", 80, "world", (*b2, 0.165), gripper=0.2, turn=far),
        Waypoint("right", 96, "world", (*b2, 0.125), gripper=0.2, turn=far),
        Waypoint("right", 101, "world", (*b2, 0.125), gripper=0.2, turn=far),
        Waypoint("right", 107, "world", (*b2, 0.125), gripper=0.7, turn=far),
        Waypoint("right", 115, "world", (*b2, 0.125), gripper=0.7, turn=far),
    )


def _insertion_script() -> tuple[Waypoint, ...]:
    """ACT's insertion (scripted_policy.py): the left arm lifts the socket, the right one brings the peg.

    ACT's last waypoints, 50 mm from the middle, bring the peg's end just up to the pin; a grasp that slips a
    little then misses it (1 start of 100). Here the arms go on to 40 mm.
    """
    left, right = ("y", 60.0), ("y", -60.0)  # reach down at 60 degrees
    lift_right = 0.00715  # m; the peg is thinner than the socket, and so is held further up

    return (
        Waypoint("left", 0, "start", (0, 0, 0), gripper=0),
        Waypoint("left", 120, "blue_socket", (0, 0, 0.08), gripper=1, turn=left),
        Waypoint("left", 170, "blue_socket", (0, 0, -0.03), gripper=1, turn=left),
        Waypoint("left", 220, "blue_socket", (0, 0, -0.03), gripper=0, turn=left),
        Waypoint("left", 285, "world", (-0.1, 0.5, 0.15), gripper=0, turn=left),
        Waypoint("left", 340, "world", (-0.05, 0.5, 0.15), gripper=0, turn=left),
        Waypoint("left", 400, "world", (-0.04, 0.5, 0.15), gripper=0, turn=left),
        Waypoint("right", 0, "start", (0, 0, 0), gripper=0),
        Waypoint("right", 120, "red_peg", (0, 0, 0.08), gripper=1, turn=right),
        Waypoint("right", 170, "red_peg", (0, 0, -0.03), gripper=1, turn=right),
        Waypoint("right", 220, "red_peg", (0, 0, -0.03), gripper=0, turn=right),
        Waypoint("right", 285, "world", (0.1, 0.5, 0.15 + lift_right), gripper=0, turn=right),
        Waypoint("right", 340, "world", (0.05, 0.5, 0.15 + lift_right), gripper=0, turn=right),
        Waypoint("right", 400, "world", (0.04, 0.5, 0.15 + lift_right), gripper=0, turn=right),
    )


def _move_script() -> tuple[Waypoint, ...]:
    """The fork's move (act-plus-plus_one: scripted_policy.py, PickAndMove), with the same times.

    The fork reaches down at 60 degrees and for (0.2, 0.8), the platform's edge. ALOHA's forearm_roll and
    wrist_rotate are too weak against their friction to keep that slant at the side of the arm, which ends
    100 mm off. Reaching straight down needs neither, and the cube stays upright; it is put down at 0.85.
    """
    down = ("y", -90.0)

    return (
        Waypoint("right", 0, "start", (0, 0, 0), gripper=0),
        Waypoint("right", 90, "red_box", (0, 0, 0.08), gripper=1, turn=down),
        Waypoint("right", 130, "red_box", (0, 0, -0.015), gripper=1, turn=down),
        Waypoint("right", 170, "red_box", (0, 0, -0.015), gripper=0, turn=down),
        Waypoint("right", 250, "world", (0.2, 0.85, 0.30), gripper=0, turn=down),
        Waypoint("right", 290, "world", (0.2, 0.85, 0.14), gripper=0, turn=down),
        Waypoint("right", 310, "world", (0.2, 0.85, 0.14), gripper=1, turn=down),
        Waypoint("right", 330, "world", (0.2, 0.85, 0.30), gripper=1, turn=down),
        Waypoint("right", 400, "start", (0, 0, 0), gripper=1, turn=down),
    )


_TRANSFER = Task(
    name="sim_transfer_cube_scripted",
    human="sim_transfer_cube_human",
    mirror="sim_transfer_cube_scripted_mirror",
    episode_len=400,
    cameras=("top",),
    arms=(LEFT, RIGHT),
    scene="transfer_cube",
    props=(RED_BOX,),
    stages=_TRANSFER_STAGES,
    strict=_TRANSFER_STRICT,
    script=_transfer_script(),
)
_INSERTION = Task(
    name="sim_insertion_scripted",
    human="sim_insertion_human",
    mirror="sim_insertion_scripted_mirror",
    episode_len=400,
    cameras=("top", "left_wrist", "right_wrist"),
    arms=(LEFT, RIGHT),
    scene="insertion",
    props=(RED_PEG, BLUE_SOCKET),
    stages=_INSERTION_STAGES,
    strict=_INSERTION_STRICT,
    script=_insertion_script(),
)
_MOVE = Task(
    name="sim_move_cube_scripted",
    human="sim_move_cube_human",
    episode_len=400,
    cameras=("top",),
    arms=(RIGHT,),
    scene="move_cube",
    props=(RED_BOX, YELLOW_BOX),
    stages=_MOVE_STAGES,
    strict=_MOVE_STRICT,
    script=_move_script(),
)
_MYCOBOT_MOVE = Task(
    name="sim_mycobot320_move_cube_scripted",
    episode_len=115,
    cameras=("top", "right_wrist"),
    arms=(MYCOBOT,),
    scene="mycobot_move_cube",
    props=(CUBE,),
    stages=_MYCOBOT_STAGES,
    strict=Stage("let go", clear=_pads),
    strict_steps=5,
    script=_mycobot_script(),
    fps=10,
)
_MYCOBOT_CHOOSE = replace(
    _MYCOBOT_MOVE,
    name="sim_mycobot320_choose_scripted",
    scene="mycobot_choose",
    props=(CUBE, BOX),
    stages=_CHOOSE_STAGES,
    cases=(
        Case("B1 free"),
        Case("B1 occupied", props=(BOX_ON_B1,), script=_mycobot_b2_script()),
    ),
    choices=_CHOICES,
)


def _real(task: Task, name: str) -> Task:
    """A simulated task's counterpart on the real arm, where only a person can judge the outcome."""
    return replace(
        task, name=name, scene=None, props=(), stages=(), strict=None, script=(), cases=(), choices=()
    )


def _by_hand(task: Task, episode_len: int = 0) -> Task:
    """The same scene, demonstrated by people: it follows no script."""
    return replace(task, name=task.human, episode_len=episode_len or task.episode_len, script=(), mirror=None)


_ALL = (
    _TRANSFER,
    _by_hand(_TRANSFER),
    mirrored(_TRANSFER, _TRANSFER.mirror),
    _INSERTION,
    _by_hand(_INSERTION, episode_len=500),
    mirrored(_INSERTION, _INSERTION.mirror),
    _MOVE,
    _by_hand(_MOVE),
    _MYCOBOT_MOVE,
    _MYCOBOT_CHOOSE,
    _real(_MYCOBOT_MOVE, "mycobot320_move_cube"),
    _real(_MYCOBOT_CHOOSE, "mycobot320_choose"),
)

TASKS: dict[str, Task] = by_name(_ALL)


def get_task(name: str) -> Task:
    """Look a task up by name; ValueError names the nearest match and all choices."""
    return TASKS[choose("task", name, TASKS)]
