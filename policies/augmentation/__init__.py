"""Random changes of pictures in training (`--augment`): of cameras, of scenes, and as ACT++ makes them."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "batches": ("AUGMENTATIONS", "AugmentConfig", "Augmentation", "CHANGES", "GROUPS"),
        "plain": ("BRIGHTNESS", "CONTRAST", "SATURATION", "centre_crop", "cropped_size"),
    },
)
