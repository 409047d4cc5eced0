"""Episodes on the arm: recording them, driving it in them, policies' runs, taking over from a policy."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "demonstrate": ("Guiding", "scripted_actions"),
        "driving": ("Driver",),
        "journal": ("list_journals",),
        "own_tasks": (
            "SECONDS",
            "TWIN_TASK",
            "as_long_as",
            "check_same_task",
            "find_task",
            "is_own",
            "like_the_others",
            "own_note",
            "own_task",
            "task_to_drive",
        ),
        "policy_runs": (
            "ModelRunsConfig",
            "PlacedCameras",
            "PlacementConfig",
            "RunPolicies",
            "Runner",
            "action_range",
            "make_execution",
            "open_policies",
            "speed_limits",
            "trained_fps",
        ),
        "recorder": ("GivenStart", "RecordArmConfig", "Recorder"),
        "recovery": ("FOLDER", "clear_empty", "discard", "recover"),
        "tracking_error": ("JointTracking", "table", "tracking"),
        "waypoints": ("Motion",),
    },
)
