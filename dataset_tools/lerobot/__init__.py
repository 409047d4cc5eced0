"""Episodes as LeRobot's datasets, in the versions of its format, and back."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "export": (
            "ExportFlags",
            "export_lerobot",
        ),
        "importing": (
            "ImportLeRobotFlags",
            "import_lerobot",
        ),
    },
)
