"""Which samples training draws: from which folders, at which steps, and in which looks."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "look_windows": ("starts_in_one_look",),
        "sampling": ("Sample", "Shares", "StartSampler"),
        "splits": ("list_datasets", "split_datasets"),
    },
)
