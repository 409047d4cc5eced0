"""What check_arm.py checks and calibrates."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "arm_checks": ("arm_checks",),
        "calibrating": ("calibrate",),
        "camera_checks": ("check_camera", "check_same", "check_visibility"),
        "checker": ("Checker",),
        "findings": ("Finding", "judged", "summary", "write"),
        "placement_page": ("Ghost", "PlacementServer"),
        "placement_checks": ("check_placements", "find_references"),
    },
)
