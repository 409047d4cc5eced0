"""ACT's network: transformer, position encodings, its latent and the prior of it."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "latent": (
            "CodeLatent",
            "GaussianLatent",
            "draw_codes",
            "kl_divergence",
            "sample_gaussian",
        ),
        "latent_prior": ("LatentPrior",),
        "network": (
            "ACT",
            "ACTSizes",
            "camera_maps",
            "map_positions",
            "map_tokens",
        ),
        "position_encoding": (
            "sine_position_2d",
            "sinusoid_table",
        ),
        "transformer": (
            "Attention",
            "Decoder",
            "DecoderLayer",
            "EncoderLayer",
            "attend",
            "init_xavier",
        ),
        "upstream": ("convert_upstream",),
    },
)
