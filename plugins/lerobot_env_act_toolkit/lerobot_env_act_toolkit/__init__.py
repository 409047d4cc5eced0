"""This toolkit's simulated tasks and trained policies for LeRobot, which imports this by its name."""

from lerobot_env_act_toolkit.configuration_act_toolkit import ActToolkitConfig
from lerobot_env_act_toolkit.environments import ActToolkitEnv

__all__ = ["ActToolkitConfig", "ActToolkitEnv"]
