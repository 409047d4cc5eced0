"""Curves and plots, logs of a run, and pictures with words: in files, in windows."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "curves": (
            "BLUE",
            "COLORS",
            "Line",
            "ORANGE",
            "PHASES",
            "loss_lines",
            "loss_names",
            "loss_points",
            "meaning",
            "points_of",
        ),
        "live_view": ("LiveView",),
        "logs": (
            "Row",
            "RunLog",
            "check_wandb",
            "is_flat",
            "open_log",
            "write_csv",
        ),
        "losses": ("Losses",),
        "panels": (
            "captioned",
            "labelled",
            "named",
            "panel",
            "tile",
            "write",
        ),
        "plots": (
            "PlottedEntry",
            "accuracy_plot",
            "confusion_plot",
            "curves_plot",
            "joint_lines_plot",
            "joint_plot",
            "k_plot",
            "loss_plot",
            "new_figure",
            "write_png",
        ),
        "videos": ("write_video",),
    },
)
