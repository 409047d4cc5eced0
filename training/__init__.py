"""Training: the loop, a run and its checkpoints, flags, the data it is fed; also of a backbone alone."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "feeding": ("load_data",),
        "flags": ("LatentModelConfig", "TrainConfig", "TrainingRunConfig"),
        "imitation": ("evaluate_run", "train"),
        "latent_model": ("train_latent_model",),
        "loop": ("Run", "fit"),
        "pretraining": ("BackboneConfig", "ClassifierConfig", "train_backbone"),
        "setup": ("unheeded",),
        "trained_tasks": ("simulated_task", "training_task"),
    },
)
