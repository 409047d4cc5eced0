"""What rollouts and sweeps came to: outcomes, their summary, tables, folders, intervals."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "folders": ("ARM", "content_version", "list_results", "open_evaluation", "read_result"),
        "intervals": ("NORMAL_95", "difference_interval", "wilson_interval"),
        "outcomes": ("Outcome", "Summary", "write_summary"),
        "recorded": ("Recorded", "recorded_words"),
        "sweeps": ("FILE", "Score", "Sweep", "list_sweeps", "write_sweep"),
        "trials": ("TriedStart", "has_looks", "is_plain", "share_failed", "tried_starts"),
    },
)
