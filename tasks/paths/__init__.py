"""Where arms go in a demonstration: the script's waypoints, its styles, and whether arms reach them."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "reach": (
            "Arrival",
            "arrivals",
            "check_reach",
            "missed_waypoints",
        ),
        "script_paths": (
            "Knot",
            "along",
            "lay_paths",
            "way_back",
        ),
        "style_paths": ("smooth", "styled"),
        "styles": ("STYLES",),
        "style_ranges": (
            "ApproachRanges",
            "GripRanges",
            "MissRanges",
            "OrderRanges",
            "OvershootRanges",
            "PauseRanges",
            "ReleaseRanges",
            "Style",
            "StylePlan",
            "TempoRanges",
            "TremorRanges",
        ),
    },
)
