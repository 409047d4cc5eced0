"""Disturbances of physics: each changes the compiled model of a scene before a rollout; `changed` puts it
back.

"Theirs" is z1050297972-spec/act-vision-dynamic (robustness.py, sim_env.py), which draws all four of its
factors in every rollout, uniformly: mass 0.7 to 1.3, friction 0.5 to 1.8, damping 0.8 to 1.2, gain 0.85 to
1.15. Most of its rollouts are "severe": one factor is off by more than a fifth.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from disturbances.registry import MODEL, Applied, register
from tasks import Task

FIELDS = (  # of a model, which disturbances change
    *("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0"),
    *("geom_size", "geom_pos", "geom_rbound", "geom_aabb", "geom_friction"),
    *("dof_damping", "dof_frictionloss", "actuator_gainprm", "actuator_biasprm"),
)
dynamics = partial(register, "dynamics", MODEL)


class Scene:
    """A compiled model (MuJoCo's), and which of its parts are the task's props and arms."""

    def __init__(self, model: Any, task: Task) -> None:
        self.model = model
        names = {model.joint(i).name: i for i in range(model.njnt)}
        joints = [names[f"{prop.name}_joint"] for prop in task.props if f"{prop.name}_joint" in names]
        self.props = model.jnt_bodyid[joints]  # bodies
        self.prop_dofs = model.jnt_dofadr[joints][:, None] + np.arange(6)  # (P, 6)
        self.prop_geoms = np.flatnonzero(np.isin(model.geom_bodyid, self.props))
        self.arm_dofs = np.setdiff1d(np.arange(model.nv), self.prop_dofs)


def _either_way(factor: float, rng: np.random.Generator) -> float:
    return factor if rng.random() < 0.5 else 1 / factor


@dynamics("objects are heavier or lighter", "times", (1.3, 2, 4))
def mass(scene: Scene, strength: float, rng: np.random.Generator) -> None:
    """Mass and inertia of each object times this, or divided by it. Theirs reaches mild here."""
    model = scene.model
    for body, dofs in zip(scene.props, scene.prop_dofs, strict=True):
        factor = _either_way(strength, rng)
        for name in ("body_mass", "body_inertia", "body_subtreemass"):
            getattr(model, name)[body] *= factor
        model.body_invweight0[body] /= factor
        model.dof_invweight0[dofs] /= factor


@dynamics("everything is more slippery", "times the friction", (0.7, 0.5, 0.3))
def friction(scene: Scene, strength: float, rng: np.random.Generator) -> None:
    """Sliding friction of all surfaces times this. Theirs reaches from middle here to 1.8, on the objects
    alone.
    """
    scene.model.geom_friction[:, 0] *= strength


@dynamics("objects are larger or smaller", "%", (5, 10, 20))
def size(scene: Scene, strength: float, rng: np.random.Generator) -> None:
    """All objects larger by this share, or smaller; their mass stays. Theirs has none."""
    model, factor = scene.model, _either_way(1 + strength / 100, rng)
    for name in ("geom_size", "geom_pos", "geom_rbound", "geom_aabb"):
        getattr(model, name)[scene.prop_geoms] *= factor


@dynamics("motors are weaker or stronger", "%", (7, 15, 30))
def gain(scene: Scene, strength: float, rng: np.random.Generator) -> None:
    """Stiffness of all position servos more or less by this share. Theirs reaches middle here."""
    factor = 1 + strength / 100 * rng.choice([-1.0, 1.0])
    scene.model.actuator_gainprm[:, 0] *= factor
    scene.model.actuator_biasprm[:, 1] *= factor


@dynamics("joints are harder to turn, as in the cold", "times friction and damping", (1.2, 1.5, 2))
def damping(scene: Scene, strength: float, rng: np.random.Generator) -> None:
    """Damping and dry friction of the arms' joints times this. ALOHA's arms have dry friction alone: theirs,
    which changes damping alone, does nothing there; its 1.2 would be mild.
    """
    for name in ("dof_damping", "dof_frictionloss"):
        getattr(scene.model, name)[scene.arm_dofs] *= strength


@contextlib.contextmanager
def changed(model: Any, task: Task, applied: Sequence[Applied], seed: int, rollout: int) -> Iterator[None]:
    """Inside, a model (MuJoCo's) is as the disturbances among `applied` that concern it make it in a rollout.

    Change it before the environment's reset; at the end it is as it was, to the bit.
    """
    changes = [each for each in applied if each.kind == MODEL]
    before = {name: getattr(model, name).copy() for name in FIELDS} if changes else {}
    try:
        scene = Scene(model, task) if changes else None
        for each in changes:
            each.disturbance.apply(scene, each.strength, each.disturbance.rng(seed, rollout))
        yield
    finally:
        for name, values in before.items():
            getattr(model, name)[:] = values
