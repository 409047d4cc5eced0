"""MuJoCo models of tasks: a scene, its props, and the arms attached to it, each under its name as prefix."""

from __future__ import annotations

import ctypes.util
import importlib.resources
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from constants import choose
from schema import Arm, Task

GL_HELP = (
    "no OpenGL library for rendering without a display; on Debian or Ubuntu: "
    "apt-get install libegl1 libgl1-mesa-dri   (or libosmesa6, with MUJOCO_GL=osmesa)"
)


def choose_gl_backend() -> None:
    """Set `MUJOCO_GL` if it is unset and there is no display: EGL, else OSMesa, else none (physics alone)."""
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if "MUJOCO_GL" in os.environ or not sys.platform.startswith("linux") or has_display:
        return
    libraries = {"egl": "EGL", "osmesa": "OSMesa"}
    found = (backend for backend, library in libraries.items() if ctypes.util.find_library(library))
    os.environ["MUJOCO_GL"] = next(found, "disabled")


@contextmanager
def opengl_explained() -> Iterator[None]:
    """Around imports that load OpenGL: ImportError that says what to install where it is missing."""
    try:
        yield
    except (ImportError, AttributeError) as error:  # how PyOpenGL says that a library is missing
        if not any(word in str(error) for word in ("EGL", "OSMesa", "'NoneType'")):
            raise
        raise ImportError(f"{GL_HELP} ({error})") from error


choose_gl_backend()  # read when these are imported
with opengl_explained():
    import mujoco

    from randomize import add_assets

ASSETS = Path(__file__).resolve().parent / "assets"
PHYSICS_DT = 0.002  # s; ACT's
QUALITIES = ("fast", "full")  # fast: neither shadows nor multisampling, six times faster in software


def _load_spec(stem: str) -> mujoco.MjSpec:
    """Read `assets/<stem>.xml`; its mesh files are those of the installed package gym-aloha."""
    meshes = importlib.resources.files("gym_aloha") / "assets"
    spec = mujoco.MjSpec.from_file(str(ASSETS / f"{stem}.xml"))
    for mesh in spec.meshes:
        mesh.file = str(meshes / Path(mesh.file).name)
    return spec


def _set_dynamics(spec: mujoco.MjSpec, arm: Arm) -> None:
    """Make the arm's actuators follow commands as late, as gradually and at most as fast as `arm` says.

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


def build_model(
    task: Task, render_quality: str = "fast", has_props: bool = True, randomize: bool = False
) -> mujoco.MjModel:
    """Compile the task's scene, with or without its props, and its arms, each under its name as prefix.

    `randomize` adds what `randomize.Looks` needs.
    """
    choose("render quality", render_quality, QUALITIES)
    if task.scene is None:
        raise ValueError(f"task {task.name!r} has no scene to simulate; it belongs to a real arm")
    spec = _load_spec(task.scene)
    for arm in task.arms:
        spec.attach(_load_spec(arm.model), frame=spec.frame(arm.name), prefix=f"{arm.name}/")
        spec.camera(f"{arm.name}/wrist").name = f"{arm.label}_wrist"
        _set_dynamics(spec, arm)
    if not has_props:
        for prop in task.props:
            spec.delete(spec.joint(f"{prop.name}_joint").parent)
    if render_quality == "fast":
        spec.visual.quality.offsamples = 0
    spec.option.timestep = PHYSICS_DT
    if randomize:
        add_assets(spec)
    return spec.compile()
