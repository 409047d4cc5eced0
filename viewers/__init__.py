"""What people look at: pages, reports, recordings for Rerun, and what a policy sees."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "coverage": ("Coverage", "read_coverage"),
        "coverage_page": (
            "COVERAGE",
            "STARTS",
            "nearest_words",
            "place_words",
            "write_coverage",
            "write_next",
        ),
        "dataset_page": ("write_viewer",),
        "feature_plots": ("feature_plots",),
        "features": ("Comparison", "Inspector"),
        "features_page": ("write_features_page",),
        "look_sheet": ("write_look_sheet",),
        "pages": ("picture_url", "script_json", "write_page"),
        "provenance": ("note_command",),
        "report": ("FILE", "refresh_report", "write_report"),
        "rerun_file": ("write_rerun",),
        "series": ("camera_order",),
        "take_film": ("write_takes",),
        "task_picture": ("CasePicture", "write_task_picture"),
    },
)
