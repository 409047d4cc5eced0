"""The result of a sweep: a table as text, a heat map, and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common import from_plain
from disturbances import STRENGTHS, Cell
from evaluation.results.intervals import wilson_interval
from evaluation.results.outcomes import Summary, write_result
from evaluation.settings import Settings
from tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILE = "disturbances"  # .json, .txt, .png
MIDDLE = STRENGTHS[1]
COLOURS = "RdYlBu"  # red for no success, blue for success: told apart by all eyes


@dataclass(frozen=True)
class Score:
    """How often rollouts succeeded under one disturbance, or under none."""

    successes: int
    rollouts: int
    name: str = ""  # of the disturbance; "": undisturbed
    level: str = ""  # of STRENGTHS
    strength: float = 0.0
    unit: str = ""
    group: str = ""
    what: str = ""
    strict_successes: int | None = None
    mean_return: float | None = None

    @classmethod
    def of(cls, cell: Cell, summary: Summary) -> Score:
        """Of a cell of one disturbance, or of none."""
        score = cls(
            summary.successes,
            summary.n,
            strict_successes=summary.strict_successes,
            mean_return=summary.mean_return,
        )
        for each in cell:
            one = each.disturbance
            facts = {"name": one.name, "unit": one.unit, "group": one.group, "what": one.what}
            score = replace(score, level=each.level, strength=each.strength, **facts)
        return score

    @property
    def rate(self) -> float:
        """Share of the rollouts that succeeded."""
        return self.successes / self.rollouts if self.rollouts else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of it."""
        return wilson_interval(self.successes, self.rollouts)

    @property
    def text(self) -> str:
        """Rate and interval in per cent: 64 % (50-76)."""
        low, high = self.interval
        return f"{self.rate:.0%} ({100 * low:.0f}-{100 * high:.0f})".replace("%", " %")


@dataclass(frozen=True)
class Sweep:
    """Success undisturbed, and by axis and strength."""

    task: str
    checkpoint: str
    settings: Settings  # of the undisturbed rollouts
    scores: tuple[Score, ...]  # in the order of the registry
    made: str = ""  # when (ISO 8601)

    @classmethod
    def of(cls, task: Task, checkpoint: str, settings: Settings, scores: Sequence[Score]) -> Sweep:
        made = datetime.now().astimezone().isoformat(timespec="seconds")
        return cls(task.name, checkpoint, settings, tuple(scores), made)

    @classmethod
    def read(cls, path: Path) -> Sweep:
        """From a file that `write_sweep` wrote; ValueError if it holds none."""
        sweep = from_plain(cls, json.loads(path.read_text(encoding="utf-8")))
        for score in sweep.scores:
            if not 0 <= score.successes <= score.rollouts or score.level not in ("", *STRENGTHS):
                raise ValueError(f"{score} cannot be")
        return sweep

    @property
    def undisturbed(self) -> Score | None:
        return next((score for score in self.scores if not score.name), None)

    @property
    def axes(self) -> dict[str, dict[str, Score]]:
        """Scores by name of the disturbance, and by strength."""
        axes: dict[str, dict[str, Score]] = {}
        for score in self.scores:
            if score.name:
                axes.setdefault(score.name, {})[score.level] = score
        return axes

    @property
    def at_middle(self) -> list[Score]:
        """Scores of all axes at middle strength."""
        return [levels[MIDDLE] for levels in self.axes.values() if MIDDLE in levels]

    def conclusion(self) -> str:
        """Mean and worst of the axes at middle strength, in a line; "" if there are none."""
        scores = self.at_middle
        if not scores:
            return ""
        mean, worst = np.mean([score.rate for score in scores]), min(scores, key=lambda score: score.rate)
        axes = "1 axis" if len(scores) == 1 else f"mean of {len(scores)} axes"
        return f"at middle strength: {axes} {mean:.1%}, worst {worst.name} {worst.rate:.1%}".replace(
            "%", " %"
        )

    def title(self) -> str:
        """What was evaluated, in a line."""
        count = self.settings.count
        of = f"{self.checkpoint}; {self.settings.execution}; seed {self.settings.seed}"
        return f"{self.task}: success under disturbances, of {count} rollouts each ({of})"

    def text(self) -> str:
        """The table that is printed and saved."""
        axes, plain = self.axes, self.undisturbed
        cells = [f"{s.strength:g}: {s.text}" for levels in axes.values() for s in levels.values()]
        width, name_width = max(map(len, [*cells, ""])), max(map(len, [*axes, "undisturbed"]))
        lines = [self.title(), "strength: success (95 % interval), in per cent", ""]
        lines += [f"  {'undisturbed':{name_width}}  {plain.text}"] if plain else []
        group = ""
        for name, levels in axes.items():
            first = next(iter(levels.values()))
            if first.group != group:
                group = first.group
                heads = "  ".join(f"{level:{width}}" for level in STRENGTHS)
                lines += ["", f"  {group:{name_width}}  {heads}"]
            shown = [levels.get(level) for level in STRENGTHS]
            row = "  ".join(f"{f'{s.strength:g}: {s.text}' if s else '-':{width}}" for s in shown)
            lines.append(f"  {name:{name_width}}  {row}  {first.unit}: {first.what}")
        conclusion = self.conclusion()
        return "\n".join([*lines, *(["", conclusion] if conclusion else [])])

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        scores = [
            {**asdict(score), "success_rate": score.rate, "success_rate_95": score.interval}
            for score in self.scores
        ]
        middle = [score.rate for score in self.at_middle]
        worst = min(self.at_middle, key=lambda score: score.rate, default=None)
        return {
            **asdict(self),
            "scores": scores,
            "mean_at_middle": float(np.mean(middle)) if middle else None,
            "worst_at_middle": worst and {"name": worst.name, "success_rate": worst.rate},
        }


def write_sweep(sweep: Sweep, folder: Path) -> None:
    """Write `disturbances.json`, `.txt` and `.png`."""
    write_result(folder / FILE, sweep.text(), sweep.as_dict())
    heat_map(sweep, folder / f"{FILE}.png")


def heat_map(sweep: Sweep, path: Path) -> None:
    """Write a PNG: a row for each axis, a column for each strength; colour and words give success."""
    from common import new_figure, write_png

    axes, plain = sweep.axes, sweep.undisturbed
    rates = np.full((1 + len(axes), len(STRENGTHS)), np.nan)
    if plain is not None:
        rates[0] = plain.rate
    figure = new_figure(9.0, 1.6 + 0.36 * len(rates))
    panel = figure.subplots()
    for row, levels in enumerate(axes.values(), start=1):
        for column, level in enumerate(STRENGTHS):
            if level in levels:
                rates[row, column] = levels[level].rate
                _write_cell(panel, row, column, levels[level])
    panel.imshow(rates, cmap=COLOURS, vmin=0, vmax=1, aspect="auto", alpha=0.55)
    if plain is not None:
        panel.text(1, 0, plain.text, ha="center", va="center", fontsize=9)
    firsts = [next(iter(levels.values())) for levels in axes.values()]
    labels = ["undisturbed", *(f"{score.name.replace('_', ' ')} ({score.unit})" for score in firsts)]
    panel.set_yticks(range(len(labels)), labels)
    panel.set_xticks(range(len(STRENGTHS)), STRENGTHS)
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
    groups = [score.group for score in firsts]
    starts = [0, *(i for i in range(1, len(groups)) if groups[i] != groups[i - 1])]
    for start in starts if groups else ():
        panel.axhline(start + 0.5, color="black", lw=1.2)
    title = f"{sweep.task}, {sweep.checkpoint}: success in {sweep.settings.count} rollouts each"
    panel.set_title(f"{title}\nstrength: success (95 % interval)", fontsize=10)
    write_png(figure, path, grid=False)


def _write_cell(panel: Axes, row: int, column: int, score: Score) -> None:
    panel.text(column, row, f"{score.strength:g}: {score.text}", ha="center", va="center", fontsize=9)


def list_sweeps(run: Path) -> list[Path]:
    """JSON files of all sweeps of a run, the newest first."""
    return sorted((run / FILE).glob(f"*/{FILE}.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
