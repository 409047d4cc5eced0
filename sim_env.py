"""Simulated environments in joint space: one dm_control task for any `constants.Task`.

Joints, fingers, props and cameras are looked up by name once; afterwards a step is a few array operations.
The physics is ALOHA's as ACT simulates it (ACT: sim_env.py), on current MuJoCo.
"""

from __future__ import annotations

import ctypes.util
import importlib.resources
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from constants import IMAGE_SIZE, Arm, Task, choose

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


choose_gl_backend()  # dm_control reads the variable when it is imported
try:
    import mujoco
    from dm_control import mujoco as dm_mujoco
    from dm_control.mujoco import wrapper
    from dm_control.rl import control
    from dm_env import TimeStep, specs
except (ImportError, AttributeError) as error:  # how PyOpenGL says that a library is missing
    if not any(word in str(error) for word in ("EGL", "OSMesa", "'NoneType'")):
        raise
    raise ImportError(f"{GL_HELP} ({error})") from error

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


def build_model(task: Task, render_quality: str = "fast") -> mujoco.MjModel:
    """Compile the task's scene with its arms attached, each under its own name as prefix."""
    choose("render quality", render_quality, QUALITIES)
    if task.scene is None:
        raise ValueError(f"task {task.name!r} has no scene to simulate; it belongs to a real arm")
    spec = _load_spec(task.scene)
    for arm in task.arms:
        spec.attach(_load_spec(arm.model), frame=spec.frame(arm.name), prefix=f"{arm.name}/")
        spec.camera(f"{arm.name}/wrist").name = f"{arm.label}_wrist"
    if render_quality == "fast":
        spec.visual.quality.offsamples = 0
    spec.option.timestep = PHYSICS_DT
    return spec.compile()


class _ArmIndex:
    """Where one arm's numbers stand in MuJoCo's arrays."""

    def __init__(self, model: mujoco.MjModel, arm: Arm) -> None:
        joints = [model.joint(f"{arm.name}/{name}") for name in (*arm.joints, *(f for f, _ in arm.fingers))]
        self.qpos = np.array([joint.qposadr[0] for joint in joints])
        self.qvel = np.array([joint.dofadr[0] for joint in joints])
        self.ctrl = np.array(
            [model.actuator(f"{arm.name}/{n}").id for n in (*arm.joints, *dict(arm.fingers))]
        )
        self.signs = np.array([sign for _, sign in arm.fingers])
        self.closed, opened = arm.opening
        self.travel = opened - self.closed

    def state(self, qpos: np.ndarray, qvel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """State (D,) and velocity (D,) of the arm; the gripper is read off its first finger, as ACT does."""
        n = len(self.qpos) - len(self.signs)
        position, velocity = qpos[self.qpos[: n + 1]], qvel[self.qvel[: n + 1]]
        position[n] = (position[n] * self.signs[0] - self.closed) / self.travel
        velocity[n] *= self.signs[0] / self.travel
        return position, velocity

    def control(self, action: np.ndarray) -> np.ndarray:
        """Actuator targets for an action (D,): joint angles, then one target per finger."""
        opening = self.closed + np.clip(action[-1], 0.0, 1.0) * self.travel
        return np.concatenate([action[:-1], self.signs * opening])


class LazyImages(Mapping):
    """Images of one step by camera name, rendered when they are first asked for."""

    def __init__(self, sim: SimTask, physics: dm_mujoco.Physics) -> None:
        self._sim, self._physics = sim, physics
        self._moment = sim.moment
        self._frames: dict[str, np.ndarray] = {}

    def __getitem__(self, camera: str) -> np.ndarray:
        """Image (H, W, 3) uint8 RGB. RuntimeError once the simulation has moved on."""
        if camera not in self._frames:
            if self._moment != self._sim.moment:
                raise RuntimeError(f"camera {camera!r} was first asked for after the simulation had moved on")
            self._frames[camera] = self._sim.render(self._physics, camera)
        return self._frames[camera]

    def __contains__(self, camera: object) -> bool:
        return camera in self._sim.cameras  # the default would render it

    def __iter__(self) -> Iterator[str]:
        return iter(self._sim.cameras)

    def __len__(self) -> int:
        return len(self._sim.cameras)


class SimTask(control.Task):
    """dm_control task for any `constants.Task`: control, observation and staged reward, all by name."""

    def __init__(
        self, task: Task, model: mujoco.MjModel, render_quality: str, image_size: tuple[int, int] = IMAGE_SIZE
    ) -> None:
        self.spec = task
        self.render_quality = render_quality
        self.image_size = image_size
        self.cameras = tuple(model.camera(i).name for i in range(model.ncam))
        self.moment = 0  # counts the states the simulation has been in
        self.rng: np.random.Generator | None = None
        self.start: np.ndarray | None = None
        self._arms = [_ArmIndex(model, arm) for arm in task.arms]
        self._ctrl = np.concatenate([arm.ctrl for arm in self._arms])
        self._ends = np.cumsum([arm.dim for arm in task.arms])[:-1]
        self._props = [int(model.joint(f"{prop.name}_joint").qposadr[0]) for prop in task.props]
        self._n_geoms = model.ngeom
        self._stages = [
            ([self._pair(model, p) for p in stage.touch], [self._pair(model, p) for p in stage.clear])
            for stage in task.stages
        ]
        self._views: dict[str, dm_mujoco.Camera] = {}

    def _pair(self, model: mujoco.MjModel, pair: tuple[str, str]) -> int:
        """One number for two geoms, whatever their order."""
        low, high = sorted(model.geom(name).id for name in pair)
        return low * self._n_geoms + high

    def sample_start(self, rng: np.random.Generator) -> np.ndarray:
        """Start pose of the props (P * 7,): xyz (m) and quaternion wxyz each."""
        poses = [np.append(rng.uniform(p.low, p.high), [1.0, 0.0, 0.0, 0.0]) for p in self.spec.props]
        return np.concatenate(poses) if poses else np.zeros(0)

    def initialize_episode(self, physics: dm_mujoco.Physics) -> None:
        data = physics.data.ptr
        for arm, index in zip(self.spec.arms, self._arms, strict=True):
            pose = np.append(arm.start, arm.start_opening * index.signs)
            data.qpos[index.qpos] = pose
            data.ctrl[index.ctrl] = pose
        for address, pose in zip(self._props, self.start.reshape(-1, 7), strict=True):
            data.qpos[address : address + 7] = pose
        self.moment += 1

    def before_step(self, action: np.ndarray, physics: dm_mujoco.Physics) -> None:
        self.moment += 1
        action = np.asarray(action, dtype=float)
        if action.shape != (self.spec.dim,) or not np.isfinite(action).all():
            raise ValueError(f"action is {action}; {self.spec.name} takes {self.spec.dim} finite numbers")
        parts = np.split(action, self._ends)
        controls = [arm.control(part) for arm, part in zip(self._arms, parts, strict=True)]
        physics.data.ptr.ctrl[self._ctrl] = np.concatenate(controls)

    def get_observation(self, physics: dm_mujoco.Physics) -> dict:
        """`qpos` (D,), `qvel` (D,), and `images` {camera: (H, W, 3)}, rendered when asked for."""
        data = physics.data.ptr
        states = [arm.state(data.qpos, data.qvel) for arm in self._arms]
        return {
            "qpos": np.concatenate([position for position, _ in states]),
            "qvel": np.concatenate([velocity for _, velocity in states]),
            "images": LazyImages(self, physics),
        }

    def get_reward(self, physics: dm_mujoco.Physics) -> int:
        """Number of the highest stage that holds; 0 if none does."""
        geoms = np.sort(physics.data.ptr.contact.geom, axis=1)
        touching = set((geoms[:, 0] * self._n_geoms + geoms[:, 1]).tolist())
        holds = [touching.issuperset(touch) and touching.isdisjoint(clear) for touch, clear in self._stages]
        return max((number for number, held in enumerate(holds, start=1) if held), default=0)

    def action_spec(self, physics: dm_mujoco.Physics) -> specs.BoundedArray:
        """Bounds of an action (D,): each joint's range (rad), and [0, 1] for the gripper."""
        bounds = physics.model.ptr.actuator_ctrlrange
        low, high = [], []
        for arm in self._arms:
            joints = arm.ctrl[: len(arm.ctrl) - len(arm.signs)]
            low += [*bounds[joints, 0], 0.0]
            high += [*bounds[joints, 1], 1.0]
        return specs.BoundedArray((self.spec.dim,), float, minimum=low, maximum=high, name="action")

    def observation_spec(self, physics: dm_mujoco.Physics) -> dict:
        images = {name: specs.Array((*self.image_size, 3), np.uint8, name=name) for name in self.cameras}
        state = {name: specs.Array((self.spec.dim,), float, name=name) for name in ("qpos", "qvel")}
        return {**state, "images": images}

    def render(self, physics: dm_mujoco.Physics, camera: str) -> np.ndarray:
        """Image (H, W, 3) uint8 RGB of the present state."""
        choose("camera", camera, self.cameras)
        if os.environ.get("MUJOCO_GL") == "disabled":
            raise RuntimeError(GL_HELP)
        if camera not in self._views:
            height, width = self.image_size
            try:
                self._views[camera] = dm_mujoco.Camera(physics, height, width, camera_id=camera)
            except mujoco.FatalError as error:  # a display that cannot be reached, say
                raise RuntimeError(f"{GL_HELP} ({error})") from error
            if self.render_quality == "fast":
                self._views[camera].scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        return self._views[camera].render().copy()  # dm_control draws every frame into the same buffer


class SimEnv(control.Environment):
    """`reset / step / close` in joint space. Its observations are those of `SimTask.get_observation`."""

    def reset(
        self, rng: np.random.Generator | int | None = None, env_state: np.ndarray | None = None
    ) -> TimeStep:
        """Start an episode: props where `env_state` (P * 7,) says, or drawn from `rng` (a generator or a
        seed).
        """
        start = self.task.sample_start(np.random.default_rng(rng)) if env_state is None else env_state
        if np.shape(start) != (7 * len(self.task.spec.props),):
            raise ValueError(
                f"env_state has shape {np.shape(start)}; {self.task.spec.name} needs a pose (xyz, wxyz) "
                f"for each of {[prop.name for prop in self.task.spec.props]}"
            )
        self.task.start = np.asarray(start, dtype=float)
        return super().reset()

    @property
    def env_state(self) -> np.ndarray:
        """Start pose of the props (P * 7,) in this episode."""
        return self.task.start

    def close(self) -> None:
        """Free the renderers now: left to the interpreter's exit, EGL ones print tracebacks."""
        for view in self.task._views.values():
            view.scene.free()
        self.task._views.clear()
        self.physics.free()
        super().close()


def make_sim_env(
    task: Task, render_quality: str = "fast", image_size: tuple[int, int] = IMAGE_SIZE
) -> SimEnv:
    """The environment of a simulated task; `image_size` is (height, width) in pixels."""
    model = build_model(task, render_quality)
    physics = dm_mujoco.Physics.from_model(wrapper.MjModel(model))
    sim_task = SimTask(task, model, render_quality, image_size)
    return SimEnv(physics, sim_task, time_limit=float("inf"), control_timestep=1.0 / task.fps)
