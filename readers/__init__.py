"""Reading other people's recordings: one small reader for each format, and one place that writes episodes."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "conversion": ("ImportFlags", "bring_in"),
        "lerobot": ("lerobot_format",),
        "registry": ("READERS",),
    },
)
