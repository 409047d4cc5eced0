"""What people look at: pages, reports, recordings for Rerun, and what a policy sees."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "coverage": (
            "COVERAGE",
            "Coverage",
            "STARTS",
            "nearest_words",
            "place_words",
            "read_coverage",
            "write_coverage",
            "write_next",
        ),
        "dataset_page": ("write_viewer",),
        "features": (
            "Comparison",
            "Inspector",
            "attention_plot",
            "chunks_plot",
            "comparison_plot",
            "look_plot",
            "maps_plot",
            "percent",
            "video_frame",
            "write_features_page",
        ),
        "pages": ("picture_url", "script_json", "write_page"),
        "provenance": ("NOTED", "note_command"),
        "reports": ("FILE", "refresh_report", "write_report"),
        "scenes": ("CasePicture", "write_look_sheet", "write_rerun", "write_takes", "write_task_picture"),
        "series": ("camera_order",),
    },
)
