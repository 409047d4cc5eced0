"""Checks the arm's replies before they are used: how many numbers, finite, possible angles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.safety import HARD_LIMITS
from mycobot_scripts.wire.protocol import decode_angles

NO_ANSWER = -1  # what pymycobot returns then
MOST = 200.0  # degrees; a larger angle is noise on the line
HUGE = 1e9  # no reply holds such numbers
ROUNDING = 1.0  # degrees that a joint may seem to be beyond its limit
LONGEST = 100  # characters of a reply that is shown
FIRMWARE = "firmware or calibration: update the Atom firmware (myStudio), then set the joints' zero anew"


class WrongReply(ValueError):
    """An unusable reply; the message says what it is."""


@dataclass(frozen=True)
class Reply:
    """A reply, as pymycobot decoded it."""

    values: list[float] | None  # None: no answer, or a wrong one
    wrong: str = ""  # what is wrong with it

    @property
    def value(self) -> float | None:
        """The number, if one was asked for."""
        return self.values[0] if self.values else None

    @property
    def text(self) -> str:
        """For a person to read."""
        return self.wrong or ("not told" if self.values is None else " ".join(f"{v:g}" for v in self.values))


def ask(servo: Any, question: Callable[[Any], Any], count: int | None = None) -> Reply:
    """Ask the arm `question(arm)` through `servo.ask`; right is a list of `count` numbers, or for None one.

    Any answer becomes a `Reply`; RuntimeError and OSError if the line fails.
    """
    try:
        answer = servo.ask(question)
    except (RuntimeError, OSError):
        raise
    except Exception as error:  # pymycobot trips over replies that it does not expect
        return Reply(None, f"a reply that pymycobot cannot read ({type(error).__name__}: {error})"[:LONGEST])
    if answer is None or (isinstance(answer, int) and answer == NO_ANSWER):
        return Reply(None)
    numbers = [answer] if count is None else answer
    is_right = isinstance(numbers, (list, tuple)) and len(numbers) == (count or 1)
    if not is_right or not all(map(_is_number, numbers)):
        right = "a number" if count is None else f"{count} numbers"
        return Reply(None, f"says {answer!r:.{LONGEST}}; {right} would be right")
    return Reply([float(value) for value in numbers])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -HUGE < value < HUGE


def read_angles(payload: bytes) -> list[float]:
    """Joint angles (6,) in degrees of a reply; WrongReply if it holds anything else, or impossible angles."""
    if len(payload) % 2:
        raise WrongReply(f"{len(payload)} bytes, which are no angles")
    angles = decode_angles(payload)
    if len(angles) != JOINTS:
        raise WrongReply(f"{len(angles)} angles, where it has {JOINTS} joints")
    if max(map(abs, angles)) > MOST:
        raise WrongReply(f"angles of {' '.join(f'{angle:g}' for angle in angles)} degrees, which cannot be")
    return angles


def beyond_limits(degrees: Sequence[float]) -> str:
    """Text on the joints that seem to be beyond their limits, and these limits; empty if there are none."""
    far = np.flatnonzero(np.abs(degrees) > HARD_LIMITS + ROUNDING)
    if not far.size:
        return ""
    return ", ".join(f"joint {n + 1} turns {HARD_LIMITS[n]:g} degrees at most" for n in far)
