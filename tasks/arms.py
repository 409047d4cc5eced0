"""The arms that tasks have, with their numbers."""

from __future__ import annotations

import math

from tasks.parts import Arm
from tasks.schema import Task


def viperx(label: str) -> Arm:
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
        mirror=(-1, 1, 1, -1, 1, -1, 1),  # ACT++: postprocess_episodes.py
    )


MYCOBOT = Arm(
    name="mycobot320",
    model="mycobot320",
    label="right",
    joints=tuple(f"joint{n + 1}_to_joint{n}" for n in range(1, 6)) + ("joint6output_to_joint6",),
    joint_labels=tuple(f"joint_{n}" for n in range(1, 7)),
    start=tuple(math.radians(d) for d in (-3.07, 33.39, 32.78, 6.94, -88.33, -1.58)),
    fingers=(("gripper_controller", 1.0),),
    opening=(-0.7, 0.0766),  # rad; 0 and 90 mm between the pads
    start_opening=-0.7 + 0.7 * 0.7766,
    # On a real 320 (zoskek8/mycobot320_M5_control_test) a 15 degree step looks like 0.23 s of delay, then an
    # approach at a time constant of 0.1 s; run-up and speed limit add to both, so these values are lower.
    # Peak speeds in act-plus-plus_one's logs, at speed 20 of 100, are 55 to 80 degrees a second.
    delay=0.205,
    time_constant=0.08,
    max_speed=math.radians(75),
    closing=(1, 0, 0),
    reports_command=True,
)


def is_mycobot(task: Task) -> bool:
    """Whether a task is for one myCobot 320, real or simulated."""
    return task.arms == (MYCOBOT,)


LEFT, RIGHT = viperx("left"), viperx("right")
