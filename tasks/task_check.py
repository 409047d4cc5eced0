"""Find the mistakes in a task that show without its scene. Each is a ValueError that names the entry.

scene.py finds props, cameras and places that the scene lacks, reach.py waypoints that an arm cannot reach.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any

from common import did_you_mean
from tasks.parts import Arm, Case, Near, Prop, Stage, Waypoint

AXES = "xyz"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(values: Any, count: int) -> bool:
    return isinstance(values, tuple) and len(values) == count and all(map(_is_number, values))


def _one_of(source: str, field: str, name: Any, valid: Collection[str]) -> None:
    if name not in valid:
        hint = did_you_mean(name, valid) if isinstance(name, str) else ""
        raise ValueError(f"{source}: {field} is {name!r}; {hint}it must be one of {', '.join(valid)}")


def _each_once(source: str, kind: str, names: Sequence[str]) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ValueError(f"{source}: there are two {kind} {twice!r}; names must differ")


def check_tuple(source: str, field: str, values: Any, kind: type) -> None:
    """ValueError unless a field is a tuple of `kind`; `(x)` is no tuple, and `("top")` is text."""
    odd = values
    if isinstance(values, tuple):
        odd = next((value for value in values if not isinstance(value, kind)), None)
        if odd is None:
            return
    raise ValueError(f"{source}: {field} has {odd!r}; it must be a tuple of {kind.__name__}: (...,)")


def check_number(source: str, field: str, value: Any, least: float, whole: bool = True) -> None:
    """ValueError unless a field is whole and at least `least`; without `whole`, a number above `least`."""
    is_fit = isinstance(value, Integral) and value >= least if whole else _is_number(value) and value > least
    if not is_fit or isinstance(value, bool):
        wanted = f"a whole number, at least {least:g}" if whole else f"a number above {least:g}"
        raise ValueError(f"{source}: {field} is {value!r}; it must be {wanted}")


def check_names(source: str, cameras: Sequence[str], arms: Sequence[Arm], props: Sequence[Prop]) -> None:
    """ValueError if a name occurs twice."""
    _each_once(source, "cameras called", cameras)
    _each_once(source, "arms labelled", [arm.label for arm in arms])
    _each_once(source, "props called", [prop.name for prop in props])


def check_prop(source: str, prop: Prop) -> None:
    """ValueError unless a prop's box and its range of yaw are numbers in order."""
    source = f"{source}: prop {prop.name!r}"
    for end in ("low", "high"):
        if not _are_numbers(getattr(prop, end), 3):
            raise ValueError(f"{source}: {end} is {getattr(prop, end)!r}; it must be (x, y, z), in m")
    for axis, low, high in zip(AXES, prop.low, prop.high, strict=True):
        if low > high:
            raise ValueError(f"{source}: low is {low:g} and high {high:g} along {axis}; low comes first")
    if not _are_numbers(prop.yaw, 2) or prop.yaw[0] > prop.yaw[1]:
        raise ValueError(f"{source}: yaw is {prop.yaw!r}; it must be (lowest, highest), in degrees")


def check_stages(source: str, field: str, stages: Sequence[Stage], props: Collection[str]) -> None:
    """ValueError for a stage that asks for nothing, or has the wrong form."""
    _each_once(source, f"{field} labelled", [stage.label for stage in stages])
    for stage in stages:
        for way in stage.ways:
            _check_way(f"{source}: {field} {way.label!r}", way, props)


def _check_way(source: str, way: Stage, props: Collection[str]) -> None:
    for field in ("touch", "clear"):
        pairs = getattr(way, field)
        check_tuple(source, field, pairs, tuple)
        for pair in pairs:
            if len(pair) != 2 or not all(isinstance(geom, str) for geom in pair):
                raise ValueError(f"{source}: {field} has {pair!r}; it must be pairs of two geoms")
    if not isinstance(way.near, tuple):
        raise ValueError(f"{source}: near is {way.near!r}; it must be (prop, place, metres)")
    for near in way.nears:
        _check_near(source, near, props)
    if not (way.touch or way.clear or way.near):
        raise ValueError(f"{source} asks for nothing; it needs touch, clear or near")
    check_number(source, "after", way.after, 0)


def _check_near(source: str, near: Near, props: Collection[str]) -> None:
    if not isinstance(near, tuple) or len(near) != 3:
        raise ValueError(f"{source}: near is {near!r}; it must be (prop, place, metres)")
    prop, place, metres = near
    _one_of(source, "the prop of near", prop, props)
    if not isinstance(place, str) and not (_are_numbers(place, 2) or _are_numbers(place, 3)):
        raise ValueError(
            f"{source}: the place of near is {place!r}; it must be a name, or a point (x, y) or (x, y, z)"
        )
    if place == prop:
        raise ValueError(f"{source}: near is {near!r}; {prop} is always near itself")
    check_number(source, "the distance of near", metres, 0, whole=False)


def check_script(
    source: str, script: Sequence[Waypoint], arms: Collection[str], props: Collection[str]
) -> None:
    """ValueError for a waypoint with unknown names, impossible numbers, or out of order."""
    last: dict[str, int] = {}
    for number, point in enumerate(script):
        where = f"{source}: {waypoint_name(number, point)}"
        _one_of(where, "arm", point.arm, arms)
        check_number(where, "step", point.step, 0)
        if point.arm in last and point.step <= last[point.arm]:
            raise ValueError(f"{where}: step is {point.step}; the one before has {last[point.arm]}")
        if point.arm not in last and point.step:
            raise ValueError(f"{where}: step is {point.step}; an arm's first waypoint has step 0")
        last[point.arm] = point.step
        _check_waypoint(where, point, props)


def check_length(source: str, script: Sequence[Waypoint], episode_len: int) -> None:
    """ValueError for a waypoint behind the end of an episode, which no arm would come to."""
    for number, point in enumerate(script):
        if point.step > episode_len:
            raise ValueError(
                f"{source}: {waypoint_name(number, point)} lies behind the end: episode_len is {episode_len}"
            )


def waypoint_name(number: int, point: Waypoint) -> str:
    """A waypoint's name in messages and pictures: by its place in the script, from 0."""
    return f"waypoint {number} ({point.arm}, step {point.step})"


def _check_waypoint(where: str, point: Waypoint, props: Collection[str]) -> None:
    anchors = point.anchors
    if not isinstance(anchors, tuple) or len(anchors) != 3:
        raise ValueError(f"{where}: at is {point.at!r}; it must be one name, or one for each of x, y and z")
    for anchor in anchors:
        _one_of(where, "at", anchor, ("start", "world", *props))
    if not _are_numbers(point.xyz, 3):
        raise ValueError(f"{where}: xyz is {point.xyz!r}; it must be three numbers, in m")
    if not _is_number(point.gripper) or not 0 <= point.gripper <= 1:
        raise ValueError(f"{where}: gripper is {point.gripper!r}; it must be 0 (closed) to 1 (open)")
    turn = point.turn
    if not isinstance(turn, tuple) or len(turn) % 2 or not all(map(_is_number, turn[1::2])):
        raise ValueError(f"{where}: turn is {turn!r}; it must be axis, degrees, axis, degrees, ...")
    for axis in turn[::2]:
        _one_of(where, "an axis of turn", axis, tuple(AXES))
    if point.turn_with:
        _one_of(where, "turn_with", point.turn_with, props)


def check_cases(source: str, cases: Sequence[Case], arms: Collection[str], props: Collection[str]) -> None:
    """ValueError for a case whose props or waypoints do not fit the task."""
    _each_once(source, "cases labelled", [case.label for case in cases])
    for case in cases:
        where = f"{source}: case {case.label!r}"
        check_tuple(where, "props", case.props, Prop)
        check_tuple(where, "script", case.script, Waypoint)
        for prop in case.props:
            _one_of(where, "a prop", prop.name, props)
            check_prop(where, prop)
        check_script(where, case.script, arms, props)
