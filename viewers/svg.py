"""Charts as SVG inside a page: small, sharp at any size, in the page's colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common import Line
from viewers.pages import Html, element, joined

WIDTH, HEIGHT = 460, 250  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 30  # margins around the axes
POINTS = 400  # at most, in a line
LETTER = 6.6  # width of a digit in a label
DRAWABLE = 1e150  # largest value that axes can count to; on a log axis its inverse is the least


@dataclass(frozen=True)
class Axis:
    """From values to places in a chart."""

    low: float
    high: float
    begin: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = map(math.log10, (low, high, value))
        return self.begin + (value - low) / (high - low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """About five round values; on a log axis 1, 2 and 5 times the powers of ten."""
        if self.is_log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            decades = math.log10(self.high / self.low)
            steps = (1, 2, 5) if decades < 2.5 else (1,)
            return [s * 10.0**p for p in powers for s in steps if self.low <= s * 10.0**p <= self.high]
        rough = (self.high - self.low) / 4
        unit = 10.0 ** math.floor(math.log10(rough))
        every = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
        first = math.ceil(self.low / every - 1e-9)
        return [i * every for i in range(first, math.floor(self.high / every + 1e-9) + 1)]


def line_chart(
    title: str, lines: Sequence[Line], x_label: str = "step", top: float | None = None, note: str = ""
) -> Html:
    """Lines over a common x axis. The y axis is logarithmic if all are positive, or goes from 0 to `top`.

    Points that are not finite, or too large to draw, are left out; `note` explains the title.
    """
    kept = [(line, [p for p in _thinned(line.points) if all(map(_is_drawable, p))]) for line in lines]
    kept = [(line, points) for line, points in kept if points]
    if not kept:
        return Html()
    xs = [x for _, points in kept for x, _ in points]
    ys = [y for _, points in kept for _, y in points]
    x_axis = Axis(0, max(*xs, 1), LEFT, WIDTH - RIGHT)
    y_axis = _y_axis(ys, top)
    legend = (element("li", element("i", style=_stroke(line)), line.label) for line, _ in kept)
    return element(
        "figure",
        element("figcaption", title),
        element("p", note, class_="soft") if note else None,
        element(
            "svg",
            *_axes(x_axis, y_axis, x_label),
            *(_drawn(line, points, x_axis, y_axis) for line, points in kept),
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            role="img",
            aria_label=title,
        ),
        element("ul", *legend, class_="legend"),
        class_="chart",
    )


def _is_drawable(value: float) -> bool:
    return math.isfinite(value) and abs(value) < DRAWABLE


def _axes(x_axis: Axis, y_axis: Axis, x_label: str) -> list[Html]:
    parts = []
    for value in y_axis.ticks():
        y = f"{y_axis(value):.1f}"
        parts.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        below = f"{y_axis(value) + 3.5:.1f}"
        parts.append(element("text", f"{value:g}", x=LEFT - 6, y=below, text_anchor="end"))
    for value in x_axis.ticks():
        label = f"{value:g}"
        x = min(x_axis(value), WIDTH - LETTER * len(label) / 2)  # the last one must not be cut
        place = {"x": f"{x:.1f}", "y": HEIGHT - BOTTOM + 14}
        parts.append(element("text", label, **place, text_anchor="middle"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [*parts, element("text", x_label, x=middle, y=HEIGHT - 3, text_anchor="middle")]


def _y_axis(values: Sequence[float], top: float | None) -> Axis:
    low, high = min(values), max(values)
    ends = {"begin": HEIGHT - BOTTOM, "end": TOP}
    if top is not None:
        return Axis(0, top, **ends)
    if low > 1 / DRAWABLE:
        return Axis(low / 1.15, high * 1.15, **ends, is_log=True)
    room = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    return Axis(low - room, high + room, **ends)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """About POINTS of the points, evenly, and the last."""
    every = max(1, math.ceil(len(points) / POINTS))
    return [*points[:-1:every], *points[-1:]]


def _stroke(line: Line) -> str:
    return f"border-top: 2px {'dashed' if line.dashed else 'solid'} {line.color}"


def _drawn(line: Line, points: Sequence[tuple[float, float]], x_axis: Axis, y_axis: Axis) -> Html:
    places = [(x_axis(x), y_axis(y)) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dash = "5 3" if line.dashed else None
    parts = [element("polyline", points=path, stroke=line.color, stroke_dasharray=dash)]
    for (x, y), (step, value) in zip(places if line.marked else (), points, strict=False):
        hint = element("title", f"{line.label}: {value:.4g} at {step:g}")
        parts.append(element("circle", hint, cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.2, fill=line.color))
    return joined(parts)


def interval_bar(rate: float, low: float, high: float) -> Html:
    """A rate in [0, 1] as a dot on its interval, on a scale of 0 to 100 %."""
    low, high, rate = (f"{2 + 196 * share:.1f}" for share in (low, high, rate))
    return element(
        "svg",
        element("line", class_="grid", x1=2, x2=198, y1=8, y2=8),
        element("line", class_="range", x1=low, x2=high, y1=8, y2=8),
        element("circle", cx=rate, cy=8, r=4.5),
        class_="interval",
        viewBox="0 0 200 16",
        role="img",
    )
