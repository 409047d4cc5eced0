"""The desk: a person at the arm who sits at a page in a browser instead of a terminal (`--desk`)."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "opening": ("open_person",),
    },
)
