"""The training of a backbone by itself, before any policy: as a classifier of images."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "backbone": ("train_backbone",),
        "flags": ("BackboneConfig", "ClassifierConfig"),
    },
)
