"""A policy that this toolkit has trained: `--policy.type=act_toolkit --policy.ckpt=CHECKPOINT`."""

from __future__ import annotations

from dataclasses import dataclass, field

from lerobot.configs import NormalizationMode, PreTrainedConfig

_AS_IT_IS = NormalizationMode.IDENTITY  # the checkpoint normalises


@PreTrainedConfig.register_subclass("act_toolkit")
@dataclass
class ActToolkitConfig(PreTrainedConfig):
    """Args:
    ckpt: the checkpoint.
    query_every: actions of a chunk that are executed; the policy's own number if None.
    """

    ckpt: str = ""
    query_every: int | None = None
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: dict.fromkeys(("VISUAL", "STATE", "ACTION"), _AS_IT_IS)
    )

    @property
    def observation_delta_indices(self) -> None:
        return None

    @property
    def action_delta_indices(self) -> None:
        return None

    @property
    def reward_delta_indices(self) -> None:
        return None

    def get_optimizer_preset(self) -> None:
        raise NotImplementedError("policies of type act_toolkit are trained by imitate_episodes.py")

    def get_scheduler_preset(self) -> None:
        return None

    def validate_features(self) -> None:
        """The policy looks for its cameras itself."""
