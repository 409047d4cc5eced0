"""What comes before and after the policy: names, a batch, a device; the checkpoint does the rest."""

from __future__ import annotations

from typing import Any

from lerobot.processor import make_default_pre_post_processors


def make_act_toolkit_pre_post_processors(config: Any, dataset_stats: Any = None) -> tuple[Any, Any]:
    """LeRobot's pipelines; it finds this function by its name."""
    return make_default_pre_post_processors(config, None)
