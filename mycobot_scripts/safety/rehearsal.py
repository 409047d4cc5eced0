"""Plays a policy's chunk on the twin's body first; refuses one that hits something or leaves a limit.

It checks poses, not forces: every action of a chunk, and the path to it. Nobody knows where the real props
are, so they are left out; the table, what is fixed to it, and the arm itself are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from actors import Actor, Observation, Rest, Seen
from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.safety.guard import Guard
from mycobot_scripts.safety.limits import Limits, SafetyStop
from tasks import ArmIndex, LinkedJoints, Task, build_model, mujoco

TABLE = "mycobot_table"  # the scene for a task that has none: an empty table
DEPTH = 0.002  # m; less is a touch, not a collision
STRIDE = np.radians(2.0)  # between poses that are checked


class Rehearsal:
    """A task's arm and table.

    Args:
        task: of one myCobot 320.
        limits: those of the arm.
    """

    def __init__(self, task: Task, limits: Limits) -> None:
        self._guard = Guard(limits)
        self._model = build_model(replace(task, scene=task.scene or TABLE), has_props=False)
        self._data = mujoco.MjData(self._model)
        self._index, self._linked = ArmIndex(self._model, task.arms[0]), LinkedJoints(self._model)
        self._names = [self._model.geom(i).name for i in range(self._model.ngeom)]
        is_arm = np.array([name.startswith(f"{task.arms[0].name}/") for name in self._names])
        in_gripper = np.array([self._is_below("gripper_base", body) for body in self._model.geom_bodyid])
        self._is_arm, self._in_gripper = is_arm, in_gripper

    def check(self, chunk: np.ndarray, qpos: np.ndarray) -> None:
        """SafetyStop if a chunk of actions (n, 7), begun at the state (7,), must not be executed."""
        before = np.asarray(qpos, dtype=float)
        for n, action in enumerate(np.asarray(chunk, dtype=float)[:, : JOINTS + 1], start=1):
            which = f"the rehearsal refused action {n} of {len(chunk)}"
            self._guard.check_action(action)
            limit = self._guard.beyond(action)
            if limit is not None:
                raise SafetyStop(f"{which}: it is beyond a limit ({limit})")
            steps = max(1, math.ceil(np.abs(action - before)[:JOINTS].max() / STRIDE))
            for share in np.arange(1, steps + 1) / steps:
                hit = self._collision(before + share * (action - before))
                if hit:
                    raise SafetyStop(f"{which}: {hit}")
            before = action

    def _collision(self, pose: np.ndarray) -> str | None:
        """What the arm would hit at a pose (7,), as a sentence; None if nothing."""
        data = self._data
        data.qpos[self._index.qpos] = self._index.targets(pose)
        self._linked.place(data)
        mujoco.mj_fwdPosition(self._model, data)
        pairs, depths = data.contact.geom, -data.contact.dist
        is_hit = (depths > DEPTH) & self._is_arm[pairs].any(axis=1) & ~self._in_gripper[pairs].all(axis=1)
        if not is_hit.any():
            return None
        deepest = int(np.where(is_hit, depths, -np.inf).argmax())
        pair = sorted(pairs[deepest], key=lambda geom: not self._is_arm[geom])  # the arm's part first
        one, other = (self._names[geom].split("/")[-1] for geom in pair)
        return f"{one} would be {1000 * depths[deepest]:.0f} mm inside {other}"

    def _is_below(self, body: str, number: int) -> bool:
        """Whether a body is one of the arm's, or hangs from it."""
        top = self._model.body(f"{self._index.arm.name}/{body}").id
        while number not in (0, top):
            number = self._model.body_parentid[number]
        return number == top


class Rehearsed(Actor):
    """An actor whose every chunk is rehearsed.

    Args:
        actor: the actor.
        rehearsal: what it is played on.
        refuse: called with the reason when a chunk is refused: stops the arm before it moves.
    """

    def __init__(self, actor: Actor, rehearsal: Rehearsal, refuse: Callable[[str], None]) -> None:
        self._actor, self._rehearsal, self._refuse = actor, rehearsal, refuse
        self.interface, self.traits = actor.interface, actor.traits

    def reset(self, key: Sequence[int]) -> None:
        self._actor.reset(key)

    def close(self) -> None:
        self._actor.close()

    def observe(self, observation: Observation) -> Seen:
        return self._actor.observe(observation)

    def act(self, seen: Seen, rest: Rest | None = None) -> np.ndarray:
        """The actor's chunk (n, A)."""
        chunk = self._actor.act(seen, rest)
        qpos = seen["qpos"].reshape(-1, seen["qpos"].shape[-1])[-1]
        try:
            self._rehearsal.check(chunk, qpos)
        except SafetyStop as stop:
            self._refuse(str(stop))
        return chunk
