"""What acts: gives chunks of actions for observations. A policy in torch is one (`policies.TorchActor`)."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "actor": ("Actor", "Rest", "Seen", "Traits"),
        "interface": ("Interface", "Observation"),
        "numbers": ("Numbers", "first_seed"),
        "onnx_actor": ("OnnxActor", "open_onnx"),
        "onnx_file": ("ENTRY", "About", "is_onnx", "picture_name"),
        "remote": ("DEFAULT_PORT", "RemoteActor"),
        "serving": ("Served", "PolicyServer", "checked_token", "needs_token"),
        "stored": ("described", "stored_interface", "stored_traits", "stored_values"),
    },
)
