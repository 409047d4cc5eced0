"""Driving by hand: what a person holds (keys, gamepad, leader arm, phone), and what simulated arms do."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "devices": (
            "Device",
            "Hand",
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
        "feetech": ("feetech",),
        "leader": ("SO101", "open_bus"),
        "pilot": ("make_pilot",),
        "registry": ("DEVICES", "LeaderConfig", "TeleopConfig", "check_device", "open_device"),
        "retarget": ("Retarget", "Tool"),
        "so101": ("so101",),
    },
)
