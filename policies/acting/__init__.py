"""A trained policy that only acts: in torch, made ready for it, and as an ONNX file."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "actor": ("TorchActor",),
        "onnx_export": ("export_policy",),
        "ready": ("ready_to_act",),
    },
)
