"""LeRobot's datasets, as they are written and as they are mended."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__, {"lerobot_format": ("import_packages", "lerobot_format"), "reader": ("LeRobot",)}
)
