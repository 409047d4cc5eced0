"""The arm's cameras: a thread each, pictures of devices and over HTTP, and which names are the same one."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "camera": (
            "Camera",
            "cameras_text",
            "close_cameras",
            "find_cameras",
            "open_cameras",
            "same_pictures",
            "size_text",
        ),
        "names": ("same_sources",),
    },
)
