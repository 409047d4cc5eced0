"""Demonstrations that others are made from: each is replayed, watched, and cut into parts.

A part is one arm's way to one event. It belongs to a thing, and is moved with it (MimicGen: Mandlekar et al.
2023, arXiv:2310.17596, section IV; for two arms DexMimicGen: Jiang et al. 2024, arXiv:2410.24185). Nobody
says where the parts begin: contacts tell it, whoever gave the demonstration, in any task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from episodes import Episode, source_name
from evaluation import run_episode
from tasks import Task, nearest_case

if TYPE_CHECKING:  # they open OpenGL
    from ee_sim_env import EndEffectorEnv

NEAR = 0.06  # m; nearer to where an event happens, an arm's path is that of the source, wholly moved
PUSHED = 0.05  # m; a touched prop that has moved so far goes where the arm takes it, though it is not lifted
GAP = 0.2  # s; a touch that is lost for less goes on
# facts that say nothing about how a demonstration's arms move
ITS_OWN = {"task", "sim", "fps", "success", "disturbed", "places", "pace", "robot"}
LEAST_TOUCH = 2  # steps; a shorter one is a brush


@dataclass(frozen=True)
class Part:
    """A stretch of one arm's path that is moved with one thing. It lasts until the next part begins."""

    begin: int  # step at which it is seen where the thing is
    settled: int  # step from which the path is wholly moved with it; the join lies between
    prop: int | None  # number of the prop that it is moved with; None: the world, which stays


@dataclass(frozen=True)
class Watched:
    """What was seen before each of an episode's T actions: of A arms and P props."""

    commands: np.ndarray  # (T, A, 8), where the action sends each gripper: xyz (m), wxyz, gripper
    props: np.ndarray  # (T, P, 7), xyz (m) and wxyz
    touched: np.ndarray  # (T, A, P) bool, an arm touches a prop
    stands: np.ndarray  # (T, P) bool, a prop touches what is neither arm nor prop
    meets: np.ndarray  # (T, P, P) bool, two props touch

    @property
    def carried(self) -> np.ndarray:
        """(T, P) bool: arms hold a prop up, and it does not fall to its place as an episode begins."""
        has_stood = np.logical_or.accumulate(self.stands, axis=0)
        return self.touched.any(axis=1) & ~self.stands & has_stood


@dataclass(frozen=True)
class Source:
    """A demonstration, ready to be repeated from another start."""

    name: str  # folder and stem of its file
    case: int  # number of the task's case that it shows
    start: np.ndarray  # (P, 7), the props at its start
    state: np.ndarray | None  # (D,), the arms at its start; None: their start poses
    facts: Mapping[str, Any]  # of its file; how its arms move
    watched: Watched
    parts: tuple[tuple[Part, ...], ...]  # of each arm


class Watch:
    """Sees props and contacts of a simulation."""

    def __init__(self, env: EndEffectorEnv) -> None:
        self._env, task = env, env.spec
        model = env.env.physics.model.ptr
        self._arms = len(task.arms)
        joints = [model.joint(f"{prop.name}_joint") for prop in task.props]
        self._addresses = np.array([[int(joint.qposadr[0]) + i for i in range(7)] for joint in joints], int)
        roots = {int(joint.bodyid[0]): self._arms + i for i, joint in enumerate(joints)}
        bodies = [int(body) for body in model.geom_bodyid]
        self._owners = np.array([roots.get(int(model.body_rootid[body]), -1) for body in bodies])
        for i, arm in enumerate(task.arms):
            own = [model.body(body).name.startswith(f"{arm.name}/") for body in bodies]
            self._owners[own] = i
        self._things = self._arms + len(joints)

    def props(self) -> np.ndarray:
        """Poses of the props now (P, 7): xyz (m) and quaternion wxyz."""
        return self._env.env.physics.data.ptr.qpos[self._addresses].reshape(-1, 7)

    def contacts(self) -> np.ndarray:
        """Which of arms, props and the rest (last) touch each other now: (A + P + 1, A + P + 1) bool."""
        touching = np.zeros((self._things + 1, self._things + 1), bool)
        one, other = self._owners[self._env.env.physics.data.ptr.contact.geom].T
        touching[one, other] = touching[other, one] = True
        return touching


def watch(env: EndEffectorEnv, task: Task, episode: Episode) -> tuple[Watched, bool]:
    """Replay an episode, and see what happens; also whether it succeeds. RuntimeError if it is unstable."""
    seen, watcher = [], Watch(env)

    def act(step: int, _: Any) -> np.ndarray | None:
        if step == len(episode):
            return None
        seen.append((watcher.props().copy(), watcher.contacts()))
        return episode.action[step]

    state = episode.qpos[0] if episode.recovers else None
    start = env.reset(env_state=episode.env_state, state=state)
    replayed = run_episode(env.env, replace(task, episode_len=len(episode)), start, act)
    props, contacts = (np.array(rows) for rows in zip(*seen, strict=True))
    arms = len(task.arms)
    commands = np.array([env.gripper_action(action) for action in episode.action])
    watched = Watched(
        commands.reshape(len(episode), arms, 8),
        props,
        touched=contacts[:, :arms, arms:-1],
        stands=contacts[:, arms:-1, -1],
        meets=contacts[:, arms:-1, arms:-1],
    )
    return watched, bool(replayed.success)


def read_source(env: EndEffectorEnv, task: Task, path: Path, episode: Episode) -> Source | None:
    """The demonstration in a file, whose episode is given without images; None if its replay fails."""
    try:
        watched, is_success = watch(env, task, episode)
    except RuntimeError:  # unstable
        return None
    if not is_success:
        return None
    return Source(
        source_name(path),
        nearest_case(task, episode.env_state)[0],
        episode.env_state.reshape(-1, 7),
        episode.qpos[0] if episode.recovers else None,
        {name: value for name, value in episode.facts().items() if name not in ITS_OWN},
        watched,
        cut(watched, task.fps),
    )


def cut(watched: Watched, fps: int) -> tuple[tuple[Part, ...], ...]:
    """The parts of each arm's path; an arm that touches nothing has none."""
    gap = max(1, round(GAP * fps))
    watched = replace(watched, touched=_without_gaps(watched.touched, gap))
    return tuple(_parts(watched, arm, gap) for arm in range(watched.commands.shape[1]))


def _without_gaps(touched: np.ndarray, gap: int) -> np.ndarray:
    """The same (T, A, P), where what is lost for `gap` steps at most goes on."""
    filled = touched.copy()
    for arm, prop in np.ndindex(touched.shape[1:]):
        steps = np.flatnonzero(touched[:, arm, prop])
        for one, other in zip(steps, steps[1:], strict=False):
            filled[one:other, arm, prop] |= other - one <= gap + 1
    return filled


def _parts(watched: Watched, arm: int, gap: int) -> tuple[Part, ...]:
    path, last = watched.commands[:, arm], len(watched.commands) - 1
    others = np.delete(watched.touched, arm, axis=1).any(axis=1)  # (T, P)
    parts, begin, carries_until = [], 0, 0
    for prop, start, end in _touches(watched.touched[:, arm]):
        taken = _taken(watched, prop, start, end, gap)
        is_by_chance = taken is None and start <= gap  # it begins beside the prop
        if start < carries_until or is_by_chance:  # or it brushes another prop with its hands full
            continue
        just_before = slice(max(0, start - gap), start + 1)
        is_handed = (watched.carried & others)[just_before, prop].any()
        parts.append(_part(path, min(begin, max(0, start - 1)), start, None if is_handed else prop))
        begin = end
        if taken is not None:
            event = _arrival(watched, arm, prop, taken, end)
            parts.append(_part(path, taken, event, _goal(watched, prop, taken, end, gap)))
            carries_until = end
            far = np.flatnonzero(_distance(path[end:], path[min(end, last)]) > NEAR)
            begin = end + int(far[0]) if len(far) else last
    followed = [None, *(part.prop for part in parts)]
    both = zip(followed, parts, strict=False)
    # a path that stays in the world needs no new part
    return tuple(part for before, part in both if before is not None or part.prop is not None)


def _touches(touched: np.ndarray) -> list[tuple[int, int, int]]:
    """(prop, first step, step after the last) of each touch in (T, P), by its first step."""
    touches = [
        (start, prop, end)
        for prop, column in enumerate(touched.T)
        for start, end in stretches(column)
        if end - start >= LEAST_TOUCH
    ]
    return [(prop, start, end) for start, prop, end in sorted(touches)]


def stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first step, step after the last) of each stretch in which flags (T,) bool are set."""
    steps = np.flatnonzero(flags)
    runs = np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1)
    return [(int(run[0]), int(run[-1]) + 1) for run in runs if len(run)]


def _taken(watched: Watched, prop: int, start: int, end: int, gap: int) -> int | None:
    """The first step of a touch at which the prop goes with the arm; None if it is never taken along."""
    moved = _distance(watched.props[start:end, prop], watched.props[start, prop])
    carried = watched.carried[start : end + gap - 1, prop]
    for_good = [carried[i : i + gap].all() for i in range(end - start)]  # no bounce
    goes = np.flatnonzero(for_good | (moved > PUSHED))
    return start + int(goes[0]) if len(goes) else None


def _arrival(watched: Watched, arm: int, prop: int, taken: int, end: int) -> int:
    """The step at which a prop that was taken comes to another arm or prop, or is let go."""
    others = np.delete(watched.touched, arm, axis=1)[..., prop]
    meetings = np.concatenate([others, watched.meets[:, prop]], axis=1)[taken:end]
    new = np.flatnonzero((meetings & ~meetings[0]).any(axis=1))
    return min(taken + int(new[0]) if len(new) else end, len(watched.props) - 1)


def _goal(watched: Watched, prop: int, taken: int, end: int, gap: int) -> int | None:
    """The prop that another one is brought to, if nobody carries that; None: a place in the world."""
    meets = watched.meets[max(taken, end - gap) : end + gap, prop].any(axis=0)
    goals = np.flatnonzero(meets & ~watched.carried[taken:end].any(axis=0))
    return int(goals[0]) if len(goals) else None


def _part(path: np.ndarray, begin: int, event: int, prop: int | None) -> Part:
    """A part whose join ends where the arm was last away from where it is at the event."""
    away = np.flatnonzero(_distance(path[begin : event + 1], path[event]) > NEAR)
    return Part(begin, begin + max(1, int(away[-1]) if len(away) else 0), prop)


def _distance(poses: np.ndarray, from_pose: np.ndarray) -> np.ndarray:
    """Distance (n,) in m of poses (n, 3 or more) from another."""
    return np.linalg.norm(poses[:, :3] - from_pose[:3], axis=1)
