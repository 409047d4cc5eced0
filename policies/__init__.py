"""Policies, a file each (registry.py lists them); their backbones, augmentation of images, checkpoints."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "act": ("ACTPolicy",),
        "actor": ("TorchActor",),
        "augment": ("AUGMENTATIONS", "CHANGES", "GROUPS", "AugmentConfig", "Augmentation"),
        "base": ("Known", "Policy"),
        "checkpoints": (
            "check_optimiser",
            "check_run",
            "check_weights",
            "checkpoint_references",
            "read_checkpoint",
            "read_weights",
            "tell",
        ),
        "configs": ("ACTConfig", "PolicyConfig"),
        "export": ("export_policy",),
        "plain_changes": ("centre_crop",),
        "ready": ("ready_to_act",),
        "registry": ("POLICIES",),
        "run_files": ("BEST", "LAST", "run_checkpoint", "run_folder"),
        "stored": (
            "FORMAT_VERSION",
            "Stored",
            "first_line",
            "make_policy",
            "stored_training",
        ),
        "upstream": ("count_cameras", "name_cameras", "read_upstream"),
        "vision": ("start_backbones",),
    },
)
