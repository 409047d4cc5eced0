"""Whether cameras still stand where they stood: reference pictures, and how far a present one is off."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "bumps": ("Bump", "find_bump"),
        "displacement": ("Displacement", "find_displacement"),
        "placement": ("Placement", "PlacementLimits", "judge_placement"),
        "reference": ("Reference", "dataset_references", "make_reference", "stored_references"),
    },
)
