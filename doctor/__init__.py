"""What is wrong with a dataset as a whole: symptoms across episodes, each with its consequence and remedy."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "actions": ("jump_limits",),
        "diagnosis": ("diagnose", "survey_folder", "training_lines"),
        "differences": ("cases",),
        "survey": ("CameraSample", "Examined", "Sampling", "Spell", "Survey", "examine", "examine_episode"),
        "symptoms": ("Finding", "SYMPTOMS"),
    },
)
