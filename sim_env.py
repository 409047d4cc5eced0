"""Simulated environments in joint space: one dm_control task for any `tasks.Task`.

Joints, fingers, props and cameras are looked up by name once; afterwards a step is a few array operations.
The physics is ALOHA's as ACT simulates it (ACT: sim_env.py), on current MuJoCo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from common import choose
from constants import IMAGE_SIZE
from tasks import (
    ArmIndex,
    Judge,
    LazyImages,
    LinkedJoints,
    Past,
    Places,
    Task,
    TimeStep,
    build_model,
    check_fork,
    checked_start,
    draw_light,
    mujoco,
    nearest_case,
    opengl_explained,
    rendering,
    sample_start,
)

with opengl_explained():
    from dm_control import mujoco as dm_mujoco
    from dm_control.mujoco import wrapper
    from dm_control.rl import control
    from dm_env import specs

    from tasks import LookPlan, Looks


class SimTask(control.Task):
    """dm_control task for any `tasks.Task`: control, observation and staged reward, all by name."""

    def __init__(
        self,
        task: Task,
        model: mujoco.MjModel,
        render_quality: str,
        image_size: tuple[int, int] = IMAGE_SIZE,
        has_props: bool = True,
        looks: Looks | None = None,
    ) -> None:
        self.spec = task
        self.looks = looks
        self.render_quality = render_quality
        self.image_size = image_size
        self.has_props = has_props
        self.cameras = tuple(model.camera(i).name for i in range(model.ncam))
        self.moment = 0  # number of the simulation's present state
        self.steps = 0  # control steps of this episode so far
        self.is_look_steady = False  # whether each episode keeps its first look
        self.remembers = False  # whether pictures of earlier states can be asked for
        self.start: np.ndarray | None = None
        self.start_state: np.ndarray | None = None  # of the arms; None: their start poses
        self._arms = [ArmIndex(model, arm) for arm in task.arms]
        self._motors = np.concatenate([index.motors for index in self._arms])
        self._home = np.concatenate([arm.start_state for arm in task.arms])  # (D,)
        self._command = self._home  # (D,), the last one
        self._ends = np.cumsum([arm.dim for arm in task.arms])[:-1]
        self._linked = LinkedJoints(model)
        self._props = [int(model.joint(f"{p.name}_joint").qposadr[0]) for p in task.props if has_props]
        judged_task = task if has_props else replace(task, stages=(), strict=None, choices=())
        self.judge = Judge(judged_task, [model.geom(i).name for i in range(model.ngeom)])
        self._places = Places(model, judged_task)
        self.renderers: dict[str, dm_mujoco.Camera] = {}  # by camera

    def sample_start(self, rng: np.random.Generator, case: int | None = None) -> np.ndarray:
        """As `tasks.sample_start`."""
        return sample_start(self.spec, rng, case)

    @property
    def case(self) -> int:
        """Number of this episode's case: the one whose regions are nearest to the props' start."""
        return nearest_case(self.spec, self.start)[0]

    def initialize_episode(self, physics: dm_mujoco.Physics) -> None:
        data = physics.data.ptr
        self._command = np.array(self._home if self.start_state is None else self.start_state, float)
        for index, state in self._split(self._command):
            index.place(physics.model.ptr, data, state)
        self._linked.place(data)
        for address, pose in zip(self._props, self.start.reshape(-1, 7), strict=self.has_props):
            data.qpos[address : address + 7] = pose
        self.judge.reset()
        self.moment += 1
        self.steps = 0

    def _split(self, numbers: np.ndarray) -> Iterator[tuple[ArmIndex, np.ndarray]]:
        """Each arm with its part of a state or an action (D,)."""
        return zip(self._arms, np.split(numbers, self._ends), strict=True)

    def place_prop(self, physics: dm_mujoco.Physics, number: int, pose: np.ndarray) -> None:
        """Put a prop where a pose (7,) says (xyz (m), quaternion wxyz), at rest; all else stays."""
        self.moment += 1
        model, data = physics.model.ptr, physics.data.ptr
        joint = model.joint(f"{self.spec.props[number].name}_joint")
        data.joint(joint.id).qpos, data.joint(joint.id).qvel = pose, 0.0
        mujoco.mj_forward(model, data)

    def pose(self, physics: dm_mujoco.Physics, state: np.ndarray) -> None:
        """Put the arms where a state (D,) says, without any motion; all else stays."""
        self.moment += 1
        data = physics.data.ptr
        for index, part in self._split(np.asarray(state, float)):
            data.qpos[index.qpos] = index.targets(part)
        self._linked.place(data)
        mujoco.mj_kinematics(physics.model.ptr, data)
        mujoco.mj_camlight(physics.model.ptr, data)

    def before_step(self, action: np.ndarray, physics: dm_mujoco.Physics) -> None:
        self.moment += 1
        self.steps += 1
        action = np.array(action, dtype=float)
        if action.shape != (self.spec.dim,) or not np.isfinite(action).all():
            raise ValueError(f"action is {action}; {self.spec.name} takes {self.spec.dim} finite numbers")
        self._command = action
        targets = [index.targets(part) for index, part in self._split(action)]
        physics.data.ptr.ctrl[self._motors] = np.concatenate(targets)

    def get_observation(self, physics: dm_mujoco.Physics) -> dict:
        """`qpos` (D,), `qvel` (D,), and `images` {camera: (H, W, 3)}, rendered when asked for."""
        states = [index.told(physics.data.ptr, sent) for index, sent in self._split(self._command)]
        return {
            "qpos": np.concatenate([position for position, _ in states]),
            "qvel": np.concatenate([velocity for _, velocity in states]),
            "images": LazyImages(self, physics),
        }

    def after_step(self, physics: dm_mujoco.Physics) -> None:
        data = physics.data.ptr
        self.judge.observe(data.contact.geom, self._places(data))

    def get_reward(self, physics: dm_mujoco.Physics) -> int:
        """Number of the highest stage that holds; 0 if none does."""
        data = physics.data.ptr
        return self.judge.reward(data.contact.geom, self._places(data))

    def action_spec(self, physics: dm_mujoco.Physics) -> specs.BoundedArray:
        """Bounds of an action (D,): each joint's range (rad), and [0, 1] for the gripper."""
        low, high = np.concatenate([index.bounds(physics.model.ptr) for index in self._arms]).T
        return specs.BoundedArray((self.spec.dim,), float, minimum=low, maximum=high, name="action")

    def observation_spec(self, physics: dm_mujoco.Physics) -> dict:
        images = {name: specs.Array((*self.image_size, 3), np.uint8, name=name) for name in self.cameras}
        state = {name: specs.Array((self.spec.dim,), float, name=name) for name in ("qpos", "qvel")}
        return {**state, "images": images}

    @contextmanager
    def rewound(self, physics: dm_mujoco.Physics, past: Past) -> Iterator[None]:
        """Inside, an earlier moment of this episode is drawn."""
        present, self.steps = self.steps, past.step
        try:
            with past.restored(physics.model.ptr):
                yield
        finally:
            self.steps = present

    def render(self, physics: dm_mujoco.Physics, camera: str) -> np.ndarray:
        """Image (H, W, 3) uint8 RGB of the current state."""
        choose("camera", camera, self.cameras)
        check_fork()
        if camera not in self.renderers:
            self.renderers[camera] = self._renderer(physics, camera)
        if self.looks is not None:
            self.looks.show(0 if self.is_look_steady else self.steps, physics.data.ptr)
        image = self.renderers[camera].render()  # dm_control draws every frame into the same buffer
        return image.copy() if self.looks is None else self.looks.develop(camera, image)

    def _renderer(self, physics: dm_mujoco.Physics, camera: str) -> dm_mujoco.Camera:
        before = self.looks and (lambda _, scene: self.looks.move_camera(camera, scene))
        with rendering():
            renderer = dm_mujoco.Camera(physics, *self.image_size, camera_id=camera, scene_callback=before)
        if self.render_quality == "fast":
            renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
            if not self.renderers:
                draw_light(physics)
        return renderer


class SimEnv(control.Environment):
    """`reset / step / close` in joint space. Its observations are those of `SimTask.get_observation`."""

    @property
    def spec(self) -> Task:
        """The simulated task; `task` is dm_control's, which simulates it."""
        return self.task.spec

    def reset(
        self,
        rng: np.random.Generator | int | None = None,
        env_state: np.ndarray | None = None,
        case: int | None = None,
        state: np.ndarray | None = None,
    ) -> TimeStep:
        """Start an episode.

        Props start where `env_state` (P * 7,) says, or are drawn from `rng` (a generator or a seed), in case
        number `case`, or in one drawn too. Arms start at rest in `state` (D,), or in their start poses.
        ValueError if `env_state` is no such poses.
        """
        start = env_state
        if start is None:
            start = self.task.sample_start(np.random.default_rng(rng), case)
        self.task.start, self.task.start_state = checked_start(self.spec, start), state
        return TimeStep(super().reset().observation)

    def step(self, action: np.ndarray) -> TimeStep:
        """Send an action (D,), which the step returns as `sent`. A simulation that wild actions make unstable
        ends the episode: no reward, and `last()` is true.
        """
        sent = np.array(action)
        try:
            step = super().step(sent)
        except control.PhysicsError:
            self._reset_next_step = True  # dm_control's own mark of an episode that is over
            return TimeStep(self.observe(), 0, is_last=True, sent=sent)
        return TimeStep(step.observation, step.reward, step.last(), sent)

    def knock_loose(self, rng: np.random.Generator) -> dict:
        """Take the first prop from whatever holds it, put it at rest where an episode of this case could
        start, and reset the judge. Returns the observation.
        """
        self.task.place_prop(self.physics, 0, sample_start(self.spec, rng, self.case)[:7])
        self.task.judge.reset()
        return self.observe()

    def set_looks(self, looks: LookPlan | np.random.Generator | int | Sequence[int] | None) -> None:
        """Draw the scene's looks from the next reset on, by a plan; or one mild look, from a generator or a
        seed; None: its own look.

        A plan's looks change with the steps of an episode, just before a camera of that moment is drawn.
        ValueError unless the environment was made with `randomize`.
        """
        if self.task.looks is None:
            raise ValueError(f"{self.spec.name} was made without randomize=True, so its looks cannot vary")
        self.task.moment += 1
        if looks is None:
            self.task.looks.restore()
        elif isinstance(looks, LookPlan):
            self.task.looks.follow(looks)
        else:
            self.task.looks.draw(np.random.default_rng(looks))

    @contextmanager
    def steady_look(self) -> Iterator[None]:
        """Meanwhile, an episode keeps its first look: a person who drives the arms watches."""
        self.task.is_look_steady = True
        try:
            yield
        finally:
            self.task.is_look_steady = False

    def remember(self, is_on: bool) -> None:
        """Whether later observations give their pictures at any time; it costs a copy of the state each."""
        self.task.remembers = is_on

    def pose(self, state: np.ndarray) -> None:
        """As `SimTask.pose`."""
        self.task.pose(self.physics, state)

    def observe(self) -> dict:
        """As `SimTask.get_observation`."""
        return self.task.get_observation(self.physics)

    def render(self, camera: str) -> np.ndarray:
        """As `SimTask.render`."""
        return self.task.render(self.physics, camera)

    def make_room(self, height: int, width: int) -> None:
        """Let pictures of this size (pixels) be drawn too; call it before the first is."""
        buffer = self.physics.model.ptr.vis.global_
        buffer.offheight, buffer.offwidth = max(buffer.offheight, height), max(buffer.offwidth, width)

    @property
    def reward(self) -> int:
        """As `SimTask.get_reward`."""
        return self.task.get_reward(self.physics)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of all cameras of the scene."""
        return self.task.cameras

    @property
    def env_state(self) -> np.ndarray:
        """Start pose of the props (P * 7,) in this episode."""
        return self.task.start

    @property
    def case(self) -> int:
        """As `SimTask.case`."""
        return self.task.case

    @property
    def strict_success(self) -> bool | None:
        """As `tasks.Judge.strict_success`; None without props too."""
        return self.task.judge.strict_success

    @property
    def choice(self) -> str | None:
        """As `tasks.Judge.choice`."""
        return self.task.judge.choice

    def close(self) -> None:
        """Free the renderers now: at the interpreter's exit, EGL's would print tracebacks."""
        for renderer in self.task.renderers.values():
            renderer.scene.free()
        self.task.renderers.clear()
        self.physics.free()
        super().close()


def make_sim_env(
    task: Task,
    render_quality: str = "fast",
    image_size: tuple[int, int] = IMAGE_SIZE,
    has_props: bool = True,
    randomize: bool = False,
) -> SimEnv:
    """The environment of a simulated task; `image_size` is (height, width) in pixels.

    Without props, starts are drawn all the same, there is nothing to touch, and every reward is 0. With
    `randomize` its looks can vary: see `SimEnv.set_looks`.
    """
    model = build_model(task, render_quality, has_props, randomize)
    # Software clears the whole frame buffer for each picture: it is no larger than it must be (`make_room`).
    model.vis.global_.offheight, model.vis.global_.offwidth = image_size
    physics = dm_mujoco.Physics.from_model(wrapper.MjModel(model))
    looks = Looks(physics.model.ptr, task) if randomize else None
    sim_task = SimTask(task, model, render_quality, image_size, has_props, looks)
    return SimEnv(physics, sim_task, time_limit=float("inf"), control_timestep=1.0 / task.fps)
