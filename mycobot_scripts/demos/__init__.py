"""Episodes on the arm: recording them, driving it in them, taking over from a policy."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "bump_watch": ("BumpWatch",),
        "demonstrate": ("Guiding",),
        "journal": ("free_episode", "list_journals"),
        "own_tasks": (
            "SECONDS",
            "as_long_as",
            "find_task",
            "is_own",
            "like_the_others",
            "own_note",
            "own_task",
        ),
        "placed_cameras": ("PlacedCameras", "PlacementConfig"),
        "policy_runs": (
            "Guarded",
            "Parts",
            "RunView",
            "action_range",
            "load_policies",
            "trained_fps",
        ),
        "recorder": ("RecordArmConfig", "Recorder"),
        "recording": ("Recording",),
        "recovery": ("FOLDER", "clear_empty", "discard", "recover"),
        "takeover": ("Corrections", "TakeOver", "WithCorrections"),
        "tracking_error": ("JointTracking", "table", "tracking"),
        "waypoints": ("Motion",),
    },
)
