"""What is drawn of a training run: losses, with the same labels and colours in pictures and on pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Blue and orange are state and command in all plots of joints, training and validation here.
COLORS = ("#1f6fd0", "#d9730d", "#1a8754", "#9a4fc4", "#c43d3d", "#0f8f9c", "#8a7326", "#c2548f")
BLUE, ORANGE = COLORS[:2]
PARTS = {"train": "training", "val": "validation"}
MEANINGS = {
    "loss": "what training makes small",
    "l1": "mean distance from the demonstrated actions, in their standard deviations",
    "mse": "mean squared distance from what was demonstrated",
    "kl": "how much the style variable tells of the demonstration (CVAE)",
}
PHASES = (
    "start, early, middle and late are parts of an episode: its first 5 %, up to a third, two thirds, the end"
)


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    label: str
    color: str  # CSS
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    marked: bool = False  # a dot at each point, which tells its values


def points_of(history: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    """Steps and values of a column of a run's history."""
    return [(row["step"], row[key]) for row in history if key in row]


def loss_names(history: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Losses of a history, name to title; one that equals another all along is named in its title.

    Columns are `train/<loss>`, `val/<loss>` and, of phases of the episode, `val/<loss> <phase>`.
    """
    keys = dict.fromkeys(key for row in history for key in row)
    names = dict.fromkeys(
        key.split("/", 1)[1] for key in keys if key.startswith(tuple(f"{part}/" for part in PARTS))
    )
    same: dict[str, list[str]] = {}
    for name in (name for name in names if " " not in name):
        columns = _columns(history, name)
        twin = next((other for other in same if _columns(history, other) == columns), name)
        same.setdefault(twin, []).append(name)
    return {name: " = ".join(twins) for name, twins in same.items()}


def _columns(history: Sequence[Mapping[str, float]], loss: str) -> list[list[tuple[float, float]]]:
    return [points_of(history, f"{part}/{loss}") for part in PARTS]


def loss_lines(history: Sequence[Mapping[str, float]], loss: str) -> list[Line]:
    """Training, validation, and its phases."""
    keys = dict.fromkeys(key for row in history for key in row if key.startswith(f"val/{loss} "))
    lines = []
    for (part, label), color in zip(PARTS.items(), COLORS, strict=False):
        points = points_of(history, f"{part}/{loss}")
        lines.append(Line(label, color, points, marked=part == "val" or len(points) == 1))
    for i, key in enumerate(keys):
        color = COLORS[2 + i % (len(COLORS) - 2)]
        lines.append(Line(key.removeprefix(f"val/{loss} "), color, points_of(history, key), dashed=True))
    return [line for line in lines if line.points]


def meaning(title: str) -> str:
    """What a loss is, in a line; empty if it is none of ours."""
    told = [f"{name}: {MEANINGS[name]}" for name in title.split(" = ") if name in MEANINGS]
    return "; ".join(told)
