"""The cockpit: pages in a browser that start the scripts, and show what they do. `cockpit.py` serves it."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "arm": ("ArmDefaults", "DESK", "has_desk"),
        "jobs": ("Job",),
        "network": ("keep_token",),
        "places": ("Places",),
        "server": ("Cockpit", "FOLDER"),
    },
)
