"""What rollouts came to: outcomes, their summary, and the report of it as text and as JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from files import complete_file

NORMAL_95 = 1.959964  # two-sided 95 % quantile of the normal distribution
NEITHER = "neither"  # column of the rollouts that chose nothing


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a success rate (Wilson 1927): sound for few rollouts and for rates near 0 and 1."""
    if n == 0:
        return 0.0, 1.0
    z2, rate = NORMAL_95**2, successes / n
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    margin = NORMAL_95 / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return max(0.0, centre - margin), min(1.0, centre + margin)


@dataclass(frozen=True)
class Outcome:
    """What one rollout came to."""

    index: int
    highest_reward: int
    total_reward: float
    strict_success: bool | None = None  # None where the environment or the task does not tell
    case: str | None = None  # of a task that has several
    choice: str | None = None  # what was chosen in the end; None: nothing
    filmed: bool = False  # as rollout_<index>.mp4
    unstable_at: int | None = None  # step at which the simulation became unstable, and the rollout ended
    stopped: str | None = None  # why a run on an arm was stopped
    border_change: float | None = None  # rad; see `evaluation.action_changes`
    change: float | None = None  # rad
    steps: int | None = None  # control steps that it took


@dataclass(frozen=True)
class Summary:
    """What an evaluation came to."""

    task: str
    checkpoint: str
    execution: str
    seed: int
    outcomes: tuple[Outcome, ...]
    stages: tuple[str, ...]
    strict_label: str = ""  # what strict success means
    cases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.outcomes)

    def reached(self, stage: int) -> int:
        """Rollouts whose reward was at least `stage` once."""
        return sum(outcome.highest_reward >= stage for outcome in self.outcomes)

    @property
    def successes(self) -> int:
        return self.reached(len(self.stages))

    @property
    def strict_successes(self) -> int | None:
        """Rollouts that succeeded strictly; None where nobody could tell."""
        told = [o.strict_success for o in self.outcomes if o.strict_success is not None]
        return sum(told) if told else None

    @property
    def choice_counts(self) -> dict[str, dict[str, int]]:
        """Rollouts by case, and by what was chosen; empty for a task without cases."""
        counts = Counter((outcome.case, outcome.choice) for outcome in self.outcomes)
        return {
            case: {**{choice: counts[case, choice] for choice in self.choices}, NEITHER: counts[case, None]}
            for case in self.cases
        }

    @property
    def mean_return(self) -> float:
        return float(np.mean([outcome.total_reward for outcome in self.outcomes]))

    def mean_of(self, name: str) -> float | None:
        """Mean of a number over the rollouts that have it; None if none has."""
        told = [value for outcome in self.outcomes if (value := getattr(outcome, name)) is not None]
        return float(np.mean(told)) if told else None

    def text(self) -> str:
        """The report that is printed and saved."""
        lines = [
            f"{self.task}: {self.successes} of {self.n} rollouts succeeded: {_rate(self.successes, self.n)}",
            f"mean return {self.mean_return:.1f}; {self.execution}; {self.checkpoint}; seed {self.seed}",
        ]
        for number, label in enumerate(self.stages, start=1):
            count = self.reached(number)
            lines.append(f"  reward >= {number} ({label}): {count}/{self.n} = {count / self.n:.0%}")
        if self.strict_successes is not None:
            rate = _rate(self.strict_successes, self.n)
            lines.append(f"  strictly ({self.strict_label}): {self.strict_successes}/{self.n} = {rate}")
        at_borders, elsewhere = self.mean_of("border_change"), self.mean_of("change")
        if at_borders is not None and elsewhere is not None:
            lines.append(
                f"  the joint that moves most moves by {at_borders:.4f} rad where one chunk follows another, "
                f"and by {elsewhere:.4f} rad in other steps"
            )
        unstable = sum(outcome.unstable_at is not None for outcome in self.outcomes)
        if unstable:
            lines.append(f"  {unstable} of them ended early: actions so wild that the simulation broke")
        reasons = Counter(outcome.stopped for outcome in self.outcomes if outcome.stopped)
        lines += [f"  {count} stopped: {reason}" for reason, count in reasons.most_common()]
        if self.cases:
            lines += table_lines("chosen:", self.choice_counts)
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        strict = self.strict_successes
        return {
            **asdict(self),
            "rollouts": self.n,
            "successes": self.successes,
            "success_rate": self.successes / self.n,
            "success_rate_95": wilson_interval(self.successes, self.n),
            "strict_successes": strict,
            "strict_success_rate": None if strict is None else strict / self.n,
            "strict_success_rate_95": None if strict is None else wilson_interval(strict, self.n),
            "stage_counts": {label: self.reached(i) for i, label in enumerate(self.stages, start=1)},
            "choice_counts": self.choice_counts,
            "mean_return": self.mean_return,
            "border_change": self.mean_of("border_change"),
            "change": self.mean_of("change"),
        }


def table_lines(corner: str, counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A table of counts by row and column, in lines."""
    columns = next(iter(counts.values()))
    width = max(map(len, [corner, *counts]))
    lines = ["  ".join([f"  {corner:{width}}", *columns])]
    for row, cells in counts.items():
        lines.append("  ".join([f"  {row:{width}}", *(f"{n:{len(name)}}" for name, n in cells.items())]))
    return lines


def _rate(successes: int, n: int) -> str:
    low, high = wilson_interval(successes, n)
    return f"{successes / n:.1%} (95 % interval {low:.1%} to {high:.1%})"


def write_summary(summary: Summary, folder: Path) -> None:
    """Write the report as JSON and as text."""
    stem = f"result_{Path(summary.checkpoint).stem}"
    contents: Mapping[str, str] = {
        "json": json.dumps(summary.as_dict(), indent=2) + "\n",
        "txt": summary.text() + "\n",
    }
    for ending, content in contents.items():
        with complete_file(folder / f"{stem}.{ending}") as part:
            part.write_text(content, encoding="utf-8")
