"""LeRobot's ACT: its own policy, processors and optimiser, used as its scripts do (huggingface/lerobot:
scripts/lerobot_train.py, `update_policy`; common/control_utils.py, `predict_action`).

Runs under LeRobot's interpreter, so it imports nothing of this project.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.utils import prepare_observation_for_inference

STATE, IMAGE, ACTION = "observation.state", "observation.images.top", "action"


class LeRobotACT:
    """The policy at one size of its image, with random weights: the arithmetic is that of pretrained ones.

    Args:
        dim: of state and action.
        batch: samples of a step.
        image: height, width (pixels).
        network: sizes, by our names.
        amp: whether it computes under bf16 autocast; its default is float32.
    """

    def __init__(
        self, dim: int, batch: int, image: tuple[int, int], network: dict[str, int], amp: bool
    ) -> None:
        features = {
            STATE: PolicyFeature(FeatureType.STATE, (dim,)),
            IMAGE: PolicyFeature(FeatureType.VISUAL, (3, *image)),
        }
        self._config = ACTConfig(
            input_features=features,
            output_features={ACTION: PolicyFeature(FeatureType.ACTION, (dim,))},
            device="cpu",
            pretrained_backbone_weights=None,
            chunk_size=network["chunk_size"],
            n_action_steps=network["chunk_size"],
            dim_model=network["hidden_dim"],
            dim_feedforward=network["dim_feedforward"],
            n_heads=network["nheads"],
            n_encoder_layers=network["enc_layers"],
            n_vae_encoder_layers=network["enc_layers"],
        )
        self._dim, self._batch, self._image, self._amp = dim, batch, image, amp
        moments = {"mean": torch.zeros(dim), "std": torch.ones(dim)}
        pixels = {"mean": torch.full((3, 1, 1), 0.45), "std": torch.full((3, 1, 1), 0.225)}
        stats = {STATE: moments, ACTION: moments, IMAGE: pixels}
        self._prepare, self._complete = make_pre_post_processors(self._config, dataset_stats=stats)
        self._policy = ACTPolicy(self._config)

    def _autocast(self) -> AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16, enabled=self._amp)

    def step(self) -> Callable[[], object]:
        """A training step; its images come from the loader as floats from 0 to 1."""
        policy, preset = self._policy, self._config.get_optimizer_preset()
        optimiser = preset.build(policy.get_optim_params())
        shape = (self._batch, self._config.chunk_size)
        batch = {
            STATE: torch.randn(self._batch, self._dim),
            IMAGE: torch.rand(self._batch, 3, *self._image),
            ACTION: torch.randn(*shape, self._dim),
            "action_is_pad": torch.zeros(shape, dtype=torch.bool),
        }

        def update() -> None:
            policy.train()
            prepared = self._prepare(dict(batch))
            with self._autocast():
                loss, _ = policy.forward(prepared)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), preset.grad_clip_norm)
            optimiser.step()
            optimiser.zero_grad()
            loss.item()

        return update

    def chunk(self) -> Callable[[], object]:
        """From a camera's frame and the state to a chunk of actions."""
        rng = np.random.default_rng(0)
        seen = {STATE: np.zeros(self._dim, np.float32)}
        seen[IMAGE] = rng.integers(0, 256, (*self._image, 3), np.uint8)

        def act() -> Any:
            with torch.inference_mode(), self._autocast():
                observation = prepare_observation_for_inference(dict(seen), torch.device("cpu"))
                actions = self._policy.predict_action_chunk(self._prepare(observation))
                return self._complete(actions).float().numpy()

        return act
