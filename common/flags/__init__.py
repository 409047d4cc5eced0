"""Command lines: flags with defaults, ranges and one-line errors; names that were mistyped."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "cli": (
            "cli",
            "flag",
        ),
        "compute_flags": (
            "ComputeConfig",
            "DeviceConfig",
            "PrecisionConfig",
            "SeedConfig",
        ),
        "flag_json": (
            "ToldFlag",
            "told_flags",
        ),
        "flag_values": (
            "Flag",
            "check",
            "is_number",
        ),
        "naming": (
            "choose",
            "did_you_mean",
        ),
    },
)
