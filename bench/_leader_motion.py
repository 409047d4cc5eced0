"""Leader motions as a person would make them, for the twin's pick and place, and who keeps them.

The script of the task says where the arm's tool is to go; a leader that stands before the person is moved so
that its tool goes the same way, at a person's tempo, smoothly, with the tremor of a hand. What a person would
correct by looking is not in it: the motion is laid before it begins.
"""

from __future__ import annotations

import numpy as np

from constants import get_task
from mycobot_scripts.kinematics import forward, tool_point
from mycobot_scripts.robot import Keys
from mycobot_scripts.stand_in import Motion, StandInLeader
from tasks import Task
from teleop import so101

TASK = get_task("sim_mycobot320_move_cube_scripted")
START = np.array([0.0, 0.1, 0.05, np.pi / 2 - 0.15, 0.0])  # where it is taken hold of: its tool points down
SCALE = 2.0  # --teleop_scale: the leader is the smaller arm
FPS = 25.0  # of the motion that is made
SLOWER = 1.3  # than the script
STILL = 0.6, 1.5  # s before and after
SMOOTH = 0.12  # s, deviation of the window
TREMOR = 0.0003, 8.0  # m and Hz, about


class Teacher(Keys):
    """Closes the clutch as soon as the arm waits, lets the stand-in play, and keeps what came of it."""

    def __init__(self, stand_in: StandInLeader, seconds: float) -> None:
        self._stand_in, self._seconds = stand_in, seconds
        self._may_begin, self._keys = False, ["e", "enter"]

    def poll(self) -> list[str]:
        begins = self._may_begin and len(self._keys) == 2
        ends = len(self._keys) == 1 and self._stand_in.elapsed > self._seconds
        if begins:
            self._stand_in.play()
        return [self._keys.pop(0)] if begins or ends else []

    def ask(self, question, answers):
        return answers["k"]

    def show(self, **facts) -> None:
        self._may_begin |= facts.get("jog") is not None  # the arm waits for the person


def leader_joints(
    position: np.ndarray, orientation: np.ndarray, near: np.ndarray, iterations: int = 60
) -> np.ndarray:
    """Joints (5,) that bring the leader's tool nearest to a pose, in its base; damped least squares."""

    def error(joints: np.ndarray) -> np.ndarray:
        reached, turned = so101.forward(joints)
        skew = orientation @ turned.T
        skew = skew - skew.T
        turn = np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) / 2
        return np.concatenate([position - reached, 0.1 * turn])

    joints = near.copy()
    for _ in range(iterations):
        missing = error(joints)
        jacobian = np.column_stack(
            [(error(joints + nudge) - missing) / 1e-6 for nudge in 1e-6 * np.eye(len(joints))]
        )
        step = -np.linalg.solve(jacobian.T @ jacobian + 1e-6 * np.eye(len(joints)), jacobian.T @ missing)
        joints, before = np.clip(joints + np.clip(step, -0.2, 0.2), so101.LOW, so101.HIGH), joints
        if np.abs(joints - before).max() < 1e-7:
            break
    return joints


def resampled(rows: np.ndarray, fps: float) -> np.ndarray:
    """Rows (T, n) of `fps` a second at `FPS`: at a person's tempo, smoothed, still at both ends."""
    seconds = SLOWER * (len(rows) - 1) / fps
    t = np.arange(-STILL[0], seconds + STILL[1], 1 / FPS) / SLOWER * fps
    dense = np.column_stack([np.interp(t, np.arange(len(rows)), column) for column in rows.T])
    half = round(3 * SMOOTH * FPS)
    window = np.exp(-0.5 * (np.arange(-half, half + 1) / (SMOOTH * FPS)) ** 2)
    padded = np.pad(dense, ((half, half), (0, 0)), mode="edge")
    return np.column_stack([np.convolve(column, window / window.sum(), mode="valid") for column in padded.T])


def tremor(steps: int, rng: np.random.Generator) -> np.ndarray:
    """Small motions of a hand that holds something (steps, 3), m."""
    size, hertz = TREMOR
    t = np.arange(steps)[:, None] / FPS
    phases, tones = rng.uniform(0, 2 * np.pi, (1, 3)), rng.uniform(0.8, 1.2, (1, 3))
    return size * np.sin(2 * np.pi * hertz * tones * t + phases) * np.sqrt(2)


def leader_motion(
    actions: np.ndarray, start: np.ndarray, axes: np.ndarray, rng: np.random.Generator, task: Task = TASK
) -> Motion:
    """A leader's motion that has the arm do what `actions` (T, 7) do, from a start pose (7,).

    `axes` are those of the retargeting (`Session.jog`).
    """
    begun, facing = tool_point(start[:6]), forward(start[:6])[1]
    way = np.array([tool_point(action[:6]) for action in actions])
    rows = resampled(np.column_stack([way, actions[:, :6], actions[:, 6]]), task.fps)
    hand = so101.PERSON_FROM_BASE.T @ axes.T  # from the arm's base to the leader's
    first, first_turn = so101.forward(START)
    joints, here = [], START
    shaken = tremor(len(rows), rng)
    for row, shake in zip(rows, shaken, strict=True):
        turn = hand @ forward(row[3:9])[1] @ facing.T @ hand.T
        here = leader_joints(first + hand @ (row[:3] - begun) / SCALE + shake, turn @ first_turn, here)
        joints.append(here)
    return Motion(FPS, np.array(joints), rows[:, -1])
