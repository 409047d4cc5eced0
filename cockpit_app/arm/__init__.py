"""The arm on the cockpit's pages: which one it is, who drives it, its desk, and how it is drawn."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "access": ("ArmDefaults", "DEVICES", "access", "check_devices"),
        "model": ("model",),
        "relay": ("DESK", "has_desk", "relay"),
    },
)
