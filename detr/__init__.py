"""Networks: image backbones, transformers, U-Net, ACT. They know no flag and no task (the name is ACT's)."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "act": ("ACT", "ACTSizes"),
        "acting": ("ActingACT", "ActingKeypoints", "acting_backbone"),
        "backbone": ("BACKBONES", "WEIGHTS", "build_backbone", "check_backbone", "init_backbone"),
        "cnnmlp": ("CNNMLP",),
        "hooks": ("hooks",),
        "keypoints": ("Keypoints",),
        "latent": ("CodeLatent", "GaussianLatent", "draw_codes", "kl_divergence", "sample_gaussian"),
        "latent_prior": ("LatentPrior",),
        "names": ("UNET_GROUPS",),
        "neighbours": ("Memory", "errors_by_k"),
        "norms": ("NORMS",),
        "position_encoding": ("sine_position_2d", "sinusoid_table"),
        "residual_attention": ("AttentionModule",),
        "spatial": ("CameraEncoder", "map_shape"),
        "transformer": ("Decoder", "init_xavier"),
        "unet": ("ConditionalUNet",),
        "upstream": ("convert_upstream",),
    },
)
