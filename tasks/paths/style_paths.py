"""From a script's paths to those of one take: as people do it, each in another way.

A part of a style (`style_ranges.Style`) is one function of its name here, which changes a `Take` of any task.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from pyquaternion import Quaternion

from tasks.paths.script_paths import Knot, along
from tasks.paths.style_ranges import (
    ApproachRanges,
    GripRanges,
    MissRanges,
    OrderRanges,
    OvershootRanges,
    PauseRanges,
    ReleaseRanges,
    StylePlan,
    TempoRanges,
    TremorRanges,
)
from tasks.paths.style_take import HOLDING, TO_GRASP, Role, Stop, Take
from tasks.ranges import Range
from tasks.schema import Task

UP = np.array([0.0, 0.0, 1.0])
LONG = 0.08  # m; a longer way is one through the air
SHORT = 0.03  # m; a way that goes less far sideways is one up or down
SINES = 8  # of a tremor, along each axis
LIFTED = 0.015  # m by which a hand rises that sees that it is empty


def side_of(rng: np.random.Generator) -> float:
    """One side or the other: -1 or 1."""
    return float(rng.choice((-1.0, 1.0)))


def approach(take: Take, ranges: ApproachRanges, rng: np.random.Generator) -> None:
    """Height from which hands come down, and how their ways through the air bend."""
    side = side_of(rng)
    for stops, number in take.ways():
        before, stop = stops[number - 1], stops[number]
        if _is_through_air(before, stop):
            length = np.linalg.norm(stop.knot.xyz - before.knot.xyz)
            swing = rng.uniform(*ranges.lift) * length * UP
            if stop.role not in HOLDING and not (before.meets or stop.meets):
                swing += side * rng.uniform(*ranges.arc) * length * _across(before, stop)
            stops[number] = replace(stop, swing=swing)
        goes_to_meet = any(each.meets for each in stops[number : number + 2])
        if stop.role == Role.CARRY and not goes_to_meet and _goes_sideways(before, stop):
            stops[number] = stops[number].moved(side * rng.uniform(*ranges.beside) * _across(before, stop))
    for stops, number in take.ways():
        before, stop = stops[number - 1], stops[number]
        if (before.role, stop.role) == (Role.AIM, Role.GRASP):
            reach = before.knot.xyz - stop.knot.xyz
            stops[number - 1] = before.moved((rng.uniform(*ranges.height) - 1) * reach)


def _sideways(before: Stop, after: Stop) -> np.ndarray:
    """(3,) m: the way between two stops, without its rise."""
    return (after.knot.xyz - before.knot.xyz) * (1, 1, 0)


def _across(before: Stop, after: Stop) -> np.ndarray:
    """(3,) horizontal, of length 1, to the left of the way between two stops."""
    across = np.cross(UP, _sideways(before, after))
    return across / np.linalg.norm(across)


def _is_through_air(before: Stop, stop: Stop) -> bool:
    """Whether it goes a long way to a stop, and neither straight up or down nor to a grasp."""
    is_long = np.linalg.norm(stop.knot.xyz - before.knot.xyz) > LONG and _goes_sideways(before, stop)
    return is_long and stop.role not in (Role.GRASP, Role.RELEASE)


def _goes_sideways(before: Stop, after: Stop) -> bool:
    return bool(np.linalg.norm(_sideways(before, after)) > SHORT)


def grip(take: Take, ranges: GripRanges, rng: np.random.Generator) -> None:
    """Where props are gripped. They are carried as ever: what is held off its middle goes the same way."""
    for stops, closing in zip(take.arms, take.closing, strict=True):
        side, along_prop, held = side_of(rng), np.zeros(3), np.zeros(3)
        slant, turn = np.zeros(3), Quaternion()
        before = Role.FREE
        for number, stop in enumerate(stops):
            if stop.role in TO_GRASP and before not in TO_GRASP:
                grasp = next(each for each in stops[number:] if each.role == Role.GRASP)
                axis = _along_prop(grasp, closing) if grasp.at_prop else np.zeros(3)
                along_prop = side * rng.uniform(*ranges.offset) * axis
                slant = side * rng.uniform(*ranges.slant) * axis
                degrees = side * rng.uniform(*ranges.turn) * bool(axis.any())
                turn = Quaternion(axis=UP, degrees=degrees)
                held = grasp.knot.orientation.inverse.rotate(along_prop)
            if stop.role in (Role.AIM, Role.GRASP, Role.CLOSED):
                moved = stop.moved(along_prop + slant * (stop.role == Role.AIM))
                knot = moved.knot._replace(orientation=turn * stop.knot.orientation)
                stops[number] = replace(moved, knot=knot)
            elif stop.role in (Role.CARRY, Role.RELEASE, Role.OPENED):
                stops[number] = stop.moved(stop.knot.orientation.rotate(held))
            before = stop.role


def _along_prop(grasp: Stop, closing: Sequence[float]) -> np.ndarray:
    """(3,) horizontal, of length 1, across the way of the fingers; zero if they close up and down."""
    axis = np.cross(UP, grasp.knot.orientation.rotate(np.array(closing, float)))
    length = np.linalg.norm(axis)
    return axis / length if length > 0.5 else np.zeros(3)


def order(take: Take, ranges: OrderRanges, rng: np.random.Generator) -> None:
    """Which arm is ahead."""
    first = int(rng.integers(len(take.arms)))
    for arm, stops in enumerate(take.arms):
        if arm != first:
            take.hold(stops, 0, rng.uniform(*ranges.lead) * take.fps)


def miss(take: Take, ranges: MissRanges, rng: np.random.Generator) -> None:
    """Grasps that close above the prop: the hand stops, opens, goes back up, and down again."""
    for stops in take.arms:
        aims = [
            number
            for number, stop in enumerate(stops[:-1])
            if stop.role == Role.AIM and stops[number + 1].role == Role.GRASP and stops[number + 1].at_prop
        ]
        for number in reversed(aims):
            wanted, height = rng.random() < ranges.share, rng.uniform(*ranges.height)
            noticed = rng.uniform(*ranges.seconds) * take.fps
            if wanted:
                _miss(take, stops, number, (height, noticed))


def _miss(take: Take, stops: list[Stop], number: int, drawn: tuple[float, float]) -> None:
    aim, grasp = stops[number], stops[number + 1]
    (height, noticed), down = drawn, grasp.knot.step - aim.knot.step
    last = next(i for i in range(number, len(stops)) if stops[i].role == Role.CLOSED)
    closed = stops[last].knot
    close = closed.step - stops[last - 1].knot.step
    lowest = 0.9 * (aim.knot.xyz[2] - grasp.knot.xyz[2])
    xyz = grasp.knot.xyz + min(height, lowest) * UP
    lifted = xyz + LIFTED * UP
    tried = [
        (down, xyz, grasp.knot.gripper),
        (close, xyz, closed.gripper),
        (noticed, lifted, closed.gripper),
        (close, aim.knot.xyz, grasp.knot.gripper),
    ]
    steps = np.cumsum([duration for duration, *_ in tried])
    take.hold(stops, number, float(steps[-1]))
    stops[number + 1 : number + 2] = [
        replace(aim, knot=Knot(aim.knot.step + step, place, grasp.knot.orientation, gripper))
        for step, (_, place, gripper) in zip(steps, tried, strict=True)
    ]


def overshoot(take: Take, ranges: OvershootRanges, rng: np.random.Generator) -> None:
    """Ways that go too far, and back."""
    for stops in take.arms:
        for number in reversed(range(1, len(stops) - 1)):
            before, stop = stops[number - 1], stops[number]
            wanted, distance = rng.random() < ranges.share, rng.uniform(*ranges.distance)
            seconds = rng.uniform(*ranges.seconds)
            if wanted and _is_through_air(before, stop) and stop.role not in HOLDING and not stop.meets:
                sideways = _sideways(before, stop)
                take.hold(stops, number, seconds * take.fps)
                stops[number] = stop.moved(distance * sideways / np.linalg.norm(sideways))


def pause(take: Take, ranges: PauseRanges, rng: np.random.Generator) -> None:
    """Pauses at waypoints."""
    for stops in take.arms:
        for number in reversed(range(len(stops) - 1)):
            wanted, seconds = rng.random() < ranges.share, rng.uniform(*ranges.seconds)
            if wanted:
                take.hold(stops, number, seconds * take.fps)


def release(take: Take, ranges: ReleaseRanges, rng: np.random.Generator) -> None:
    """Hands that open too early, or late."""
    for stops in take.arms:
        for number in reversed(range(1, len(stops) - 1)):
            if stops[number].role == Role.RELEASE and stops[number + 1].role == Role.OPENED:
                early, late = (rng.uniform(*each) * take.fps for each in (ranges.early, ranges.late))
                if side_of(rng) < 0 and not stops[number].meets:
                    _open_early(stops, number, early)
                else:
                    take.hold(stops, number, late)


def _open_early(stops: list[Stop], number: int, steps: float) -> None:
    """Begin to open so many steps before a stop: half of the way to it at most."""
    before, here, then = (stop.knot for stop in stops[number - 1 : number + 2])
    begin = here.step - min(steps, (here.step - before.step) / 2)
    pose = along([before, here], begin)
    first = Knot(begin, pose[:3], Quaternion(pose[3:7]), here.gripper)
    share = (here.step - begin) / (then.step - begin)
    opened = here.gripper + share * (then.gripper - here.gripper)
    stop = stops[number]
    stops[number : number + 1] = [
        replace(stop, knot=first),
        replace(stop, knot=here._replace(gripper=opened)),
    ]


def tempo(take: Take, ranges: TempoRanges, rng: np.random.Generator) -> None:
    """Slow and quick hands, and changes of their speed."""
    steps = np.unique([stop.knot.step for stops in take.arms for stop in stops])
    factors = rng.uniform(*ranges.pace) * rng.uniform(*ranges.change, len(steps) - 1)
    take.warp(steps, np.concatenate([[0.0], np.cumsum(factors * np.diff(steps))]))


PARTS: dict[str, Callable] = {  # by the name of a style's part, in the order in which they are done
    part.__name__: part for part in (approach, grip, order, miss, overshoot, pause, release, tempo)
}


def rng_of(plan: StylePlan, part: str) -> np.random.Generator:
    """What a part of a take is drawn from: the same whether or not others are drawn."""
    return np.random.default_rng([*plan.seeds, zlib.crc32(part.encode())])


def styled(task: Task, paths: Sequence[list[Knot]], plan: StylePlan) -> list[list[Knot]]:
    """The paths of a take, with a knot for every step: it ends later or earlier than the script.

    Args:
        task: the task, or a variant of it, that the script belongs to.
        paths: of its arms, as `lay_paths` gives them.
        plan: which take it is.
    """
    take, style = Take(task, paths), plan.style
    for name, vary in PARTS.items():
        if name in style.parts:
            vary(take, getattr(style, name), rng_of(plan, name))
    steps = int(np.ceil(max(stops[-1].knot.step for stops in take.arms)))
    rng = rng_of(plan, "way")
    ease, rounding = rng.uniform(*style.tempo.ease), rng.uniform(*style.tempo.rounding) * task.fps
    rng = rng_of(plan, "tremor")
    return [
        _shaken(smooth(_poses(stops, steps, ease), round(rounding)), style.tremor, rng, task.fps)
        for stops in take.arms
    ]


def _poses(stops: Sequence[Stop], steps: int, ease: float) -> np.ndarray:
    """(steps + 1, 8): end-effector actions through an arm's stops."""
    knots, at = [stop.knot for stop in stops], np.array([stop.knot.step for stop in stops])
    poses = []
    for step in range(steps + 1):
        if step >= at[-1]:
            poses.append(along(knots, step))
            continue
        number = int(np.searchsorted(at, step, side="right"))
        begin, end = at[number - 1], at[number]
        share = (step - begin) / (end - begin)
        share += ease * (share**3 * (10 - 15 * share + 6 * share**2) - share)
        pose = along(knots[number - 1 : number + 1], begin + share * (end - begin))
        pose[:3] += stops[number].swing * np.sin(np.pi * share) ** 2
        poses.append(pose)
    return np.array(poses)


def smooth(poses: np.ndarray, half: int) -> np.ndarray:
    """(T, 8): each the mean of as many poses before and after it: up to `half`, none at the ends."""
    poses = poses.copy()
    turns = np.sum(poses[1:, 3:7] * poses[:-1, 3:7], axis=1)
    signs = np.cumprod(np.where(turns < 0, -1.0, 1.0))  # no jumps to the same turn's other sign
    poses[1:, 3:7] *= signs[:, None]
    sums = np.concatenate([np.zeros((1, 8)), np.cumsum(poses, axis=0)])
    steps = np.arange(len(poses))
    reach = np.minimum(half, np.minimum(steps, steps[::-1]))
    return (sums[steps + reach + 1] - sums[steps - reach]) / (2 * reach + 1)[:, None]


def _shaken(poses: np.ndarray, ranges: TremorRanges, rng: np.random.Generator, fps: float) -> list[Knot]:
    """Knots at poses (T, 8), with a tremor that begins and ends at rest."""
    size = np.repeat([rng.uniform(*ranges.shift), np.radians(rng.uniform(*ranges.tilt))], 3)
    trembling = size * tremor(len(poses), ranges.hertz, rng, fps)
    knots = []
    for step, (pose, off) in enumerate(zip(poses, trembling, strict=True)):
        angle = float(np.linalg.norm(off[3:]))
        tilt = Quaternion(axis=off[3:], radians=angle) if angle else Quaternion()
        knots.append(Knot(step, pose[:3] + off[:3], tilt * Quaternion(pose[3:7]).normalised, float(pose[7])))
    return knots


def tremor(steps: int, hertz: Range, rng: np.random.Generator, fps: float) -> np.ndarray:
    """(T, 6) within [-1, 1]: coloured noise along six axes."""
    frequencies = np.exp(rng.uniform(*np.log(hertz), (SINES, 6)))
    phases = rng.uniform(0, 2 * np.pi, (SINES, 6))
    sizes = 1 / frequencies
    seconds = np.arange(steps)[:, None, None] / fps
    waves = np.sum(sizes * np.sin(2 * np.pi * frequencies * seconds + phases), axis=1) / sizes.sum(axis=0)
    fade = np.clip(np.minimum(seconds, seconds[::-1])[:, 0], 0, 1)
    return waves * fade
