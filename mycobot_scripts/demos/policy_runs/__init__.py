"""Runs of policies on an arm: their flags, the policies, cameras watched, a person who takes over."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "flags": ("ModelRunsConfig",),
        "parts": ("action_range", "speed_limits", "trained_fps"),
        "placed_cameras": ("PlacedCameras", "PlacementConfig"),
        "policies": ("RunPolicies", "open_policies"),
        "runner": ("Runner", "make_execution"),
    },
)
