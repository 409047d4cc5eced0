"""Where work is done: processes and threads, on one machine or several, and what a machine can do."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "background": ("Background",),
        "machine": (
            "GIGABYTE",
            "World",
            "autocast",
            "choose_kernels",
            "computes_bf16",
            "free_bytes",
            "join_world",
            "keep_freed_memory",
            "pick_device",
            "saved_bytes",
            "stop_signals",
            "training_bytes",
        ),
        "parallel": (
            "Workers",
            "spread",
        ),
    },
)
