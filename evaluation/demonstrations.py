"""Demonstrations in simulation: a script or a person drives the arms, and the result is an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from common import choose
from constants import IMAGE_SIZE
from episodes import Episode
from evaluation.episode_loop import Act, Steps, follow, rollout, watched
from scripted_policy import ScriptedPolicy
from tasks import StylePlan, Task, TimeStep, sample_start

if TYPE_CHECKING:  # they open OpenGL
    from ee_sim_env import EndEffectorEnv
    from sim_env import SimEnv

RETURN_SECONDS = 2.0  # for the arms to go back to where the script begins
GRASPED = 0.05  # by how much a hand closes at least when it grasps, of its travel
OPENING_SECONDS = 0.3  # of these, the last, for the hands to become as they are there


@dataclass(frozen=True)
class Demonstration:
    """What varies from one demonstration by script to the next."""

    case: int | None = None  # number of the task's case; drawn if not given
    noise: float = 0.0  # m by which each waypoint is moved at most, along each axis
    hesitate: int = 0  # steps that the arms wait before they begin, at most
    recovers: bool = False  # it begins with the arms in the middle of another attempt
    start: np.ndarray | None = None  # (P * 7,) of the props; drawn if not given
    style: StylePlan | None = None  # how the script is followed; as it says if not given


def run_episode(
    env: SimEnv, task: Task, start: TimeStep, act: Act, cameras: Sequence[str] = (), view: Any = None
) -> Episode | None:
    """Run one episode in joint space, until `act` ends it or its length is over; None if it has no step.

    Args:
        env: the environment.
        task: how long the episode is, and what success is.
        start: what `env.reset` returned.
        act: gives the actions.
        cameras: whose images to keep.
        view: shows the first of them during the episode (`common.LiveView`).

    Raises:
        RuntimeError: the simulation became unstable.
    """
    steps = Steps(cameras)
    if view is not None:
        act = watched(act, view, cameras[0], task, steps)
    if rollout(env, start, act, task.episode_len, steps).last():
        raise RuntimeError(f"{task.name}: the simulation became unstable after step {len(steps)}")
    if not len(steps):
        return None
    has_props = env.task.has_props and bool(task.props)  # else nothing stands anywhere
    success = steps.highest_reward == task.max_reward if env.task.has_props else None
    return steps.episode(task, env_state=env.env_state if has_props else None, success=success)


def run_script(
    env: EndEffectorEnv,
    task: Task,
    rng: np.random.Generator,
    cameras: Sequence[str] = (),
    view: Any = None,
    how: Demonstration | None = None,
) -> Episode:
    """Drive the task's script once, from a start drawn from `rng` if none is given; returns the episode,
    successful or not.

    Without props, the arms move as they would with them, and `success` is None.
    """
    how = how or Demonstration()
    start = env.reset(rng, how.start, how.case)
    variant, return_steps = task.variants[env.case], 0
    if how.recovers:
        start = env.reset(env_state=env.env_state, state=arms_midway(env, variant, rng))
        return_steps = round(RETURN_SECONDS * task.fps)
    script = ScriptedPolicy(variant, env.start_xyz(), env.env_state, how.noise, rng, how.hesitate)
    length = script.take(how.style) if how.style else task.episode_len
    task = replace(task, episode_len=length + how.hesitate + return_steps)
    if how.recovers:
        script.begin_at(env.present(), return_steps, round(OPENING_SECONDS * task.fps))
    return run_episode(env.env, task, start, lambda t, _: env.joint_action(script(t)), cameras, view)


def arms_midway(env: EndEffectorEnv, task: Task, rng: np.random.Generator) -> np.ndarray:
    """State (D,) of the arms at a random moment of the script, as if it had begun at another random start;
    float32, as an episode keeps it.

    The moment lies behind the first grasp, where there is one: arms that reach for a prop are not shown to
    turn back.
    """
    script = ScriptedPolicy(task, env.start_xyz(), sample_start(task, rng))
    actions = [script(t) for t in range(task.episode_len)]
    hands = np.array(actions).reshape(len(actions), -1, 8)[..., 7]
    moment = rng.integers(first_grasp(hands), len(actions))
    return [env.joint_action(action) for action in actions[: moment + 1]][-1].astype(np.float32)


def first_grasp(hands: np.ndarray) -> int:
    """The first step at which one of the hands (T, arms), 0 closed and 1 open, has closed as far as it goes
    after it was wider; 0 if none does. Some scripts begin with closed hands.
    """
    has_narrowed = np.maximum.accumulate(hands, axis=0) - hands > GRASPED
    stops = np.vstack([np.diff(hands, axis=0) >= 0, np.ones((1, hands.shape[1]), bool)])
    return int(np.argmax((has_narrowed & stops).any(axis=1)))


def drive(
    env: EndEffectorEnv,
    pilot: Any,
    rng: np.random.Generator,
    case: int,
    cameras: Sequence[str],
    progress: str,
) -> Episode | None:
    """Let the person try, each time from a new start, until an episode is kept; None if the person quits.

    Images are rendered afterwards, by repeating the kept actions: at the task's pace there is no time. The
    person sees one look all the time, also where each frame is to have its own.
    """
    task = env.spec
    while True:
        start = env.reset(rng, case=case)
        pilot.begin(progress)
        with env.env.steady_look():
            driven = run_episode(env.env, task, start, pilot.act)
        command = pilot.command or pilot.decide("success" if driven.success else "no success")
        if command == "quit":
            return None
        if command == "keep":
            start = env.env.reset(env_state=driven.env_state)
            return run_episode(env.env, task, start, follow(driven.action), cameras)


def check_scene(task: Task, cameras: Sequence[str]) -> None:
    """ValueError if the scene lacks what the task or `cameras` name, or a waypoint is out of reach;
    RuntimeError if nothing can be rendered.
    """
    from tasks import GripPointIK, build_model, check_reach, check_rendering

    if cameras:
        check_rendering()
    model = build_model(task)
    for name in cameras:
        choose("camera", name, [model.camera(i).name for i in range(model.ncam)])
    check_reach(task, {arm.label: GripPointIK(model, arm) for arm in task.arms})


_envs: dict[tuple, EndEffectorEnv] = {}  # of this process; building one takes as long as recording 50 steps


def environment(
    task: Task,
    render_quality: str,
    has_props: bool,
    randomize: bool,
    image_size: tuple[int, int] = IMAGE_SIZE,
) -> EndEffectorEnv:
    """This process's environment of a task (`make_ee_sim_env`), made at its first use."""
    from ee_sim_env import make_ee_sim_env  # opens OpenGL: only in the processes that render

    key = (task.name, render_quality, has_props, randomize, image_size)
    if key not in _envs:
        _envs[key] = make_ee_sim_env(task, render_quality, image_size, has_props, randomize)
    return _envs[key]


def close_environments() -> None:
    """Free the environments of this process."""
    while _envs:
        _envs.popitem()[1].close()
