"""What the arm may do, and what stops it: limits, the guard that holds them, a rehearsal."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "following": ("jumps",),
        "guard": ("Guard",),
        "limits": ("HARD_LIMITS", "LateStop", "Limits", "SafetyStop"),
        "prediction": ("Course", "top_speed"),
        "rehearsal": ("Rehearsal", "Rehearsed"),
        "speed": ("SpeedFilter",),
    },
)
