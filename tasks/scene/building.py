"""MuJoCo models of tasks: a scene, its props, and the arms attached to it, each with its name as prefix."""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from common import choose, did_you_mean
from tasks.looks import add_assets
from tasks.opengl import mujoco
from tasks.parts import Arm
from tasks.schema import Task
from tasks.stages import Judge, places_of

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PHYSICS_DT = 0.002  # s; ACT's
QUALITIES = ("fast", "full")  # fast: no shadows, no multisampling, fewer faces; ten times faster in software
STACKS = 4  # rings of round shapes in fast quality; MuJoCo draws 16, in half as much time again


def _load_spec(stem: str) -> mujoco.MjSpec:
    """Read `assets/<stem>.xml`; its meshes come from the installed package gym-aloha."""
    meshes = importlib.resources.files("gym_aloha") / "assets"
    spec = mujoco.MjSpec.from_file(str(ASSETS / f"{stem}.xml"))
    for mesh in spec.meshes:
        mesh.file = str(meshes / Path(mesh.file).name)
    return spec


def _set_dynamics(spec: mujoco.MjSpec, arm: Arm) -> None:
    """Give the arm's actuators the delay, time constant and speed limit of `arm`.

    A servo of stiffness k against damping b approaches its target with time constant b / k; a force limit F
    lets it go no faster than F / b: a motor's stall torque and no-load speed.
    """
    for name in arm.actuators:
        actuator = spec.actuator(f"{arm.name}/{name}")
        if arm.delay:
            actuator.delay = arm.delay
            actuator.nsample = math.ceil(arm.delay / PHYSICS_DT) + 1
        if arm.time_constant is not None:
            damping = actuator.gainprm[0] * arm.time_constant
            spec.joint(actuator.target).damping[0] = damping
            if arm.max_speed is not None:
                actuator.forcerange = (-damping * arm.max_speed, damping * arm.max_speed)


def _scene_spec(task: Task) -> mujoco.MjSpec:
    """The task's scene without its arms; ValueError if it has none, or one that cannot be read."""
    if task.scene is None:
        raise ValueError(f"task {task.name!r} has no scene to simulate; it belongs to a real arm")
    path = ASSETS / f"{task.scene}.xml"
    if not path.is_file():
        scenes = sorted(file.stem for file in ASSETS.glob("*.xml"))
        raise ValueError(
            f"task {task.name!r}: there is no scene {task.scene!r} in assets/; "
            f"{did_you_mean(task.scene, scenes)}it has {', '.join(scenes)}"
        )
    try:
        return _load_spec(task.scene)
    except ValueError as error:
        raise ValueError(f"task {task.name!r}: {path} is no scene ({' '.join(str(error).split())})") from None


def _check_name(task: Task, kind: str, name: str, names: Iterable[str]) -> None:
    """ValueError, with the names that exist, unless `name` is one of them."""
    names = sorted(filter(None, names))
    if name not in names:
        raise ValueError(
            f"task {task.name!r}: the scene {task.scene!r} has no {kind} {name!r}; "
            f"{did_you_mean(name, names)}it has {', '.join(names) or 'none'}"
        )


def _check_names(spec: mujoco.MjSpec, task: Task) -> None:
    """ValueError for a prop, a camera, a place or a geom that the task names and its scene lacks."""
    free = [joint.name for joint in spec.joints if joint.type == mujoco.mjtJoint.mjJNT_FREE]
    for prop in task.props:
        _check_name(task, f"free joint for the prop {prop.name!r} called", f"{prop.name}_joint", free)
    for camera in task.cameras:
        _check_name(task, "camera", camera, (each.name for each in spec.cameras))
    props = {prop.name for prop in task.props}
    places = [each.name for each in (*spec.geoms, *spec.sites, *spec.bodies)]
    for name in places_of(task):
        if name not in props:
            _check_name(task, "place (geom, site or body)", name, places)
    Judge(task, [geom.name for geom in spec.geoms])


class Places:
    """Positions of what a task's stages ask about (`stages.places_of`): props, sites, geoms, bodies."""

    def __init__(self, model: mujoco.MjModel, task: Task) -> None:
        self._model, self._props = model, {prop.name for prop in task.props}
        self._rows = {name: self._find(name) for name in places_of(task)}

    def _find(self, name: str) -> tuple[str, int]:
        """MuJoCo's array that holds its position, and the row there."""
        model = self._model
        if name in self._props:
            return "xpos", int(model.joint(f"{name}_joint").bodyid[0])
        kinds = {"site_xpos": mujoco.mjtObj.mjOBJ_SITE, "geom_xpos": mujoco.mjtObj.mjOBJ_GEOM}
        kinds["xpos"] = mujoco.mjtObj.mjOBJ_BODY
        rows = ((array, mujoco.mj_name2id(model, kind, name)) for array, kind in kinds.items())
        return next((array, row) for array, row in rows if row >= 0)

    def __call__(self, data: mujoco.MjData) -> dict[str, np.ndarray]:
        """Position (3,) in m of each, world frame."""
        return {name: getattr(data, array)[row].copy() for name, (array, row) in self._rows.items()}


def build_model(
    task: Task, render_quality: str = "fast", has_props: bool = True, randomize: bool = False
) -> mujoco.MjModel:
    """Compile the task's scene, with or without its props, and its arms, each with its name as prefix.

    `randomize` adds what `looks.Looks` needs. ValueError, with the entry, if the task names something that
    its scene lacks.
    """
    choose("render quality", render_quality, QUALITIES)
    spec = _scene_spec(task)
    for arm in task.arms:
        _check_name(
            task, f"frame for the {arm.label} arm called", arm.name, (frame.name for frame in spec.frames)
        )
        spec.attach(_load_spec(arm.model), frame=spec.frame(arm.name), prefix=f"{arm.name}/")
        spec.camera(f"{arm.name}/wrist").name = f"{arm.label}_wrist"
        _set_dynamics(spec, arm)
    _check_names(spec, task)
    if not has_props:
        for prop in task.props:
            spec.delete(spec.joint(f"{prop.name}_joint").parent)
    if render_quality == "fast":
        spec.visual.quality.offsamples = 0
        spec.visual.quality.numstacks = STACKS
    spec.option.timestep = PHYSICS_DT
    if randomize:
        add_assets(
            spec, has_walls=render_quality == "fast"
        )  # in full quality, walls would keep the light out
    return spec.compile()
