"""The one loop of an episode, how chunks are executed, and evaluations: many rollouts and their results."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "background": ("BackgroundEnsemble", "BackgroundExecution"),
        "demonstrations": (
            "RETURN_SECONDS",
            "Demonstration",
            "check_scene",
            "close_environments",
            "drive",
            "environment",
            "run_episode",
            "run_script",
        ),
        "episode_loop": ("Act", "Keeper", "Step", "Steps", "follow", "rollout", "rollout_steps"),
        "execution": (
            "ChunkedExecution",
            "Execution",
            "TemporalEnsemble",
            "waiting_execution",
        ),
        "flags": (
            "JOINS",
            "MOST_STEPS",
            "EvalConfig",
            "ExecutionConfig",
            "check_looks",
            "hold_looks_flag",
            "looks_flag",
            "quality_flag",
            "randomize_flag",
        ),
        "held_out": ("held_out_errors",),
        "intervals": ("NORMAL_95", "difference_interval", "wilson_interval"),
        "joins": ("Join",),
        "opening": ("checkpoint_references", "choose_cameras", "open_actor"),
        "outcomes": ("Outcome", "Summary", "write_summary"),
        "recorded": ("Recorded", "recorded_words"),
        "results": ("ARM", "content_version", "list_results", "open_evaluation", "read_result"),
        "rollouts": ("EvalJob", "evaluate"),
        "settings": ("Settings",),
        "sweep": ("evaluate_sweep",),
        "sweep_results": ("Score", "Sweep", "list_sweeps", "write_sweep"),
        "trials": ("TriedStart", "has_looks", "is_plain", "share_failed", "tried_starts"),
    },
)
