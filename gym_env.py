"""Every simulated task as a Gymnasium environment, registered when this module is imported.

    import gymnasium
    import gym_env  # registers
    env = gymnasium.make("act/TransferCube-v0", obs_type="pixels_agent_pos")

`python3 gym_env.py` lists their ids.

Observations, options and success are those of gym-aloha (env.py). Two things differ: the action space holds
the joints' ranges (gym-aloha's says [-1, 1] but means radians), and observations have all cameras of the
task.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from common import choose, did_you_mean
from constants import IMAGE_SIZE, TASKS, get_task
from sim_env import make_sim_env
from tasks import Task, rendering

OBS_TYPES = ("pixels", "pixels_agent_pos")
START = "env_state"  # the option of `reset`
POSITION_BOUND = 1000.0  # of `agent_pos`; as in gym-aloha, wide enough for anything


class TaskEnv(gymnasium.Env):
    """A task in joint space. Action (D,): per arm, joint angles (rad) and the gripper in [0 closed, 1 open].

    `reset(seed)` draws the start of the props, and the case if there are several;
    `reset(options={"env_state": pose})` sets it, (7,) a prop: xyz (m) and quaternion wxyz. Each `info` has
    `is_success`, and `env_state`, the start of this episode. If wild actions break the simulation, the
    episode ends: `truncated`, with `info["unstable"]`.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        task: str,
        obs_type: str = "pixels",
        render_mode: str | None = "rgb_array",
        observation_width: int = IMAGE_SIZE[1],
        observation_height: int = IMAGE_SIZE[0],
        visualization_width: int = IMAGE_SIZE[1],
        visualization_height: int = IMAGE_SIZE[0],
        render_quality: str = "fast",
    ) -> None:
        """
        Args:
            task: a name in `constants.TASKS`.
            obs_type: "pixels", {camera: (H, W, 3) uint8}, or "pixels_agent_pos", {"pixels": the same,
                "agent_pos": (D,)}.
            render_mode: "rgb_array", or None: `render` is not used.
            observation_width, observation_height: of the observation's images (pixels).
            visualization_width, visualization_height: of what `render` returns (pixels).
            render_quality: see `tasks.QUALITIES`.
        """
        self.task = get_task(task)
        self.obs_type = choose("obs_type", obs_type, OBS_TYPES)
        if render_mode is not None:
            choose("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": self.task.fps}
        self._render_size = {"height": visualization_height, "width": visualization_width}
        self._env = make_sim_env(self.task, render_quality, (observation_height, observation_width))
        self._env.make_room(**self._render_size)
        self._is_over = True  # until `reset`
        bounds = self._env.action_spec()
        self.action_space = spaces.Box(
            bounds.minimum.astype(np.float32), bounds.maximum.astype(np.float32), dtype=np.float32
        )
        image = spaces.Box(0, 255, (observation_height, observation_width, 3), np.uint8)
        self.observation_space = self._layout(
            spaces.Dict(dict.fromkeys(self.task.cameras, image)),
            spaces.Box(-POSITION_BOUND, POSITION_BOUND, (self.task.dim,), np.float64),
            spaces.Dict,
        )

    def _layout(self, pixels: Any, agent_pos: Any, container: type = dict) -> Any:
        """An observation, or its space, from its parts."""
        return pixels if self.obs_type == "pixels" else container({"pixels": pixels, "agent_pos": agent_pos})

    def _observe(self, observation: dict) -> dict:
        images = observation["images"]
        return self._layout({camera: images[camera] for camera in self.task.cameras}, observation["qpos"])

    def _info(self, is_success: bool) -> dict[str, Any]:
        return {"is_success": is_success, "env_state": self._env.env_state.copy()}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict, dict[str, Any]]:
        for name in options or {}:  # others', as LeRobot's, mean nothing here
            if name != START and did_you_mean(name, [START]):
                choose("option of reset", name, [START])
        super().reset(seed=seed)
        step = self._env.reset(self.np_random, (options or {}).get(START))
        self._is_over = False
        return self._observe(step.observation), self._info(is_success=False)

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict[str, Any]]:
        if self._is_over:
            raise RuntimeError("the episode is over, or none has begun: call reset() before step()")
        action = np.asarray(action, dtype=float)
        if action.shape != self.action_space.shape or not np.isfinite(action).all():
            wanted = f"{self.action_space.shape[0]} finite numbers"
            raise ValueError(f"the action is {action.tolist()!r:.200}; it must be {wanted}")
        step = self._env.step(action)
        is_success = bool(step.reward == self.task.max_reward)
        self._is_over = is_unstable = step.last()  # the simulation itself ends in no other way
        info = {**self._info(is_success), "unstable": is_unstable}
        return self._observe(step.observation), float(step.reward), is_success, is_unstable, info

    def render(self) -> np.ndarray | None:
        """The task's first camera (H, W, 3) uint8 RGB, or None without a render mode."""
        if self.render_mode is None:
            return None
        has_shadows = self._env.task.render_quality == "full"
        with rendering():
            return self._env.physics.render(
                **self._render_size,
                camera_id=self.task.cameras[0],
                render_flag_overrides={"shadow": has_shadows},
            )

    def close(self) -> None:
        """Free the renderers."""
        self._env.close()


def env_ids(tasks: Iterable[Task]) -> dict[str, Task]:
    """Ids of the environments of some tasks: `sim_transfer_cube_scripted` is `act/TransferCube-v0`.

    Tasks that differ only in name and script share one environment and one id, without `Scripted`. If
    something else differs (e.g. the length), the id says so: `act/InsertionHuman-v0`.
    """
    ids: dict[str, Task] = {}
    simulated = [task for task in tasks if task.scene]
    for task in sorted(simulated, key=lambda task: not task.script):
        plain = replace(task, script=())
        if any(replace(other, name=task.name, script=()) == plain for other in ids.values()):
            continue
        words = [word for word in task.name.split("_") if word not in ("sim", "scripted")]
        name = f"act/{''.join(word[0].upper() + word[1:] for word in words)}-v0"
        if name in ids:
            raise ValueError(f"tasks {ids[name].name!r} and {task.name!r} are both {name}; rename one")
        ids[name] = task
    return ids


IDS = env_ids(TASKS.values())
for _id, _task in IDS.items():
    gymnasium.register(
        _id,
        entry_point="gym_env:TaskEnv",
        max_episode_steps=_task.episode_len,
        kwargs={"task": _task.name},
    )

if __name__ == "__main__":
    for _id, _task in IDS.items():
        print(f"{_id:<40} {_task.name}, {_task.episode_len} steps")
