"""The room that demonstrations were given in, as their pictures show it; the simulated one is made so."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "real": (
            "RealRoom",
            "clicked_room",
        ),
    },
)
