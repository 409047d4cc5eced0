"""The page of a run, or of several: success, stages, choices, losses, videos, disturbances."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "page": ("FILE", "refresh_report", "write_report"),
    },
)
