"""Networks: image backbones, transformers, U-Net, ACT. They know no flag and no task (the name is ACT's)."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "act": (
            "ACT",
            "ACTSizes",
            "CodeLatent",
            "Decoder",
            "GaussianLatent",
            "LatentPrior",
            "convert_upstream",
            "draw_codes",
            "init_xavier",
            "kl_divergence",
            "sample_gaussian",
            "sine_position_2d",
            "sinusoid_table",
        ),
        "acting": (
            "ActingACT",
            "ActingKeypoints",
            "acting_backbone",
        ),
        "backbones": (
            "AttentionModule",
            "BACKBONES",
            "CameraEncoder",
            "Keypoints",
            "NORMS",
            "WEIGHTS",
            "build_backbone",
            "check_backbone",
            "init_backbone",
            "map_shape",
        ),
        "cnnmlp": ("CNNMLP",),
        "hooks": ("hooks",),
        "names": ("UNET_GROUPS",),
        "neighbours": (
            "Memory",
            "errors_by_k",
        ),
        "unet": ("ConditionalUNet",),
    },
)
