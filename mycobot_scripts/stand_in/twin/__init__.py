"""The twin: a simulated task in real time, its arm and its cameras, and the pages that it serves."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "server": ("TwinServer",),
        "simulated_arm": ("SimulatedArm",),
        "world": ("TwinWorld",),
    },
)
