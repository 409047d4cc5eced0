"""What is in an HDF5 file, whoever wrote it: its datasets, attributes, rows and pictures, as an episode."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "attributes": ("MOST_FPS", "whole_rate"),
        "facts": ("EpisodeFacts", "FACTS"),
        "files": ("READ_ERRORS", "children", "datasets_below", "listed", "open_hdf5", "read_numbers"),
        "pictures": ("IMAGES", "check_length", "check_raw"),
        "reading": (
            "DATASETS",
            "ENV_STATE",
            "FORMAT_VERSION",
            "NUMBERS",
            "Reader",
            "read_header",
            "read_start",
            "seconds",
            "since_start",
            "unread_datasets",
            "widths",
        ),
        "rows": ("encoded_rows",),
    },
)
