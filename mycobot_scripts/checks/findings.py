"""What a check found: its state, whether that is good, and what to do if not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common import complete_file

LEVELS = ("ok", "look", "bad")
COLUMN = 30  # characters


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    what: str  # a word or two
    level: str  # of LEVELS
    text: str  # how it is
    advice: str = ""  # what to do

    def line(self) -> str:
        """For the terminal."""
        advice = f"\n{'':{COLUMN + 6}}-> {self.advice}" if self.advice else ""
        return f"{self.level:<5} {self.what:<{COLUMN}}{self.text}{advice}"


def judged(what: str, is_good: bool, text: str, advice: str, level: str = "bad") -> Finding:
    """A finding that is `level` unless it is good; the advice is for that case."""
    return Finding(what, "ok" if is_good else level, text, "" if is_good else advice)


def summary(findings: Sequence[Finding]) -> str:
    """One line about all of them."""
    counts = {level: sum(finding.level == level for finding in findings) for level in LEVELS}
    if counts["bad"]:
        return f"{counts['bad']} bad, {counts['look']} to look at, {counts['ok']} ok: mend what is bad first"
    return f"nothing bad, {counts['look']} to look at, {counts['ok']} ok"


def write(path: Path, findings: Sequence[Finding]) -> None:
    """Write all of them as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as part:
        part.write_text(
            json.dumps([asdict(finding) for finding in findings], indent=1) + "\n", encoding="utf-8"
        )
