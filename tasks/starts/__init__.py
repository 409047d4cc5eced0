"""Where objects are at the start of an episode: drawn, read from a file, or suggested."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "files": (
            "read_starts",
            "write_starts",
        ),
        "sampling": (
            "RADIAN",
            "case_of",
            "checked_start",
            "in_sight",
            "nearest_case",
            "pose_of",
            "sample_prop",
            "sample_start",
        ),
        "space": (
            "Evidence",
            "StartSpace",
            "beside",
            "is_beside",
            "relative",
            "suggest",
        ),
    },
)
