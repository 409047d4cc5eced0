"""Simulated scenes as pictures, films and recordings, and the shapes of what is in them."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "look_sheet": ("write_look_sheet",),
        "rerun_file": ("write_rerun",),
        "take_film": ("write_takes",),
        "task_picture": ("CasePicture", "write_task_picture"),
    },
)
