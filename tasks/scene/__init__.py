"""A task's scene as a model of MuJoCo: how it is built, its cameras, and the joints of its arms."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "arm_index": (
            "ArmIndex",
            "LinkedJoints",
        ),
        "building": (
            "Places",
            "build_model",
        ),
        "cameras": ("still_cameras",),
        "inverse_kinematics": ("GripPointIK",),
        "lazy_images": ("LazyImages",),
        "light_meshes": (
            "LIGHT_MESHES",
            "draw_light",
            "light_name",
            "lightened",
        ),
    },
)
