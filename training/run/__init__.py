"""A training run: how far it has come, what it says, and what it leaves on the disk."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "keeping": ("Keeper", "forget", "keep"),
        "progress": ("Bar", "Meter", "loss_line", "memory_line"),
        "state": ("RunState",),
    },
)
