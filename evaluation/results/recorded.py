"""What it took to record demonstrations by script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks import Task


@dataclass(frozen=True)
class Recorded:
    """What recording one episode took."""

    attempts: int
    success: bool
    strict_success: bool


def recorded_words(task: Task, style: str, done: Sequence[Recorded]) -> str:
    """How often the script succeeded."""
    attempts = sum(one.attempts for one in done)
    successes = sum(one.success for one in done)
    text = f"scripted success {successes}/{attempts} ({successes / attempts:.0%})"
    if style != "script":
        first = sum(one.success and one.attempts == 1 for one in done)
        text += f", style {style}, {first} of {len(done)} at the first attempt"
    if task.strict_label:
        strict = sum(one.strict_success for one in done)
        text = f"{task.strict_label}: {strict} of the {len(done)} kept\n{text}"
    return text
