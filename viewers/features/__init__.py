"""What a policy looks at: what its networks compute, as pictures, and the page of them."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "inspector": ("Comparison", "Inspector"),
        "page": ("write_features_page",),
        "plots": (
            "attention_plot",
            "chunks_plot",
            "comparison_plot",
            "look_plot",
            "maps_plot",
            "percent",
            "video_frame",
        ),
    },
)
