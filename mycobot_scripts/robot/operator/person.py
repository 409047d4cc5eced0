"""The person at the arm: allows its first motion, may stop it, holds it, and reads its messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mycobot_scripts.robot.operator.keys import Keys

TO_GUIDE = " so that you can guide it"
YES_NO = {"y": True, "n": False, "q": False}
PRESSED_Q, STOP = "q was pressed", "STOP was pressed"
LOST = "the page was not heard for 0.5 s"
STOP_KEY = (("q", "stop"),)  # while a script moves the arm (`Keys.show`)
CTRL_C = "Ctrl-C"
BY_HAND = (CTRL_C, PRESSED_Q, STOP, LOST)  # reasons to stop after which nothing further is begun


@dataclass
class Operator:
    """The person who allows what the arm does, and reads about it; a session makes one.

    Args:
        keys: the keyboard; None where nobody is there to press one.
        asks_first: whether the first motion waits for a yes.
        say: shows the person a line.
    """

    keys: Keys | None = None
    asks_first: bool = False
    say: Callable[[str], None] = print
    listens: bool = True  # whether `q` stops the arm: not while somebody else reads the keys

    def asked_to_stop(self) -> str | None:
        """A reason to stop, or None. Nobody else gets the keys that are read here."""
        if self.keys is None:
            return None
        has_pressed = self.listens and "q" in self.keys.poll()
        return PRESSED_Q if has_pressed else self.keys.stop_asked()

    def show(self, **facts: Any) -> None:
        """Show the person how it stands (`Keys.show`)."""
        if self.keys is not None:
            self.keys.show(**facts)

    def confirms(self, motion: str) -> bool:
        """Whether the arm may move; asks, if at all, until the first yes."""
        if self.asks_first:
            self.asks_first = not self.keys.ask(f"{motion} [y/n]", YES_NO)
        return not self.asks_first

    def holds_it(self, why: str) -> bool:
        """Ask the person to hold the arm before its servos are released; whether they do."""
        question = (
            f"The servos are going to be released{why}, and the arm drops. Hold it, then press enter (n: no)"
        )
        return self.keys.ask(question, {"enter": True, "escape": False, **YES_NO})
