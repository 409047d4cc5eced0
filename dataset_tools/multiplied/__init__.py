"""New demonstrations from others: parts of them, moved to where objects lie now (`multiply`)."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "job": ("MultiplyFlags",),
        "multiplying": ("multiply",),
        "retold": (
            "distance",
            "retell",
        ),
        "sources": (
            "Source",
            "read_source",
        ),
    },
)
