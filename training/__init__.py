"""The training loop, its runs and logs, and what feeds it."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "classification": ("Images", "accuracy", "evaluate", "fake_images", "read_cifar10"),
        "classifier_run": (
            "BEST",
            "ClassifierConfig",
            "ClassifierRun",
            "LAST",
            "OPTIMISERS",
            "fit_classifier",
        ),
        "feeding": ("load_data",),
        "flags": ("ResumeConfig", "TrainConfig", "TrainingRunConfig"),
        "imitation": ("evaluate_run", "train"),
        "loop": ("Run", "fit"),
        "setup": ("read_run",),
        "trained_tasks": ("simulated_task", "training_task"),
    },
)
