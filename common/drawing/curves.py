"""Loss curves of a training run, with the same labels and colours in pictures and on pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

from common.drawing.losses import Losses

# Blue and orange are state and command in all plots of joints, training and validation here.
COLORS = ("#1f6fd0", "#d9730d", "#1a8754", "#9a4fc4", "#c43d3d", "#0f8f9c", "#8a7326", "#c2548f")
BLUE, ORANGE = COLORS[:2]
PARTS = {"train": "training", "val": "validation"}
MEANINGS = {
    "loss": "what training minimises",
    "l1": "mean distance from the demonstrated actions, in their standard deviations",
    "mse": "mean squared distance from what was demonstrated",
    "kl": "how much the style variable tells about the demonstration (CVAE)",
}
PHASES = (
    "start, early, middle and late are parts of an episode: its first 1 %, up to a third, two thirds, the end"
)


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    label: str
    color: str  # CSS
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    marked: bool = False  # a dot at each point, which shows its values


def points_of(
    history: Sequence[Losses], value: Callable[[Losses], float | None]
) -> list[tuple[float, float]]:
    """Step and value of each row of a run's history, without the rows where `value` returns None."""
    return [(losses.step, y) for losses in history if (y := value(losses)) is not None]


def loss_points(history: Sequence[Losses], loss: str) -> tuple[list[tuple[float, float]], ...]:
    """Steps and values of a loss in training, and in validation."""
    return (
        points_of(history, lambda losses: losses.training.get(loss)),
        points_of(history, lambda losses: losses.validation.get(loss)),
    )


def loss_names(history: Sequence[Losses]) -> dict[str, str]:
    """Losses of a history, name to title; losses with equal values share one title, `a = b`."""
    same: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for row in history for name in (*row.training, *row.validation)):
        points = loss_points(history, name)
        twin = next((other for other in same if loss_points(history, other) == points), name)
        same.setdefault(twin, []).append(name)
    return {name: " = ".join(twins) for name, twins in same.items()}


def loss_lines(history: Sequence[Losses], loss: str) -> list[Line]:
    """Training, validation, and validation by phase."""
    training, validation = loss_points(history, loss)
    lines = [
        Line(PARTS["train"], BLUE, training, marked=len(training) == 1),
        Line(PARTS["val"], ORANGE, validation, marked=True),
    ]
    phases = dict.fromkeys(phase for row in history for phase in row.phases) if loss == "loss" else ()
    for phase, color in zip(phases, cycle(COLORS[2:])):
        points = points_of(history, lambda losses, phase=phase: losses.phases.get(phase))
        lines.append(Line(phase, color, points, dashed=True))
    return [line for line in lines if line.points]


def meaning(title: str) -> str:
    """What a loss means, in one line; "" if it is not one of ours."""
    meanings = [f"{name}: {MEANINGS[name]}" for name in title.split(" = ") if name in MEANINGS]
    return "; ".join(meanings)
