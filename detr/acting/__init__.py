"""Networks that only act: the same numbers as those that were trained, in less time."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "acting": (
            "ActingACT",
            "ActingKeypoints",
            "acting_backbone",
        ),
    },
)
