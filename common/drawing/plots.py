"""Pictures of numbers; each is written completely or not at all (`complete_file`).

Figures are matplotlib objects, not pyplot state: they need no display and leak nothing. They show
what ACT's do: visualize_episodes.py (cameras in a row, state against command), imitate_episodes.py (losses).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from common.drawing.curves import BLUE, COLORS, ORANGE, PARTS, loss_lines, loss_names
from common.drawing.losses import Losses
from common.storage import complete_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# fonts with Korean letters, as names of cameras and tasks may have: Windows', macOS', Linux's
EAST_ASIAN = ("Malgun Gothic", "Apple SD Gothic Neo", "NanumGothic", "Noto Sans CJK KR", "Noto Sans CJK JP")
MIN_SPAN = 0.1  # of a joint's y axis (rad), so that noise on a resting joint looks as small as it is


class PlottedEntry(Protocol):
    """What a panel needs to know of one number of a state."""

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def span(self) -> tuple[float, float] | None:
        """Range that its axis always shows; None: what the values need."""


def joint_plot(
    path: str | Path,
    qpos: np.ndarray,
    action: np.ndarray,
    entries: Sequence[PlottedEntry],
    fps: float,
    title: str = "",
) -> None:
    """Write a PNG of state against command over time, one panel a joint; two arms lie side by side.

    Args:
        path: the file.
        qpos: (T, D) state.
        action: (T, A) command; its first D entries are drawn.
        entries: the D entries of a state.
        fps: steps a second.
        title: above the panels.

    Raises:
        ValueError: `entries` are not D.
    """
    if len(entries) != qpos.shape[1]:
        raise ValueError(f"{path}: {len(entries)} names for {qpos.shape[1]} joints; one each is needed")
    lines = {
        "state (measured)": (qpos, {"color": BLUE}),
        "command (action)": (action, {"color": ORANGE, "ls": "--", "lw": 1.2}),
    }
    joint_lines_plot(path, lines, entries, fps, title)


def joint_lines_plot(
    path: str | Path,
    lines: Mapping[str, tuple[np.ndarray, Mapping[str, object]]],
    entries: Sequence[PlottedEntry],
    fps: float,
    title: str = "",
) -> None:
    """Write a PNG of joints over time as `joint_plot`, of any lines.

    Args:
        path: the file.
        lines: by label: values (T_i, D_i), of any length, and matplotlib's options for them. Values beyond
            the entries are not drawn; a line with fewer values is missing from the last panels.
        entries, fps, title: as for `joint_plot`.
    """
    columns = 2 if len(entries) > 2 and len(entries) % 2 == 0 else 1
    rows = len(entries) // columns
    figure = new_figure(4.0 + 5.0 * columns, 1.6 * rows + 1.0)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).T.ravel()  # down the columns
    for i, (panel, entry) in enumerate(zip(panels, entries, strict=True)):
        for label, (values, style) in lines.items():
            if i < values.shape[1]:
                panel.plot(np.arange(len(values)) / fps, values[:, i], label=label, **style)
        _scale_joint(panel, entry.span)
        panel.set_title(entry.name.replace("_", " "), loc="left", fontsize=10)
        panel.set_ylabel(entry.unit)
    for panel in panels[rows - 1 :: rows]:  # the lowest of each column
        panel.set_xlabel("time (s)")
    figure.align_ylabels()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    figure.suptitle(title, x=0.01, ha="left")
    write_png(figure, path)


def _scale_joint(panel: Axes, span: tuple[float, float] | None) -> None:
    low, high = panel.get_ylim()
    if span:
        panel.set_ylim(min(low, span[0] - 0.05), max(high, span[1] + 0.05))
    elif high - low < MIN_SPAN:
        middle = (low + high) / 2
        panel.set_ylim(middle - MIN_SPAN / 2, middle + MIN_SPAN / 2)
    panel.margins(x=0)


def loss_plot(path: str | Path, history: Sequence[Losses]) -> None:
    """Write a PNG of losses over steps, one panel a loss, on a log axis where all its values are positive.

    Args:
        path: the file.
        history: of a run.

    Raises:
        ValueError: no row holds a loss.
    """
    from matplotlib.ticker import LogLocator

    losses = loss_names(history)
    if not losses:
        raise ValueError(f"{path}: no losses in the history")
    columns = min(len(losses), 3)
    rows = math.ceil(len(losses) / columns)
    figure = new_figure(5.5 * columns, 3.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (loss, title) in zip(panels, losses.items(), strict=False):
        drawn = []
        for line in loss_lines(history, loss):
            style = {"lw": 0.8, "ls": "--"} if line.dashed else {}
            style |= {"marker": "o", "ms": 3} if line.marked else {}
            panel.plot(*zip(*line.points, strict=True), label=line.label, color=line.color, **style)
            drawn += [value for _, value in line.points if math.isfinite(value)]
        if drawn and min(drawn) > 0:
            panel.set_yscale("log")
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
            panel.yaxis.set_major_formatter("{x:g}")  # 0.2, not 2e-01
            panel.yaxis.set_minor_formatter("")
        panel.set_title(title, loc="left", fontsize=10)
        panel.set_xlabel("step")
        panel.legend()
    for panel in panels[len(losses) :]:
        panel.remove()
    write_png(figure, path)


def k_plot(
    path: str | Path,
    ks: Sequence[int],
    errors: Mapping[float, Sequence[float]],
    chosen: tuple[int, float],
) -> None:
    """Write a PNG of the error over the number of neighbours, a line for each weight of the state (VINN).

    Args:
        path: the file.
        ks: numbers of neighbours.
        errors: by weight, the error at each of them.
        chosen: the chosen number and weight.
    """
    figure = new_figure(6.5, 4.5)
    panel = figure.subplots()
    for weight, line in errors.items():
        panel.plot(ks, line, marker="o", ms=3, label=f"state weight {weight:g}")
    k, weight = chosen
    error = errors[weight][list(ks).index(k)]
    panel.plot(k, error, "*", ms=14, color="black", label=f"chosen: k {k}, state weight {weight:g}")
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_xlabel("neighbours (k)")
    panel.set_ylabel("error of the chunk (standard deviations of an action)")
    figure.legend(loc="outside upper left", ncols=3)  # beside the curves, not on one
    write_png(figure, path)


def accuracy_plot(path: str | Path, histories: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Write a PNG of accuracies over epochs, a panel for each run, all to the same scale.

    Args:
        path: the file.
        histories: by name of the run: rows with `epoch`, `train/accuracy` and `val/accuracy`, in [0, 1].
    """
    figure = new_figure(5.5 * len(histories), 4.0)
    panels = figure.subplots(1, len(histories), squeeze=False, sharey=True).ravel()
    for panel, (name, rows) in zip(panels, histories.items(), strict=True):
        for part, style in (("train", {"color": BLUE}), ("val", {"color": ORANGE, "marker": "o", "ms": 3})):
            points = [(row["epoch"], 100 * row[f"{part}/accuracy"]) for row in rows]
            style |= {"marker": "o"} if len(points) == 1 else {}  # one point makes no line
            panel.plot(*zip(*points, strict=True), label=PARTS[part], **style)
        panel.set_title(name, loc="left", fontsize=10)
        panel.set_xlabel("epoch")
        panel.legend(loc="lower right")
    panels[0].set_ylabel("accuracy (%)")
    write_png(figure, path)


def confusion_plot(path: str | Path, confusion: np.ndarray, classes: Sequence[str], title: str) -> None:
    """Write a PNG of how often (%) images of a class (row) were taken for which (column).

    Args:
        path: the file.
        confusion: (classes, classes) counts.
        classes: their names.
        title: above the picture.
    """
    shares = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure = new_figure(2.0 + 0.55 * len(classes), 1.5 + 0.5 * len(classes))
    panel = figure.subplots()
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(*shares.shape):
        color = "white" if shares[row, column] > 50 else "black"
        panel.text(
            column, row, f"{shares[row, column]:.0f}", ha="center", va="center", color=color, fontsize=8
        )
    panel.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    panel.set_yticks(range(len(classes)), classes)
    panel.set_xlabel("taken for")
    panel.set_ylabel("is")
    panel.set_title(title, loc="left", fontsize=10)
    write_png(figure, path, grid=False)


def curves_plot(
    path: str | Path,
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, Any]]]],
    x_label: str,
    is_log: bool = False,
) -> None:
    """Write a PNG of lines over a number, a panel for each quantity; a name has one colour in all of them.

    Args:
        path: the file.
        panels: by title, then by name of the line: points (x, y), or (x, (y, low, high)) with the ends of an
            interval.
        x_label: what the number is.
        is_log: whether both axes are logarithmic, with a mark at each x.
    """
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colors = dict(zip(names, cycle(COLORS), strict=False))
    figure = new_figure(4.2 * len(panels), 3.6)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (title, lines) in zip(axes, panels.items(), strict=True):
        for name, points in lines.items():
            x, y = zip(*points, strict=True)
            if np.ndim(y) == 2:
                y, low, high = zip(*y, strict=True)
                panel.fill_between(x, low, high, color=colors[name], alpha=0.15, lw=0)
            panel.plot(x, y, marker="o", ms=4, label=name, color=colors[name])
        panel.set_title(title, loc="left", fontsize=10)
        panel.set_xlabel(x_label)
        if is_log:
            _log_axes(panel, sorted({x for points in lines.values() for x, _ in points}))
        if len(names) <= 2:
            panel.legend()
    if len(names) > 2:
        lines = {line.get_label(): line for panel in axes for line in panel.get_lines()}
        figure.legend(lines.values(), lines, loc="outside right center")
    write_png(figure, path)


def _log_axes(panel: Any, marks: Sequence[float]) -> None:
    """Make a panel logarithmic, with plain numbers at these x, and at some of each power of ten in y."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    panel.set_xscale("log")
    panel.set_yscale("log")
    plain = FuncFormatter(lambda number, _: f"{number:g}")
    panel.set_xticks(marks)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(plain)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))


def east_asian_fonts() -> list[str]:
    """Fonts of the machine that take over where matplotlib's own lacks a letter."""
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return [name for name in EAST_ASIAN if name in installed]


def new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def write_png(figure: Figure, path: str | Path, grid: bool = True) -> None:
    from matplotlib.text import Text

    for panel in figure.axes if grid else ():
        panel.grid(alpha=0.3)
    more = east_asian_fonts()
    for text in figure.findobj(Text):
        text.set_fontfamily([*text.get_fontfamily(), *more])
    with complete_file(path) as part:
        figure.savefig(part, format="png", dpi=110)
