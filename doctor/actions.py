"""Symptoms of what the joints were told: commands that are states, jumps, grippers that stay open."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common import command_line
from doctor.survey import Examined, Survey
from doctor.symptoms import JOINTS, LEAVE_OUT, Sign, symptom

SAME = 0.05  # of the mean way from state to state: a command that is nearer to a state is that state
MOST_CLOSE = 0.8  # share of the episodes in which a gripper closes, from which on the others are odd
LEAST_TRAVEL = 0.2  # of a gripper's range over the set: what moves less does not close
LEAST_EPISODES = 4  # of which the usual step of a joint is told
TIMES_USUAL = 5.0  # a jump is so many times the 99th percentile of a joint's steps in most episodes
SHARE_OF_SPAN = 0.25  # and this share of its way over the set
LEAST_SHARE = 0.1  # and this share of the way of the joint that moves most
MAY_JUMP = 0.5  # share of the episodes from which on a joint, such as a finger, jumps by its nature


def _apart(one: Examined, later: int) -> float:
    """Mean distance of commands from the states `later` steps after them, in mean steps of the state."""
    joints = ~one.are_grippers
    steps = len(one.states) - 1
    move = np.abs(np.diff(one.states[:, joints], axis=0)).mean() if steps > 0 and joints.any() else 0.0
    if move == 0:
        return np.inf
    apart = one.actions[:steps, joints] - one.states[later : steps + later, joints]
    return float(np.abs(apart).mean() / move)


def _copies(survey: Survey, later: int) -> list[Examined]:
    return [
        one for one in survey.alike if one.states.shape == one.actions.shape and _apart(one, later) < SAME
    ]


@symptom(
    "action_is_state",
    JOINTS,
    "the policy learns to stand still",
    command_line(
        "edit_episodes.py shift_actions --dataset_dir {folder} --output_dir NEW --action next_state"
    ),
)
def action_is_state(survey: Survey) -> Iterator[Sign]:
    """Commands are the states of the same step."""
    found = _copies(survey, 0)
    if found:
        yield Sign("an action is the state of the same step", survey.unless_all(found))


@symptom(
    "action_is_next_state",
    JOINTS,
    "it was guided by hand, so commands do not lead: an arm that lags behind its commands is too slow, and "
    "a gripper does not press",
    "if the arm lags N steps: "
    + command_line("edit_episodes.py shift_actions --dataset_dir {folder} --output_dir NEW --steps N"),
)
def action_is_next_state(survey: Survey) -> Iterator[Sign]:
    """Commands are the states of the next step."""
    found = _copies(survey, 1)
    if found:
        yield Sign("an action is the state of the next step", survey.unless_all(found))


@symptom("gripper_stays_open", JOINTS, "the policy learns that it need not grasp", LEAVE_OUT)
def gripper_stays_open(survey: Survey) -> Iterator[Sign]:
    """A gripper that closes in most episodes does not in some."""
    numbers = [i for i in np.flatnonzero(survey.are_grippers) if i < survey.action_width]
    for number in numbers:
        commands = [one.actions[:, number] for one in survey.whole]
        if not commands:
            continue
        low, high = min(map(np.min, commands)), max(map(np.max, commands))
        closed = low + 0.5 * (high - low)
        if high - low < LEAST_TRAVEL * max(1.0, abs(high)):
            continue
        opened = [one for one, row in zip(survey.whole, commands, strict=True) if row.min() > closed]
        if opened and 1 - len(opened) / len(commands) >= MOST_CLOSE:
            yield Sign(f"{survey.entries[number].name} never closes", opened)


def jump_limits(survey: Survey) -> dict[str, np.ndarray] | None:
    """Of `qpos` and `action`: the largest step of each entry (D,) that is no jump, by the set's own steps.

    A jump is beyond what a joint does in most episodes, and a fair part of its way over the set; so the unit
    does not matter. Grippers may jump, and what jumps in most episodes. None: too few episodes to tell.
    """
    if len(survey.alike) < LEAST_EPISODES:
        return None
    limits = {}
    for name, what in (("qpos", "states"), ("action", "actions")):
        rows = [getattr(one, what) for one in survey.alike]
        usual = np.median(
            [np.percentile(np.abs(np.diff(row, axis=0)), 99, axis=0) for row in rows if len(row) > 1]
            or [np.zeros(rows[0].shape[1])],
            axis=0,
        )
        spans = survey.spans(what)
        limit = np.maximum.reduce(
            [TIMES_USUAL * usual, SHARE_OF_SPAN * spans, np.full(len(spans), LEAST_SHARE * survey.span)]
        )
        jumping = [(np.abs(np.diff(row, axis=0)) > limit).any(axis=0) for row in rows]
        may_jump = np.mean(jumping, axis=0) > MAY_JUMP
        shared = min(len(limit), len(survey.are_grippers))
        may_jump[:shared] |= survey.are_grippers[:shared]
        limits[name] = np.where(may_jump, np.inf, limit)
    return limits


@symptom("jumps", JOINTS, "the policy learns to jerk, and its normalisation is stretched", LEAVE_OUT)
def jumps(survey: Survey) -> Iterator[Sign]:
    """A joint or its command goes further in a step than it does elsewhere in the set."""
    limits = jump_limits(survey)
    if limits is None:
        return
    found = [
        one
        for one in survey.alike
        if any(
            (np.abs(np.diff(rows, axis=0)) > limit).any()
            for rows, limit in ((one.states, limits["qpos"]), (one.actions, limits["action"]))
        )
    ]
    if found:
        yield Sign("joints jump, by what is usual in this set", found)
