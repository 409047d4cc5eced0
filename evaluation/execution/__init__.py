"""How chunks of actions are executed: one by one, averaged, in the background, joined without a jump."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "background": ("BackgroundEnsemble", "BackgroundExecution"),
        "chunks": ("ChunkedExecution", "Execution", "TemporalEnsemble", "waiting_execution"),
        "joins": ("Join",),
    },
)
