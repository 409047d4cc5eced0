"""`Task`: one task as data, and the tasks that it is related to. Standard library only.

A `Task` holds everything that tells one task from another; all other files only read it. The tasks themselves
are in constants.py; docs/add_a_task.md says how to write one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tasks.parts import Arm, Case, Entry, Near, Pair, Prop, Stage, Waypoint
from tasks.task_check import (
    check_cases,
    check_length,
    check_names,
    check_number,
    check_prop,
    check_script,
    check_stages,
    check_tuple,
)

__all__ = [
    "Arm",
    "Case",
    "Entry",
    "Near",
    "Pair",
    "Prop",
    "Stage",
    "Task",
    "Waypoint",
    "by_name",
    "mirrored",
    "swapped",
]


_TUPLES = {
    "cameras": str,
    "arms": Arm,
    "props": Prop,
    "stages": Stage,
    "script": Waypoint,
    "cases": Case,
    "choices": Stage,
}  # fields of a task, and what each holds


@dataclass(frozen=True)
class Task:
    """Everything that tells one task from another. A mistake in it is a ValueError that names the entry."""

    name: str
    episode_len: int  # control steps
    cameras: tuple[str, ...]  # recorded by default
    arms: tuple[Arm, ...]  # left first
    scene: str | None = None  # a stem in assets/; None on the real arm
    props: tuple[Prop, ...] = ()
    stages: tuple[Stage, ...] = ()  # reward = number of the highest stage that holds
    # Strict success: at some time this and the last stage hold for `strict_steps` running. Without it: the
    # last stage holds at the end, and has held for `strict_steps`.
    strict: Stage | None = None
    strict_steps: int = 10
    script: tuple[Waypoint, ...] = ()
    fps: int = 50  # control steps a second
    cases: tuple[Case, ...] = ()  # kinds of episode, equally likely; () if there is only one
    choices: tuple[Stage, ...] = ()  # what an episode may end in, right or wrong; at most one holds
    # Names of other tasks; they are no part of what this task is.
    human: str | None = field(
        default=None, compare=False
    )  # the same task done by hand, with its own episodes
    mirror: str | None = field(default=None, compare=False)  # its mirror image, which names this one in turn

    def __post_init__(self) -> None:
        source = f"task {self.name!r}"
        for name, kind in _TUPLES.items():
            check_tuple(source, name, getattr(self, name), kind)
        props, labels = [prop.name for prop in self.props], [arm.label for arm in self.arms]
        check_number(source, "episode_len", self.episode_len, 1)
        check_number(source, "strict_steps", self.strict_steps, 1)
        check_number(source, "fps", self.fps, 0, whole=False)
        check_names(source, self.cameras, self.arms, self.props)
        for prop in self.props:
            check_prop(source, prop)
        strict = (self.strict,) if self.strict else ()
        for name, stages in (("stage", self.stages), ("strict", strict), ("choice", self.choices)):
            check_stages(source, name, stages, props)
        check_script(source, self.script, labels, props)
        check_cases(source, self.cases, labels, props)

    @property
    def dim(self) -> int:
        """Length of `qpos` and of an action."""
        return sum(arm.dim for arm in self.arms)

    @property
    def max_reward(self) -> int:
        return len(self.stages)

    def progress(self, step: int, reward: float) -> str:
        """How far an episode is after `step` (from 0), for the viewer; `reward` is its highest so far."""
        return f"step {step + 1} of {self.episode_len}   highest reward {reward:g} of {self.max_reward}"

    @property
    def strict_label(self) -> str:
        """What strict success means, in words; "" for a task without stages."""
        if self.strict:
            return f"{self.strict.label} for {self.strict_steps} steps running"
        return f"{self.stages[-1].label} in the end, for {self.strict_steps} steps" if self.stages else ""

    @property
    def variants(self) -> tuple[Task, ...]:
        """Each case as a task of its own; a task without cases is its only variant."""
        return tuple(map(self._variant, self.cases)) or (self,)

    def _variant(self, case: Case) -> Task:
        own = {prop.name: prop for prop in case.props}
        props = tuple(own.get(prop.name, prop) for prop in self.props)
        return replace(self, props=props, script=case.script or self.script, cases=())

    def case_number(self, episode: int) -> int:
        """Number of an episode's case: the cases take turns, so that each gets its exact share."""
        return episode % len(self.variants)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of `qpos` and of an action."""
        return tuple(entry for arm in self.arms for entry in arm.entries)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Name of each entry of `qpos` and of an action."""
        return tuple(entry.name for entry in self.entries)


def by_name(tasks: Iterable[Task]) -> dict[str, Task]:
    """Tasks by their names; ValueError if two share one, a rate is no whole number, or a script is longer
    than its episodes.
    """
    found: dict[str, Task] = {}
    for task in tasks:
        if task.name in found:
            raise ValueError(f"two tasks are called {task.name!r}; each needs a name of its own")
        check_number(f"task {task.name!r}", "fps", task.fps, 1)  # as episode files take it
        for variant in task.variants:
            check_length(f"task {task.name!r}", variant.script, task.episode_len)
        found[task.name] = task
    return found


_SWAP = {"left": "right", "right": "left"}


def swapped(name: str) -> str:
    """`name` with left and right exchanged."""
    return re.sub("left|right", lambda side: _SWAP[side[0]], name)


def _swapped_stage(stage: Stage) -> Stage:
    touch = tuple((swapped(one), swapped(other)) for one, other in stage.touch)
    clear = tuple((swapped(one), swapped(other)) for one, other in stage.clear)
    near = tuple((prop, _mirrored_place(place), metres) for prop, place, metres in stage.nears)
    near = near[0] if stage.near and stage.near == stage.nears[0] else near
    otherwise = stage.otherwise and _swapped_stage(stage.otherwise)
    return replace(stage, touch=touch, clear=clear, near=near, otherwise=otherwise)


def _mirrored_place(place: str | tuple[float, ...]) -> str | tuple[float, ...]:
    return swapped(place) if isinstance(place, str) else (-place[0], *place[1:])


def _mirrored_turn(turn: tuple[str | float, ...]) -> tuple[str | float, ...]:
    pairs = zip(turn[::2], turn[1::2], strict=True)
    return tuple(entry for axis, degrees in pairs for entry in (axis, degrees if axis == "x" else -degrees))


def _mirrored_props(props: tuple[Prop, ...]) -> tuple[Prop, ...]:
    return tuple(
        replace(
            prop,
            low=(-prop.high[0], *prop.low[1:]),
            high=(-prop.low[0], *prop.high[1:]),
            yaw=(0.0 - prop.yaw[1], 0.0 - prop.yaw[0]),
        )
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
    """A task in a mirror at the plane x = 0: left and right swap their roles.

    An episode of `task` becomes one of this task when its arms are swapped and every joint that swings or
    rolls an arm sideways (waist, forearm_roll, wrist_rotate) changes its sign, as in ACT++'s mirrored files.
    """
    arms = (replace(arm, name=swapped(arm.name), label=swapped(arm.label)) for arm in task.arms)
    return replace(
        task,
        name=name,
        human=None,
        mirror=task.name,
        arms=tuple(sorted(arms, key=lambda arm: arm.label)),  # left first
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
