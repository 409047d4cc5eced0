"""The person at the arm: keys and answers, driving by hand, and who allows or stops a motion."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "jog": ("COMMON", "Jog", "SIDES", "TerminalPad", "axes_from", "keys_for"),
        "keys": ("Keys", "Look", "check_question", "legend", "open_keys"),
        "person": (
            "BY_HAND",
            "CTRL_C",
            "LOST",
            "Operator",
            "PRESSED_Q",
            "STOP",
            "STOP_KEY",
            "TO_GUIDE",
            "YES_NO",
        ),
    },
)
