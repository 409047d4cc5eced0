"""Replies of the arm are looked at before they are used: how many numbers, finite, and angles that can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.safety import HARD_LIMITS
from mycobot_scripts.wire.protocol import decode_angles

NO_ANSWER = -1  # pymycobot's word for it
MOST = 200.0  # degrees; an angle beyond is noise on the line, or no angle at all
HUGE = 1e9  # no reply holds such numbers
ROUNDING = 1.0  # degrees that a joint may seem to be beyond its limit
LONGEST = 100  # characters of a reply that is shown
FIRMWARE = "firmware or calibration: update the Atom firmware (myStudio), then set the joints' zero anew"


class WrongReply(ValueError):
    """A reply that is none; the message says what it is."""


@dataclass(frozen=True)
class Reply:
    """What pymycobot made of a reply."""

    values: list[float] | None  # None: not told, or wrong
    wrong: str = ""  # what is wrong with it

    @property
    def value(self) -> float | None:
        """The number, of a question for one."""
        return self.values[0] if self.values else None

    @property
    def text(self) -> str:
        """For people."""
        return self.wrong or ("not told" if self.values is None else " ".join(f"{v:g}" for v in self.values))


def ask(servo: Any, question: Callable[[Any], Any], count: int | None = None) -> Reply:
    """What the arm says to `question(arm)`, asked through `servo.ask`: so many numbers, or one for None.

    Whatever it says is a `Reply`; RuntimeError and OSError if the line fails.
    """
    try:
        answer = servo.ask(question)
    except (RuntimeError, OSError):
        raise
    except Exception as error:  # pymycobot trips over replies that it does not expect
        return Reply(None, f"a reply that pymycobot cannot read ({type(error).__name__}: {error})"[:LONGEST])
    if answer is None or (isinstance(answer, int) and answer == NO_ANSWER):
        return Reply(None)
    listed = [answer] if count is None else answer
    is_right = isinstance(listed, (list, tuple)) and len(listed) == (count or 1)
    if not is_right or not all(map(_is_number, listed)):
        right = "a number" if count is None else f"{count} numbers"
        return Reply(None, f"says {answer!r:.{LONGEST}}; {right} would be right")
    return Reply([float(value) for value in listed])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -HUGE < value < HUGE


def read_angles(payload: bytes) -> list[float]:
    """Joint angles (6,) in degrees of a reply; WrongReply if it holds none, or angles that cannot be."""
    if len(payload) % 2:
        raise WrongReply(f"{len(payload)} bytes, which are no angles")
    angles = decode_angles(payload)
    if len(angles) != JOINTS:
        raise WrongReply(f"{len(angles)} angles, where it has {JOINTS} joints")
    if max(map(abs, angles)) > MOST:
        raise WrongReply(f"angles of {' '.join(f'{angle:g}' for angle in angles)} degrees, which cannot be")
    return angles


def beyond_limits(degrees: Sequence[float]) -> str:
    """Joints that seem to be where they cannot turn to, and how far they turn; empty if there are none."""
    far = np.flatnonzero(np.abs(degrees) > HARD_LIMITS + ROUNDING)
    if not far.size:
        return ""
    return ", ".join(f"joint {n + 1} turns {HARD_LIMITS[n]:g} degrees at most" for n in far)
