"""Files of policies: where they lie, what they hold, and those of ACT and ACT++."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "files": (
            "check_optimiser",
            "check_run",
            "check_weights",
            "checkpoint_references",
            "read_checkpoint",
            "read_weights",
            "tell",
        ),
        "run_files": ("BEST", "LAST", "run_checkpoint", "run_folder"),
        "stored": ("FORMAT_VERSION", "Stored", "first_line", "make_policy", "stored_training"),
        "upstream": ("count_cameras", "name_cameras", "read_upstream"),
    },
)
