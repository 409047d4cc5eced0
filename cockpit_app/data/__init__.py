"""What pages show of datasets and runs: what there is, episodes and their films, files."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "episodes": ("Films", "takes"),
        "files": ("send_file", "view_key"),
        "found": ("found",),
    },
)
