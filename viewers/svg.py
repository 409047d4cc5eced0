"""Charts as SVG, to stand in a page: small, sharp at any size, in the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from viewers.pages import text

WIDTH, HEIGHT = 460, 250  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 30  # around the axes
POINTS = 400  # of a line, at most


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    label: str
    color: str  # CSS
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    marked: bool = False  # a dot at each point, which tells its values


@dataclass(frozen=True)
class _Axis:
    """From values to places."""

    low: float
    high: float
    begin: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (
            map(math.log10, (self.low, self.high, value))
            if self.is_log
            else (
                self.low,
                self.high,
                value,
            )
        )
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


def line_chart(title: str, lines: Sequence[Line], x_label: str = "step", top: float | None = None) -> str:
    """Lines over a common axis, logarithmic where all values are positive; `top` makes it 0 to `top`.

    Points that are not finite are left out.
    """
    kept = [(line, [p for p in _thinned(line.points) if all(map(math.isfinite, p))]) for line in lines]
    kept = [(line, points) for line, points in kept if points]
    if not kept:
        return ""
    xs = [x for _, points in kept for x, _ in points]
    ys = [y for _, points in kept for _, y in points]
    x_axis = _Axis(0, max(*xs, 1), LEFT, WIDTH - RIGHT)
    y_axis = _y_axis(ys, top)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}">']
    for value in y_axis.ticks():
        y = y_axis(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{value:g}</text>')
    for value in x_axis.ticks():
        x = x_axis(value)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 3}" text-anchor="middle">{text(x_label)}</text>')
    parts += [_drawn(line, points, x_axis, y_axis) for line, points in kept]
    legend = "".join(f'<li><i style="{_stroke(line)}"></i>{text(line.label)}</li>' for line, _ in kept)
    chart = "".join([f"<figcaption>{text(title)}</figcaption>", *parts, "</svg>"])
    return f'<figure class="chart">{chart}<ul class="legend">{legend}</ul></figure>'


def _y_axis(values: Sequence[float], top: float | None) -> _Axis:
    low, high = min(values), max(values)
    ends = {"begin": HEIGHT - BOTTOM, "end": TOP}
    if top is not None:
        return _Axis(0, top, **ends)
    if low > 0:
        return _Axis(low / 1.15, high * 1.15, **ends, is_log=True)
    room = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    return _Axis(low - room, high + room, **ends)


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Every so many-th, and the last."""
    every = max(1, math.ceil(len(points) / POINTS))
    return [*points[:-1:every], *points[-1:]]


def _stroke(line: Line) -> str:
    return f"border-top: 2px {'dashed' if line.dashed else 'solid'} {line.color}"


def _drawn(line: Line, points: Sequence[tuple[float, float]], x_axis: _Axis, y_axis: _Axis) -> str:
    places = [(x_axis(x), y_axis(y)) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dash = ' stroke-dasharray="5 3"' if line.dashed else ""
    parts = [f'<polyline points="{path}" stroke="{line.color}"{dash}/>']
    for (x, y), (step, value) in zip(places if line.marked else (), points, strict=False):
        told = f"{text(line.label)}: {value:.4g} at {step:g}"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{line.color}"><title>{told}</title></circle>'
        )
    return "".join(parts)


def interval_bar(rate: float, low: float, high: float) -> str:
    """A rate in [0, 1] as a dot, on the line of its interval, on a scale of 0 to 100 %."""
    return (
        '<svg class="interval" viewBox="0 0 200 16" role="img">'
        '<line class="grid" x1="2" x2="198" y1="8" y2="8"/>'
        f'<line class="range" x1="{2 + 196 * low:.1f}" x2="{2 + 196 * high:.1f}" y1="8" y2="8"/>'
        f'<circle cx="{2 + 196 * rate:.1f}" cy="8" r="4.5"/></svg>'
    )
