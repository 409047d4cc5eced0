"""Where in the pictures something happens (`region`), and where objects lie there (`places`)."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "click_file": ("read_points",),
        "click_page": (
            "ClicksFlags",
            "clicks",
        ),
        "finding": ("matrix_from_points",),
        "placing": (
            "PlacesFlags",
            "places",
        ),
        "region_report": (
            "Compared",
            "flag_lines",
            "survey",
            "write_survey",
        ),
        "region_search": (
            "ColorMask",
            "steps_in_step",
        ),
    },
)
