"""What may be in a policy's way, by axis and strength: the registry, its words, and how it is applied."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "applying": (
            "Disturbed",
            "KnockedLoose",
            "Pictures",
            "check_recorded",
            "disturb_frames",
            "disturbed_simulation",
        ),
        "dynamics": ("changed",),
        "registry": (
            "Applied",
            "DISTURBANCES",
            "Disturbance",
            "GROUPS",
            "LINK",
            "LOOK",
            "MODEL",
            "MOMENT",
            "PICTURE",
            "STRENGTHS",
        ),
        "scene": ("changes_look", "look_of", "room_look"),
        "words": ("AXES", "Cell", "HELP", "SWEEP_HELP", "check_words", "is_sweep", "read_set", "read_sweep"),
    },
)
