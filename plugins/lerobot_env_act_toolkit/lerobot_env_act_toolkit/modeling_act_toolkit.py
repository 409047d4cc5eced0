"""The policy: chunks, joins and views are as in `imitate_episodes.py --eval`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import OBS_IMAGES, OBS_STATE

from lerobot_env_act_toolkit import checkout
from lerobot_env_act_toolkit.configuration_act_toolkit import ActToolkitConfig


class ActToolkitPolicy(PreTrainedPolicy):
    """A checkpoint of any of this toolkit's policies, to act with."""

    config_class = ActToolkitConfig
    name = "act_toolkit"

    def __init__(self, config: ActToolkitConfig, **_: Any) -> None:
        super().__init__(config)
        checkout.enter()
        from evaluation import open_actor

        if not config.ckpt:
            raise ValueError("--policy.ckpt is missing; give a checkpoint, e.g. runs/demo/policy_last.ckpt")
        self.actor = open_actor(config.ckpt, config.device)
        self.reset()

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: Any, *, config: Any, **_: Any) -> ActToolkitPolicy:
        """The checkpoint that `config` names; lerobot-rollout makes policies so."""
        return cls(config)

    def reset(self) -> None:
        """A new episode begins."""
        self._executions: list[Any] = []  # of each environment
        self._episode = getattr(self, "_episode", -1) + 1

    def _execution(self, i: int) -> Any:
        from evaluation import ChunkedExecution, ExecutionConfig, Join

        join = Join.of(self.actor, ExecutionConfig(), self.actor.interface.fps)
        execution = ChunkedExecution(self.actor, self.config.query_every, join)
        execution.reset((self._episode, i))
        return execution

    def select_action(self, batch: dict[str, torch.Tensor], **_: Any) -> torch.Tensor:
        """Actions (B, A) for states (B, D) and images (B, 3, H, W) of 0 to 1."""
        observations = self._observations(batch)
        if not self._executions:
            self._executions = [self._execution(i) for i in range(len(observations))]
        acted = [act(seen) for act, seen in zip(self._executions, observations, strict=True)]
        return torch.from_numpy(np.stack(acted))

    def predict_action_chunk(self, batch: dict[str, torch.Tensor], **_: Any) -> torch.Tensor:
        """Chunks are joined and executed here."""
        raise NotImplementedError("policies of type act_toolkit give actions; leave --inference.type at sync")

    def _observations(self, batch: dict[str, torch.Tensor]) -> list[dict[str, Any]]:
        """As this toolkit's environments give them, one of each environment."""
        keys = {camera: f"{OBS_IMAGES}.{camera}" for camera in self.actor.interface.cameras}
        if missing := [key for key in (OBS_STATE, *keys.values()) if key not in batch]:
            raise ValueError(f"{self.config.ckpt} needs {', '.join(missing)}, which is not observed")
        states = batch[OBS_STATE].cpu().numpy()
        shown = {
            camera: (255 * batch[key]).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
            for camera, key in keys.items()
        }
        return [
            {"qpos": state, "images": {camera: frames[i] for camera, frames in shown.items()}}
            for i, state in enumerate(states)
        ]

    def get_optim_params(self) -> dict:
        raise NotImplementedError("policies of type act_toolkit are trained by imitate_episodes.py")

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict | None]:
        raise NotImplementedError("policies of type act_toolkit are trained by imitate_episodes.py")
