"""The readers of formats, a file each: files of ACT and robomimic, tables, text logs, replay buffers."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "act_files": ("ActFiles",),
        "robomimic_files": ("RobomimicFiles",),
        "tables": ("Tables",),
        "text_logs": ("TextLogs",),
        "zarr_buffers": ("ZarrBuffers",),
    },
)
