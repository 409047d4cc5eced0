"""Symptoms of what the joints did: joints that stand still, and units."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common import command_line
from doctor.survey import Examined, Survey
from doctor.symptoms import JOINTS, Sign, symptom
from episodes import listed

STILL = 1e-3  # of the way of the joint that moves most: what moves less stands still
COMMANDED = 0.05  # of the same; a command that goes further should move its joint
LEAST_GRIP = 0.2  # a gripper's command that varies by less holds it
EXACT = 1e-6  # of a number's size: rounding
LARGEST_ANGLE = 10.0  # rad
MOST_DEGREES = 400.0
MOST_GRIP, LEAST_GRIPPED = 2.0, -1.0  # of a gripper that is 0 closed and 1 open
OTHER_UNIT = 20.0  # times: as much as commands and states may differ in size


@symptom(
    "stuck_joint",
    JOINTS,
    "its sensor or its motor is stuck, or a column is missing: the policy never sees what it commands",
    "look at the joint's plot: " + command_line("visualize_episodes.py --dataset_dir {folder}"),
)
def stuck_joint(survey: Survey) -> Iterator[Sign]:
    """A joint's state stands still while its command moves."""
    for number in range(min(len(survey.entries), survey.action_width)):
        found = [one for one in survey.alike if _is_stuck(one, number, survey)]
        if found:
            said = f"{survey.entries[number].name} stands still though its command moves"
            yield Sign(said, survey.unless_all(found))


def _is_stuck(one: Examined, number: int, survey: Survey) -> bool:
    way, command = np.ptp(one.states[:, number]), np.ptp(one.actions[:, number])
    scale, least = (1.0, LEAST_GRIP) if survey.are_grippers[number] else (survey.span, COMMANDED)
    return bool(way <= STILL * scale and command > least * scale)


@symptom(
    "joint_never_moves",
    JOINTS,
    "nothing can be learned of it",
    "if it should move, its sensor or its column is missing; if the task holds it still, all is well",
)
def joint_never_moves(survey: Survey) -> Iterator[Sign]:
    """A joint has one value in all episodes, and so has its command, while its arm moves.

    An arm that rests as a whole, and a gripper that is held, are a choice.
    """
    if len(survey.alike) < 2:
        return
    spans = survey.spans("states")
    values = np.abs(survey.alike[0].states[0])
    still = (spans <= EXACT * np.maximum(values, 1)) & ~survey.are_grippers
    commands = survey.spans("actions")
    found = []
    for number in np.flatnonzero(still):
        same_arm = [i for i, each in enumerate(survey.entries) if each.group == survey.entries[number].group]
        moves = any(spans[i] > STILL * survey.span for i in same_arm if not survey.are_grippers[i])
        is_told = number < len(commands) and commands[number] > COMMANDED * survey.span
        if moves and not is_told:
            found.append(survey.entries[number].name)
    if found:
        yield Sign(f"{listed(found)} never move{'s' * (len(found) == 1)}")


@symptom(
    "units",
    JOINTS,
    "limits, mirroring and the arm take radians, and grippers from 0 (closed) to 1 (open)",
    "import the recordings with their units: "
    + command_line("edit_episodes.py import --from {folder} --output_dir NEW --joint_unit {unit}{range}"),
)
def units(survey: Survey) -> Iterator[Sign]:
    """Joints are in no radians, grippers not between 0 and 1, or states and commands differ in unit."""
    joints = ~survey.are_grippers
    if not joints.any():
        return
    reach = {one: np.abs(one.states[:, joints]).max() for one in survey.alike}
    beyond = [one for one, most in reach.items() if most > LARGEST_ANGLE]
    if beyond:
        most = max(reach[one] for one in beyond)
        is_degrees = most <= MOST_DEGREES
        words, unit = ("degrees", "deg") if is_degrees else ("steps of an encoder or pixels", "ticks:4096")
        said = f"joints reach {most:.0f}, as {words} do, not radians"
        yield Sign(said, survey.unless_all(beyond), values=_units(survey, unit))
    shared = joints[: survey.action_width]
    states, commands = survey.spans("states")[: len(shared)], survey.spans("actions")[: len(joints)]
    sizes = [float(spans[shared].max(initial=0)) for spans in (states, commands)]
    if min(sizes) > 0 and max(sizes) > OTHER_UNIT * min(sizes):
        said = f"states vary by {sizes[0]:.3g}, their commands by {sizes[1]:.3g}, as in another unit"
        yield Sign(said, values=_units(survey, "UNIT"))
    if not beyond:
        yield from _grip_units(survey)


def _grip_units(survey: Survey) -> Iterator[Sign]:
    for number in np.flatnonzero(survey.are_grippers):
        low = min(one.states[:, number].min() for one in survey.alike)
        high = max(one.states[:, number].max() for one in survey.alike)
        if high > MOST_GRIP or low < LEAST_GRIPPED:
            said = f"{survey.entries[number].name} goes from {low:.3g} to {high:.3g}, not from 0 to 1"
            values = _units(survey, "rad", f"{low:.3g}", f"{high:.3g}")
            yield Sign(f"{said}, if it is a gripper", values=values)


def _units(survey: Survey, unit: str, closed: str = "CLOSED", opened: str = "OPEN") -> dict[str, str]:
    """For the remedy; what has no gripper has no range of it."""
    has_grippers = bool(survey.are_grippers.any())
    return {"unit": unit, "range": f" --gripper_range {closed} {opened}" if has_grippers else ""}
