"""The simulated tasks as environments: `--env.type=act_toolkit --env.task=TransferCube-v0`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.envs.utils import freeze_after_episode_end
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from lerobot_env_act_toolkit import checkout

NAMESPACE = "act"  # of the ids in gym_env.py


class AsRecorded(gymnasium.ObservationWrapper):
    """Pictures of another size are scaled as `export_lerobot` and training scale recorded ones, not rendered
    smaller; and what is to be done is said in words, as LeRobot's policies may ask.

    Args:
        env: with observations {"pixels": {camera: (H, W, 3) uint8}, "agent_pos": (D,)}.
        words: what is to be done.
        size: height, width (pixels).
    """

    def __init__(self, env: gymnasium.Env, words: str, size: tuple[int, int]) -> None:
        super().__init__(env)
        self.task_description = self.task = words
        self._size, there = size, env.observation_space.spaces
        picture = gymnasium.spaces.Box(0, 255, (*size, 3), np.uint8)
        pixels = gymnasium.spaces.Dict(dict.fromkeys(there["pixels"].spaces, picture))
        self.observation_space = gymnasium.spaces.Dict({**there, "pixels": pixels})

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        from episodes import resize_image

        images = observation["pixels"].items()
        return {
            **observation,
            "pixels": {camera: resize_image(image, self._size) for camera, image in images},
        }


def make(gym_id: str, words: str, size: tuple[int, int], **options: Any) -> gymnasium.Env:
    """One environment; in a process of its own too, where nothing is registered yet."""
    checkout.enter()
    import gym_env  # noqa: F401 (registers)

    return AsRecorded(gymnasium.make(gym_id, disable_env_checker=True, **options), words, size)


@EnvConfig.register_subclass("act_toolkit")
@dataclass
class ActToolkitEnv(EnvConfig):
    """A task of gym_env.py; fps and features are the task's.

    Args:
        task: the end of its id: `python3 gym_env.py` lists them.
        words: what is to be done; the task's name if None.
        render_quality: fast, or full as for ACT's images.
        observation_height, observation_width: of the images (pixels).
    """

    task: str | None = "TransferCube-v0"
    words: str | None = None
    render_quality: str = "fast"
    observation_height: int = 480
    observation_width: int = 640

    def __post_init__(self) -> None:
        checkout.enter()
        from common import choose
        from gym_env import IDS

        ends = {gym_id.removeprefix(f"{NAMESPACE}/"): task for gym_id, task in IDS.items()}
        task = ends[choose("--env.task", str(self.task), tuple(ends))]
        self.fps, self.words = round(task.fps), self.words or task.name
        size = (self.observation_height, self.observation_width, 3)
        pixels = {f"pixels/{camera}": f"{OBS_IMAGES}.{camera}" for camera in task.cameras}
        self.features = {
            ACTION: PolicyFeature(FeatureType.ACTION, (task.dim,)),
            "agent_pos": PolicyFeature(FeatureType.STATE, (task.dim,)),
            **dict.fromkeys(pixels, PolicyFeature(FeatureType.VISUAL, size)),
        }
        self.features_map = {ACTION: ACTION, "agent_pos": OBS_STATE, **pixels}

    @property
    def gym_id(self) -> str:
        return f"{NAMESPACE}/{self.task}"

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        return {"obs_type": "pixels_agent_pos", "render_quality": self.render_quality}

    def create_envs(
        self, n_envs: int, use_async_envs: bool = False
    ) -> dict[str, dict[int, gymnasium.vector.VectorEnv]]:
        """{"act_toolkit": {0: `n_envs` environments}}; one whose episode is over computes nothing more."""
        size = (self.observation_height, self.observation_width)
        one = functools.partial(make, self.gym_id, self.words, size, **self.gym_kwargs)
        each = freeze_after_episode_end(one)
        if use_async_envs and n_envs > 1:
            envs = gymnasium.vector.AsyncVectorEnv([each] * n_envs, context="forkserver")
        else:
            envs = gymnasium.vector.SyncVectorEnv([each] * n_envs)
        return {self.type: {0: envs}}
