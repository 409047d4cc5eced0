"""Driving by hand in simulation: keyboards and gamepads become motions of the arms."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
<<<<<<< HEAD
        "devices": ("Device", "Gamepad", "Input", "Keyboard", "RATES", "SLOW", "SLOW_KEY", "explain"),
=======
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
>>>>>>> 7b4a5ff (Cockpit: the desk, a panel for whatever moves the arm; STOP in a bar, by space bar and Escape)
        "pilot": ("make_pilot",),
    },
)
