"""The arm's arithmetic: units, forward and inverse kinematics."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "geometry": ("TOOL_LENGTH", "forward", "frames", "geometry", "tool_point"),
        "inverse": ("rotation", "solve"),
        "units": ("ANGLE_MAX", "ANGLE_MIN", "JOINTS", "on_the_wire", "to_degrees", "to_state"),
    },
)
