"""Maps of starts, seen from above, as SVG: shown, tried, held out, and which come next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks import Evidence, Prop, StartSpace, in_sight, relative
from viewers.coverage.analysis import START, Attempt, Coverage
from viewers.pages import Html, element, joined
from viewers.svg import BOTTOM, LEFT, RIGHT, TOP, Axis

SIZE = 400  # of the longer side of a map, in its own units
LEAST_AREA = 0.015  # m; an object whose place varies less gets no map
ROOM = 0.07  # of the longer side, around the area
SHADES = 14  # cells along each side that tell how often attempts nearby failed
DARKEST = 0.4  # opacity of the cell with the most failures
DOT = 8.5  # radius of a number
RINGS = (4.0, 9.0)  # radius of the smallest and the largest held-out error

Starts = Sequence[tuple[int, int, np.ndarray]]  # number for people, case, start (P * 7,)


def numbered(new: Sequence[tuple[int, np.ndarray]]) -> Starts:
    """The starts to record next, with their numbers."""
    return [(number, case, start) for number, (case, start) in enumerate(new, start=1)]


def mapped_props(space: StartSpace) -> list[int]:
    """Numbers of the props that get a map: their places vary by more than a grip."""
    sizes = [max(high - low for low, high in zip(p.low[:2], p.high[:2], strict=True)) for p in space.props]
    return [i for i, prop in enumerate(space.props) if in_sight(prop) and sizes[i] > LEAST_AREA]


@dataclass(frozen=True)
class _Plan:
    """From metres to places in a map."""

    x: Axis
    y: Axis

    @classmethod
    def of(cls, prop: Prop) -> _Plan:
        low, high = np.array(prop.low[:2]), np.array(prop.high[:2])
        longest = float((high - low).max())
        low, high = low - ROOM * longest, high + ROOM * longest
        width, height = SIZE * (high - low) / (longest * (1 + 2 * ROOM))
        return cls(
            Axis(float(low[0]), float(high[0]), LEFT, LEFT + float(width)),
            Axis(float(low[1]), float(high[1]), TOP + float(height), TOP),
        )

    def __call__(self, place: np.ndarray) -> tuple[float, float]:
        return round(self.x(float(place[0])), 1), round(self.y(float(place[1])), 1)

    @property
    def size(self) -> tuple[float, float]:
        return self.x.end + RIGHT, self.y.begin + BOTTOM

    def frame(self) -> Html:
        """Axes with their ticks and units."""
        parts = []
        for value in self.x.ticks():
            x = f"{self.x(value):.1f}"
            parts.append(element("line", class_="grid", x1=x, x2=x, y1=TOP, y2=f"{self.y.begin:.1f}"))
            below = f"{self.y.begin + 14:.1f}"
            parts.append(element("text", f"{value:.3g}", x=x, y=below, text_anchor="middle"))
        for value in self.y.ticks():
            y = self.y(value)
            parts.append(element("line", class_="grid", x1=LEFT, x2=f"{self.x.end:.1f}", y1=y, y2=y))
            parts.append(element("text", f"{value:.3g}", x=LEFT - 6, y=f"{y + 3.5:.1f}", text_anchor="end"))
        middle = f"{(self.x.begin + self.x.end) / 2:.1f}"
        parts.append(element("text", "x (m)", x=middle, y=f"{self.size[1] - 3:.1f}", text_anchor="middle"))
        parts.append(element("text", "y (m)", x=4, y=TOP + 4))
        return joined(parts)


def start_map(coverage: Coverage, case: int, prop: int, new: Starts) -> Html:
    """A map of one prop of a case: shown, tried, held out, next."""
    area = coverage.spaces[case].props[prop]
    plan = _Plan.of(area)
    place = lambda start: plan(start[7 * prop : 7 * prop + 2])  # noqa: E731
    low, high = plan(np.array(area.low)), plan(np.array(area.high))
    parts = [plan.frame(), _shades(coverage, case, prop, plan)]
    corner = {"x": low[0], "y": high[1], "width": high[0] - low[0], "height": low[1] - high[1]}
    parts.append(element("rect", class_="area", **corner))
    attempts = [each for each in coverage.attempts if each.case == case]
    for each in attempts:
        if each.failed and each.nearest is not None:
            (x1, y1), (x2, y2) = place(each.tried.start), place(each.nearest.start)
            parts.append(element("line", class_="way", x1=x1, y1=y1, x2=x2, y2=y2))
    parts += [_dot("ok", place(each.tried.start), 1.8) for each in attempts if not each.failed]
    parts += [
        _dot("shown", place(each.start), 2.8, each.path.name)
        for each in coverage.trained
        if each.case == case
    ]
    parts += _rings(coverage, case, place)
    parts += [_cross(place(each.tried.start), _failure(each)) for each in attempts if each.failed]
    parts += [number_mark(number, place(start)) for number, of, start in new if of == case]
    width, height = plan.size
    return element(
        "svg", *parts, class_="map", viewBox=f"0 0 {width:.0f} {height:.0f}", role="img", aria_label=area.name
    )


def _failure(attempt: Attempt) -> str:
    """A failure in words."""
    if attempt.nearest is None:
        return attempt.tried.name
    return f"{attempt.tried.name}, {1000 * attempt.distance:.0f} mm from the nearest"


def _dot(kind: str, place: tuple[float, float], radius: float, title: str = "") -> Html:
    hint = element("title", title) if title else ""
    return element("circle", hint, class_=kind, cx=place[0], cy=place[1], r=f"{radius:.1f}")


def _cross(place: tuple[float, float], title: str) -> Html:
    x, y = place
    path = f"M{x - 4:.1f} {y - 4:.1f} l8 8 m0 -8 l-8 8"
    return element("path", element("title", title), class_="failed", d=path)


def number_mark(number: object, place: tuple[float, float], radius: float = DOT) -> Html:
    x, y = place
    size = f"font-size:{1.25 * radius:.1f}px"
    return element(
        "g",
        element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{radius:.1f}"),
        element("text", number, x=f"{x:.1f}", y=f"{y + 0.44 * radius:.1f}", style=size, text_anchor="middle"),
        class_="next",
    )


def _rings(coverage: Coverage, case: int, place) -> list[Html]:
    """A ring at each held-out start, the wider the larger the error at the start of the episode."""
    largest = max((each.errors[START] for each in coverage.held_out), default=0.0) or 1.0
    rings = []
    for each in (shown for shown in coverage.held_out if shown.case == case):
        radius = RINGS[0] + (RINGS[1] - RINGS[0]) * each.errors[START] / largest
        words = ", ".join(f"{phase} {error:.2f}" for phase, error in each.errors.items())
        rings.append(_dot("held", place(each.start), radius, f"{each.path.name}, degrees: {words}"))
    return rings


def failure_rates(coverage: Coverage, case: int, prop: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (SHADES, SHADES, 2) in m, over the area of a prop, and the share of failures near each."""
    area = replace(coverage.spaces[case].props[prop], yaw=(0.0, 0.0))
    area = replace(area, high=(*area.high[:2], area.low[2]))
    space = StartSpace("", (area,))
    attempts = [each for each in coverage.attempts if each.case == case]
    poses = np.array([each.tried.start[7 * prop : 7 * prop + 7] for each in attempts]).reshape(-1, 7)
    failed = np.array([each.failed for each in attempts])
    sides = [
        low + (np.arange(SHADES) + 0.5) * (high - low) / SHADES
        for low, high in zip(area.low[:2], area.high[:2], strict=True)
    ]
    places = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1)
    points = places.reshape(-1, 2)[:, [axis.entry for axis in space.axes]]
    known = Evidence(space, np.empty((0, len(space.axes))), space.coordinates(poses), failed)
    average = float(np.mean([each.failed for each in coverage.attempts])) if coverage.attempts else 0.0
    if not average:
        return places, np.zeros((SHADES, SHADES))
    rates = average * relative(known.weights(points), failed, average, 1.0)
    return places, np.minimum(rates, 1.0).reshape(SHADES, SHADES)


def _span(coverage: Coverage) -> tuple[float, float]:
    """The lowest and the highest share of failures of all maps."""
    cases = range(len(coverage.spaces))
    maps = [(case, prop) for case in cases for prop in mapped_props(coverage.spaces[case])]
    rates = np.array([failure_rates(coverage, case, prop)[1] for case, prop in maps])
    return float(rates.min()), float(rates.max())


def _shades(coverage: Coverage, case: int, prop: int, plan: _Plan) -> Html:
    """Cells that are the darker the more attempts nearby failed, alike in all maps."""
    places, rates = failure_rates(coverage, case, prop)
    lowest, highest = _span(coverage)
    if highest == lowest:
        return Html()
    area = coverage.spaces[case].props[prop]
    width, height = (
        abs(axis(high) - axis(low)) / SHADES
        for axis, low, high in zip((plan.x, plan.y), area.low, area.high, strict=False)
    )
    cells = []
    for (x, y), rate in zip(places.reshape(-1, 2), rates.reshape(-1), strict=True):
        left, top = plan.x(x) - width / 2, plan.y(y) - height / 2
        box = {"x": f"{left:.1f}", "y": f"{top:.1f}", "width": f"{width + 0.3:.1f}"}
        shade = f"{DARKEST * (rate - lowest) / (highest - lowest):.2f}"
        cells.append(element("rect", class_="shade", **box, height=f"{height + 0.3:.1f}", fill_opacity=shade))
    return joined(cells)


def legend(coverage: Coverage, case: int, new: Starts) -> Html:
    """What the marks of a map mean."""
    failed = [each for each in coverage.attempts if each.case == case and each.failed]
    succeeded = sum(each.case == case for each in coverage.attempts) - len(failed)
    held_out = [each.errors[START] for each in coverage.held_out if each.case == case]
    shown = sum(each.case == case for each in coverage.trained)
    marks = [(_dot("shown", (9, 7), 2.8), f"shown: {shown} demonstrations")]
    if held_out:
        degrees = f"{min(held_out):.2g} to {max(held_out):.2g} degrees off at the start"
        marks.append((_dot("held", (9, 7), 5.5), f"held out: {degrees}"))
    if succeeded:
        marks.append((_dot("ok", (9, 7), 1.8), f"tried: {succeeded} succeeded"))
    if failed:
        marks.append((_cross((9, 7), ""), f"failed: {len(failed)}; line: to the nearest demonstration"))
        darkest = element(
            "rect", class_="shade", x=2, y=2, width=14, height=10, fill_opacity=f"{DARKEST:.2f}"
        )
        highest = 100 * _span(coverage)[1]
        marks.append((darkest, f"shade: share of failures nearby, at most {highest:.2g} %"))
    if any(of == case for _, of, _ in new):
        marks.append((number_mark("n", (9, 7), 6.5), "record next, in this order"))
    items = [
        element("li", element("svg", mark, class_="map key", viewBox="0 0 18 14"), words)
        for mark, words in marks
    ]
    return element("ul", *items, class_="legend")
