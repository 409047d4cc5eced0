"""The sub-commands of edit_episodes.py: changes of episodes and datasets, queries, other people's formats."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "click_page": ("ClicksFlags", "clicks"),
        "edits": (
            "AlignFlags",
            "RelabelFlags",
            "ResampleFlags",
            "ShiftActionsFlags",
            "TruncateFlags",
            "align",
            "relabel",
            "resample",
            "shift_actions",
            "truncate",
        ),
        "image_edits": (
            "CompressFlags",
            "DecompressFlags",
            "MaskFlags",
            "MirrorFlags",
            "RecolorFlags",
            "compress",
            "decompress",
            "mask",
            "mirror",
            "recolor",
        ),
        "lerobot_export": ("ExportFlags", "export_lerobot"),
        "importing": ("import_recordings",),
        "lerobot_import": ("ImportLeRobotFlags", "import_lerobot"),
        "multiplying": ("MultiplyFlags", "multiply"),
        "placing": ("PlacesFlags", "places"),
        "plans": ("HISTORY", "Plan", "carry_out", "finish_earlier"),
        "rearranging": ("DeleteFlags", "MergeFlags", "SplitFlags", "delete", "merge", "split"),
        "queries": (
            "CheckFlags",
            "InfoFlags",
            "RegionFlags",
            "StatsFlags",
            "check",
            "info",
            "region",
            "show_stats",
        ),
        "retold": ("distance", "retell"),
        "sources": ("Source", "read_source"),
    },
)
