"""What a person clicked in the pictures of episodes (click_page.py): objects, and four points of the table.

    {"camera": "top", "size": [480, 640], "props": {"episode_0": {"cube": [250.5, 301.0]}, ...},
     "points": [{"pixel": [132.0, 401.0], "place": [-0.45, 0.05]}, ...]}

A pixel is x and y, whole numbers in its middle; a place is x and y in the world (m).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from common import choose, from_plain

Pixel = tuple[float, float]
POINTS = 4  # of the table


@dataclass(frozen=True)
class TablePoint:
    """A point of the table."""

    pixel: Pixel
    place: tuple[float, float]  # m


@dataclass(frozen=True)
class Clicks:
    """A file of clicks."""

    camera: str
    size: tuple[int, int] | None = None  # of its pictures, height and width; None: of any
    points: tuple[TablePoint, ...] = ()  # none, or four
    props: Mapping[str, Mapping[str, Pixel]] = field(default_factory=dict)  # by episode and prop

    def check(self, episodes: Collection[str], props: Collection[str]) -> None:
        """ValueError unless all is of these episodes and props, and inside the picture."""
        for episode, clicked in self.props.items():
            choose("episode", episode, episodes)
            for prop, pixel in clicked.items():
                choose("prop", prop, props)
                self._check_pixel(f"{prop} of {episode}", pixel)
        for number, point in enumerate(self.points, start=1):
            self._check_pixel(f"point {number} of the table", point.pixel)
        if len(self.points) not in (0, POINTS):
            raise ValueError(f"{len(self.points)} points of the table; give {POINTS}, or none")
        if not self.points and not any(self.props.values()):
            raise ValueError("nothing was clicked")

    def _check_pixel(self, name: str, pixel: Pixel) -> None:
        height, width = self.size or (math.inf, math.inf)
        if not (-0.5 <= pixel[0] <= width - 0.5 and -0.5 <= pixel[1] <= height - 0.5):
            where = ", ".join(f"{value:g}" for value in pixel)
            raise ValueError(f"{name} is at ({where}), outside of the picture of {width} x {height} pixels")


def read_clicks(path: str, episodes: Collection[str], props: Collection[str]) -> Clicks:
    """The clicks in a file, in these episodes and of these props; FileNotFoundError, or ValueError that says
    what is wrong.
    """
    clicks = _content(path)
    _check(path, clicks, episodes, props)
    return clicks


def read_points(path: str) -> Clicks:
    """The four points of the table in a file of clicks, and nothing else of it; errors as `read_clicks`."""
    clicks = replace(_content(path), props={})
    if not clicks.points:
        raise ValueError(f"{path}: no points of the table were clicked; mark {POINTS} on the page")
    _check(path, clicks, (), ())
    return clicks


def _content(path: str) -> Clicks:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"there is no file of clicks {path}; the page that edit_episodes.py clicks makes saves one"
        )
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no file of clicks ({error})") from None
    try:
        return from_plain(Clicks, content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check(path: str, clicks: Clicks, episodes: Collection[str], props: Collection[str]) -> None:
    try:
        clicks.check(episodes, props)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
