"""Files that are there as a whole or not at all, locks, and reading what others stored, safely."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "files": (
            "PLAN",
            "PatientFile",
            "UNFINISHED",
            "check_file",
            "check_folder",
            "check_whole",
            "complete_file",
            "empty_folder",
            "file_identity",
            "move_file",
            "read_plan",
            "remove_unfinished",
            "replace_file",
            "told_if_full",
        ),
        "locks": (
            "Held",
            "hold",
            "hold_briefly",
            "hold_name",
        ),
        "pickles": ("read_pickle",),
        "plain": ("from_plain",),
        "torch_files": (
            "check_room",
            "copied",
            "read_torch",
            "write_torch",
        ),
    },
)
