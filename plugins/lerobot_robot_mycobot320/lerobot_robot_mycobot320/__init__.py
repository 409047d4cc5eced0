"""A myCobot 320 and its twin for LeRobot, and what drives them there. LeRobot imports this by its name."""

from lerobot_robot_mycobot320.config_mycobot320 import (
    MyCobot320Config,
    MyCobot320JogConfig,
    MyCobot320ScriptConfig,
    MyCobot320TwinConfig,
)
from lerobot_robot_mycobot320.mycobot320 import MyCobot320, MyCobot320Twin
from lerobot_robot_mycobot320.teleoperators import MyCobot320Jog, MyCobot320Script

__all__ = [
    "MyCobot320",
    "MyCobot320Config",
    "MyCobot320Jog",
    "MyCobot320JogConfig",
    "MyCobot320Script",
    "MyCobot320ScriptConfig",
    "MyCobot320Twin",
    "MyCobot320TwinConfig",
]
