"""How a scene may look (`--randomize`): light, colours, table, things about it, pictures of cameras."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "assets": ("add_assets",),
        "covers": ("set_seen",),
        "looks": ("Looks",),
        "ranges": (
            "CLOTHS",
            "CableRanges",
            "CameraRanges",
            "DistractorRanges",
            "LEVELS",
            "LightRanges",
            "LookPlan",
            "PARTS",
            "Ranges",
            "RoomRanges",
            "SEEN_PIXELS",
            "TABLE_TOPS",
            "TableRanges",
            "only",
        ),
    },
)
