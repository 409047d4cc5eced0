"""Where a run was shown objects, where it was tried and failed, and what to record next."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "analysis": ("Coverage", "read_coverage"),
        "page": (
            "COVERAGE",
            "STARTS",
            "nearest_words",
            "next_places",
            "place_words",
            "write_coverage",
            "write_next",
        ),
    },
)
