"""Image backbones: ResNets, residual attention, keypoints, models of timm; their norms."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "backbone": (
            "BACKBONES",
            "WEIGHTS",
            "build_backbone",
            "check_backbone",
            "init_backbone",
        ),
        "keypoints": ("Keypoints", "cell_centres", "keypoints"),
        "norms": (
            "NORMS",
            "is_frozen_batch_norm",
        ),
        "residual_attention": ("AttentionModule",),
        "spatial": (
            "CameraEncoder",
            "map_shape",
        ),
    },
)
