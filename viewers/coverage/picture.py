"""The starts to record next in a camera's picture, for whoever puts the objects there; as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tasks import Prop, StartSpace, to_pixels
from viewers.coverage.maps import Starts, mapped_props, number_mark
from viewers.pages import Html, element, picture_url

PICTURE = (160, 120)  # least width and height (pixels) of what is shown of a picture
MARGIN = 0.6  # of the area's size in the picture, around it
ARROW = 0.05  # m
LIFT = 1.9  # radii of a number: how far it is from its place in a picture


def picture_of(image: np.ndarray, matrix: np.ndarray, space: StartSpace, new: Starts, case: int) -> Html:
    """The part of a picture where props may start, with the numbers of the next starts.

    Args:
        image: (H, W, 3) uint8 RGB.
        matrix: (3, 4) from the world (m) to its pixels (`tasks.still_cameras`).
        space: the case's.
        new: starts of all cases.
        case: whose starts are drawn.
    """
    props = mapped_props(space)
    outlines = [to_pixels(matrix, _corners(space.props[prop])) for prop in props]
    left, top, width, height = _window(np.concatenate(outlines), image.shape[:2])
    shown = image[top : top + height, left : left + width]
    radius = width / 48
    own = [(number, start) for number, of, start in new if of == case]
    places = [
        (number, to_pixels(matrix, start.reshape(-1, 7)[prop, None, :3])[0] - (left, top))
        for prop in props
        for number, start in own
    ]
    lines = [_outline(outline - (left, top), width) for outline in outlines]
    arrows = _arrows(matrix, space.props[props[0]], (left, top), width)
    return element(
        "svg",
        element("image", href=picture_url(shown), width=width, height=height),
        *lines,
        arrows,
        *_labels(places, radius),
        class_="map",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label="places to put the object",
    )


def sees(matrix: np.ndarray, space: StartSpace, image_size: tuple[int, int]) -> bool:
    """Whether a camera sees all of where the props of a case may start."""
    pixels = np.concatenate([to_pixels(matrix, _corners(space.props[i])) for i in mapped_props(space)])
    return bool(((pixels >= 0) & (pixels <= np.array(image_size)[::-1] - 1)).all())


def _corners(prop: Prop) -> np.ndarray:
    """(4, 3) m, around the area in which the middle of a prop may start."""
    (x0, y0, z), (x1, y1, _) = prop.low, prop.high
    return np.array([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]])


def _window(pixels: np.ndarray, image_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the part of a picture around pixels (N, 2)."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    width, height = np.maximum((high - low) * (1 + 2 * MARGIN), PICTURE)
    shape = PICTURE[1] / PICTURE[0]
    width, height = max(width, height / shape), max(height, width * shape)
    size = np.minimum(np.ceil([width, height]), np.array(image_size)[::-1]).astype(int)
    corner = np.clip(np.round((low + high - size) / 2), 0, np.array(image_size)[::-1] - size).astype(int)
    return int(corner[0]), int(corner[1]), int(size[0]), int(size[1])


def _outline(pixels: np.ndarray, width: int) -> Html:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*pixels, pixels[0]])
    return element("polyline", class_="area", points=points, style=f"stroke-width:{width / 320:.2f}")


def _arrows(matrix: np.ndarray, prop: Prop, corner: tuple[int, int], width: int) -> Html:
    """The world's x and y, 50 mm each, at the area's first corner."""
    origin = np.array(prop.low)
    ends = origin + ARROW * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    start, *tips = to_pixels(matrix, ends) - corner
    parts = []
    for name, tip in zip("xy", tips, strict=True):
        x, y = tip + 0.25 * (tip - start)
        line = {"x1": start[0], "y1": start[1], "x2": tip[0], "y2": tip[1]}
        parts.append(element("line", **{name: f"{value:.1f}" for name, value in line.items()}))
        size = f"font-size:{width / 30:.1f}px"
        parts.append(element("text", name, x=f"{x:.1f}", y=f"{y:.1f}", style=size, text_anchor="middle"))
    return element("g", *parts, class_="axes", style=f"stroke-width:{width / 200:.2f}")


def _labels(places: Sequence[tuple[int, np.ndarray]], radius: float) -> list[Html]:
    """Numbers beside their places, each to the side where the others are furthest away."""
    ways = [(math.cos(turn), math.sin(turn)) for turn in np.arange(8) * math.pi / 4]
    taken = [place for _, place in places]
    parts, numbers = [], []
    for number, place in places:
        spots = [place + LIFT * radius * np.array(way) for way in ways]
        others = [each for each in taken if each is not place]
        apart = [min((np.linalg.norm(spot - each) for each in others), default=0.0) for spot in spots]
        spot = spots[int(np.argmax(apart))]
        taken.append(spot)
        (x, y), arm = place, 0.45 * radius
        cross = f"M{x - arm:.1f} {y:.1f} h{2 * arm:.1f} M{x:.1f} {y - arm:.1f} v{2 * arm:.1f}"
        way = f"M{x:.1f} {y:.1f} L{spot[0]:.1f} {spot[1]:.1f} {cross}"
        parts += [
            element("path", class_=kind, d=way, style=f"stroke-width:{share * radius:.1f}")
            for kind, share in (("halo", 0.5), ("mark", 0.2))
        ]
        numbers.append(number_mark(number, (float(spot[0]), float(spot[1])), radius))
    return [*parts, *numbers]
