"""The sub-commands of edit_episodes.py: changes of episodes and datasets, queries, other people's formats."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
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
        "importing": ("import_recordings",),
        "lerobot": (
            "ExportFlags",
            "ImportLeRobotFlags",
            "export_lerobot",
            "import_lerobot",
        ),
        "multiplied": (
            "MultiplyFlags",
            "Source",
            "distance",
            "multiply",
            "read_source",
            "retell",
        ),
        "plans": (
            "HISTORY",
            "Plan",
            "carry_out",
            "finish_earlier",
        ),
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
        "rearranging": (
            "DeleteFlags",
            "MergeFlags",
            "SplitFlags",
            "delete",
            "merge",
            "split",
        ),
        "regions": (
            "ClicksFlags",
            "PlacesFlags",
            "clicks",
            "places",
        ),
    },
)
