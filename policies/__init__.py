"""Policies, a file each (registry.py lists them); their backbones, augmentation of images, checkpoints."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "act": ("ACTPolicy",),
        "acting": ("TorchActor", "export_policy", "ready_to_act"),
        "augmentation": (
            "AUGMENTATIONS",
            "AugmentConfig",
            "Augmentation",
            "CHANGES",
            "GROUPS",
            "centre_crop",
        ),
        "base": ("Known", "Policy"),
        "checkpoints": (
            "BEST",
            "FORMAT_VERSION",
            "LAST",
            "Stored",
            "check_optimiser",
            "check_run",
            "check_weights",
            "checkpoint_references",
            "count_cameras",
            "first_line",
            "make_policy",
            "name_cameras",
            "read_checkpoint",
            "read_upstream",
            "read_weights",
            "run_checkpoint",
            "run_folder",
            "stored_training",
            "tell",
        ),
        "configs": ("ACTConfig", "PolicyConfig"),
        "registry": ("POLICIES",),
        "vision": ("start_backbones",),
    },
)
