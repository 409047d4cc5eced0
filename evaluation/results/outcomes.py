"""Results of rollouts: each outcome, their summary, and its report as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from common import complete_file, from_plain
from evaluation.results.intervals import wilson_interval
from evaluation.settings import SIMULATION, Settings
from tasks import Task

NEITHER = "neither"  # column of the rollouts that chose nothing
JUDGED = "success, as you said"  # the stage of a run on a real arm


@dataclass(frozen=True)
class Outcome:
    """The result of one rollout."""

    index: int
    highest_reward: int | None  # None: unknown, as nobody could tell
    total_reward: float
    strict_success: bool | None = None  # None if the environment or the task does not tell
    case: str | None = None  # of a task that has several
    choice: str | None = None  # what was chosen in the end; None: nothing
    filmed: bool = False  # as rollout_<index>.mp4
    unstable_at: int | None = None  # step at which the simulation became unstable, and the rollout ended
    stopped: str | None = None  # why a run on an arm was stopped
    border_change: float | None = None  # rad; see `evaluation.action_changes`
    change: float | None = None  # rad
    border_bend: float | None = None  # rad a step each step, likewise
    bend: float | None = None
    steps: int | None = None  # control steps that it took
    takeovers: int = 0  # times that a person took the arm over
    episode: str | None = None  # file of a run on an arm

    @property
    def counts(self) -> bool:
        """Whether it shows what the policy can do by itself."""
        return self.takeovers == 0 and self.highest_reward is not None


@dataclass(frozen=True)
class Summary:
    """The result of an evaluation.

    Rates are over the rollouts that count: a person did not help, and how they ended is known.
    """

    task: str
    checkpoint: str
    execution: str
    seed: int
    outcomes: tuple[Outcome, ...]
    stages: tuple[str, ...]
    strict_label: str = ""  # what strict success means
    cases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    settings: Settings | None = None  # None: of an earlier version, which did not say
    made: str = ""  # when (ISO 8601)

    @classmethod
    def of(cls, task: Task, checkpoint: str, settings: Settings, outcomes: Sequence[Outcome]) -> Summary:
        """Summarise rollouts of a task, or runs, which a person judges if the task has no stages."""
        judged = () if settings.robot == SIMULATION else (JUDGED,)
        return cls(
            task=task.name,
            checkpoint=checkpoint,
            execution=settings.execution,
            seed=settings.seed,
            outcomes=tuple(outcomes),
            stages=tuple(stage.label for stage in task.stages) or judged,
            strict_label=task.strict_label,
            cases=tuple(case.label for case in task.cases),
            choices=tuple(choice.label for choice in task.choices),
            settings=settings,
            made=datetime.now().astimezone().isoformat(timespec="seconds"),
        )

    @classmethod
    def from_dict(cls, content: Any) -> Summary:
        """From what `as_dict` gives, or gave in earlier versions.

        Raises:
            ValueError: a value is missing, of another type, or contradicts the outcomes.
        """
        if isinstance(content, Mapping) and isinstance(content.get("outcomes"), list):
            outcomes = [  # earlier versions did not say which were filmed
                {"filmed": True, **outcome} if isinstance(outcome, Mapping) else outcome
                for outcome in content["outcomes"]
            ]
            content = {**content, "outcomes": outcomes}
        summary = from_plain(cls, content)
        best = max(1, len(summary.stages))
        for outcome in summary.outcomes:
            if outcome.index < 0 or outcome.takeovers < 0 or not 0 <= (outcome.highest_reward or 0) <= best:
                raise ValueError(f"{outcome} cannot be of a task with {len(summary.stages)} stages")
        for name, value in summary.counts().items():
            if content.get(name, value) != value:
                raise ValueError(f"{name} is {repr(content[name])[:80]}; its outcomes make it {value}")
        return summary

    @property
    def counted(self) -> tuple[Outcome, ...]:
        """Outcomes that count."""
        return tuple(outcome for outcome in self.outcomes if outcome.counts)

    @property
    def n(self) -> int:
        """Rollouts that count."""
        return len(self.counted)

    @property
    def helped(self) -> int:
        """Rollouts in which a person took over."""
        return sum(outcome.takeovers > 0 for outcome in self.outcomes)

    @property
    def unknown(self) -> int:
        """Rollouts whose end nobody knows, without those that were helped."""
        return len(self.outcomes) - self.helped - self.n

    def is_success(self, outcome: Outcome) -> bool:
        """Whether a rollout reached the last stage, helped or not; an unknown one did not."""
        return outcome.highest_reward is not None and outcome.highest_reward >= max(1, len(self.stages))

    def reached(self, stage: int) -> int:
        """Rollouts whose reward was at least `stage` once."""
        return sum(outcome.highest_reward >= stage for outcome in self.counted)

    @property
    def successes(self) -> int:
        return sum(self.is_success(outcome) for outcome in self.counted)

    @property
    def strict_successes(self) -> int | None:
        """Rollouts that succeeded strictly; None if unknown."""
        known = [o.strict_success for o in self.counted if o.strict_success is not None]
        return sum(known) if known else None

    @property
    def choice_counts(self) -> dict[str, dict[str, int]]:
        """Rollouts by case, and by what was chosen; empty for a task without cases."""
        counts = Counter((outcome.case, outcome.choice) for outcome in self.counted)
        return {
            case: {**{choice: counts[case, choice] for choice in self.choices}, NEITHER: counts[case, None]}
            for case in self.cases
        }

    @property
    def mean_return(self) -> float | None:
        return self.mean_of("total_reward")

    def mean_of(self, name: str) -> float | None:
        """Mean of a number over the rollouts that have it; None if none has."""
        values = [value for outcome in self.counted if (value := getattr(outcome, name)) is not None]
        return float(np.mean(values)) if values else None

    def not_counted(self) -> list[str]:
        """What was left out of the rates, and why; a line each."""
        n = len(self.outcomes)
        causes = {"helped": self.helped, "of unknown outcome": self.unknown}
        return [
            f"{count} of {n} runs {'was' if count == 1 else 'were'} {cause}: not counted"
            for cause, count in causes.items()
            if count
        ]

    def text(self) -> str:
        """The report that is printed and saved."""
        n, mean = self.n, self.mean_return
        rate = _rate(self.successes, n)
        about = [self.execution, self.checkpoint, f"seed {self.seed}"]
        lines = [
            f"{self.task}: {self.successes} of {n} rollouts succeeded: {rate}",
            "; ".join([*([] if mean is None else [f"mean return {mean:.1f}"]), *about]),
            *(f"  {line}" for line in self.not_counted()),
        ]
        for number, label in enumerate(self.stages, start=1):
            count = self.reached(number)
            lines.append(f"  reward >= {number} ({label}): {count}/{n} = {_percent(count, n)}")
        strict = self.strict_successes
        if strict is not None:
            lines.append(f"  strictly ({self.strict_label}): {strict}/{n} = {_rate(strict, n)}")
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

    def counts(self) -> dict[str, Any]:
        """What follows from the outcomes by counting."""
        return {
            "rollouts": len(self.outcomes),
            "counted": self.n,
            "helped": self.helped,
            "unknown": self.unknown,
            "successes": self.successes,
            "strict_successes": self.strict_successes,
            "stage_counts": {label: self.reached(i) for i, label in enumerate(self.stages, start=1)},
            "choice_counts": self.choice_counts,
        }

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; a rate of no rollouts is None."""

        def of_counted(function: Callable[[int, int], Any], successes: int | None) -> Any:
            return function(successes, self.n) if self.n and successes is not None else None

        strict = self.strict_successes
        return {
            **asdict(self),
            **self.counts(),
            "success_rate": of_counted(lambda k, n: k / n, self.successes),
            "success_rate_95": of_counted(wilson_interval, self.successes),
            "strict_success_rate": of_counted(lambda k, n: k / n, strict),
            "strict_success_rate_95": of_counted(wilson_interval, strict),
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


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _rate(successes: int, n: int) -> str:
    if not n:
        return "unknown, as none counts"
    low, high = wilson_interval(successes, n)
    return f"{successes / n:.1%} (95 % interval {low:.1%} to {high:.1%})"


def write_summary(summary: Summary, folder: Path) -> None:
    """Write the report as JSON and as text: `result_<checkpoint>.json` and `.txt`."""
    write_result(folder / f"result_{Path(summary.checkpoint).stem}", summary.text(), summary.as_dict())


def write_result(path: Path, text: str, content: Mapping[str, Any]) -> None:
    """Write a result as `<path>.txt` and as `<path>.json`; `path` has no ending."""
    whole = json.dumps(content, indent=2, allow_nan=False)
    for ending, words in (("txt", text), ("json", whole)):
        with complete_file(path.parent / f"{path.name}.{ending}") as part:
            part.write_text(words + "\n", encoding="utf-8")
