"""From recordings of any format to episodes: what is chosen, renamed, converted and written."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "flags": ("ImportFlags",),
        "importing": ("bring_in",),
    },
)
