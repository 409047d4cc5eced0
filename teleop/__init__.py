"""Driving by hand in simulation: keyboards and gamepads become motions of the arms."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "devices": (
            "Device",
            "Gamepad",
            "Input",
            "Keyboard",
            "RATES",
            "KEY_RATES",
            "SLOW",
            "SLOW_KEY",
            "PAD_AXES",
            "PAD_RATES",
            "DEAD_ZONE",
            "explain",
        ),
        "pilot": ("make_pilot",),
    },
)
