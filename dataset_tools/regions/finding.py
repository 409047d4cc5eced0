"""Objects found in a picture, by their colour or by a person's click.

A pixel and the height of an object's middle give its place, once it is known how the camera stands: from the
scene, or from four points of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from dataset_tools.regions.click_file import Pixel
from dataset_tools.regions.region_search import coloured_parts
from episodes import EpisodeError
from tasks import Task, pose_of

Colour = tuple[int, int, int, int, int, int]
CLICK = 1.0  # pixels by which a point of the table may be off
CLEAR = 0.9  # trust in the points' focal length, from which on one that cannot be is their fault
FOCAL = 0.9  # of a usual webcam, in widths of its picture: it sees 58 degrees from left to right
OFF = 0.05  # m; what is further from where the task lets an object start is something else
UNFIT = "the points of the table do not fit a camera; check their pixels and places, and their order"


@dataclass(frozen=True)
class Finder:
    """Finds the props of a task in a picture."""

    task: Task
    colours: Mapping[str, Colour]
    matrix: np.ndarray  # (3, 4), from a homogeneous point in the world to its pixel
    heights: Sequence[float]  # m, of the middle of each prop that stands
    min_area: int
    clicked: Mapping[str, Mapping[str, Pixel]] = field(default_factory=dict)  # by episode and prop

    @property
    def sought(self) -> set[str]:
        """Names of the props that are looked for."""
        return {*self.colours, *(prop for props in self.clicked.values() for prop in props)}

    def how(self, episode: str) -> str:
        """How the props of an episode (stem of its file) are found."""
        by_click = set(self.clicked.get(episode, ()))
        ways = (("click", by_click), ("colour", self.sought - by_click))
        return f"by {' and '.join(way for way, names in ways if names)}"

    def __call__(self, image: np.ndarray, episode: str = "") -> np.ndarray:
        """Start of the props (P * 7,) in a picture (H, W, 3) uint8 RGB; EpisodeError if one is not there.

        Props that are not looked for are in the middle of where they may start. `episode` is the stem of its
        file.
        """
        clicked = self.clicked.get(episode, {})
        return np.concatenate([self._pose(number, image, clicked) for number in range(len(self.task.props))])

    def _pose(self, number: int, image: np.ndarray, clicked: Mapping[str, Pixel]) -> np.ndarray:
        prop = self.task.props[number]
        low, high = np.array(prop.low), np.array(prop.high)
        if prop.name not in self.sought:
            return pose_of((low + high) / 2, sum(prop.yaw) / 2)
        pixels = [clicked[prop.name]] if prop.name in clicked else self._pixels(image, prop.name)
        height = self.heights[number]
        places = [np.array([*on_plane(self.matrix, pixel, height), low[2]]) for pixel in pixels]
        off = [float(np.linalg.norm(place - np.clip(place, low, high))) for place in places]
        fitting = [place for place, distance in zip(places, off, strict=True) if distance <= OFF]
        if not fitting:
            where = ", ".join(f"{value:.3f}" for value in places[0][:2])
            raise EpisodeError(f"{prop.name} would be at ({where}) m, {off[0]:.2f} m from where it may start")
        return pose_of(fitting[0], sum(prop.yaw) / 2)

    def _pixels(self, image: np.ndarray, prop: str) -> list[Pixel]:
        """Where the colour of a prop is; EpisodeError if it is nowhere."""
        if prop not in self.colours:
            raise EpisodeError(f"{prop} was clicked in other episodes, but not in this one")
        pixels = middles(image, self.colours[prop], self.min_area)
        if not pixels:
            raise EpisodeError(
                f"the picture shows no {prop}: nothing of its colour (--color) is there; on the page of "
                "edit_episodes.py clicks it can be clicked"
            )
        return pixels


def middles(image: np.ndarray, colour: Colour, min_area: int) -> list[Pixel]:
    """Middles, x and y, of the parts of a colour in a picture (H, W, 3), the largest first."""
    parts, centres = coloured_parts(image, colour[:3], colour[3:])
    areas = parts[:, cv2.CC_STAT_AREA]
    return [tuple(centres[i].tolist()) for i in np.argsort(-areas) if areas[i] >= min_area]


def on_plane(matrix: np.ndarray, pixel: Pixel, height: float) -> np.ndarray:
    """Place (2,) in m of the point at a height (m) that a camera of this matrix (3, 4) sees at a pixel."""
    plane = np.column_stack([matrix[:, 0], matrix[:, 1], height * matrix[:, 2] + matrix[:, 3]])
    x, y, scale = np.linalg.solve(plane, [*pixel, 1.0])
    return np.array([x, y]) / scale


def matrix_from_points(
    pixels: np.ndarray, places: np.ndarray, height: float, image_size: tuple[int, int]
) -> np.ndarray:
    """Matrix (3, 4) of a camera that sees four places (4, 2) in m, all at one height, at pixels (4, 2).

    A homography has eight numbers; with square pixels and the lens in the middle of the picture (H, W), they
    give the focal length and the pose (Zhang 2000, section 3.1). A camera that looks straight down does not
    tell its focal length from how far it is; then it counts as a usual webcam. ValueError if they fit none.
    """
    centre = (np.array(image_size[::-1]) - 1) / 2
    homography = cv2.findHomography(places, pixels - centre)[0]
    if homography is None:
        raise ValueError(
            "the points of the table are on a line, or two are the same; give four corners of it"
        )
    focal = _focal(homography, np.linalg.norm(pixels - pixels.mean(axis=0), axis=1).mean(), max(image_size))
    lens = np.diag([focal, focal, 1.0])
    axes = np.linalg.solve(lens, homography)
    axes /= np.linalg.norm(axes[:, :2], axis=0).mean()
    axes *= np.sign(axes[2, 2])  # the table is in front of the camera
    up = np.cross(axes[:, 0], axes[:, 1])
    if up @ axes[:, 2] >= 0:
        raise ValueError(f"{UNFIT} (a camera would see the table from below)")
    pose = np.column_stack([axes[:, :2], up, axes[:, 2] - height * up])
    return np.array([[1, 0, centre[0]], [0, 1, centre[1]], [0, 0, 1]]) @ lens @ pose


def _focal(homography: np.ndarray, spread: float, longest: int) -> float:
    """Focal length (pixels) of a camera with a homography (3, 3) from the table to its picture, whose longer
    side has `longest` pixels; the points lie `spread` pixels from their middle. ValueError if none fits.
    """
    one, two, _ = homography.T
    # two axes of the table are at right angles, and equally long: twice a linear equation in 1 / focal**2
    factors = np.array([one[:2] @ two[:2], one[:2] @ one[:2] - two[:2] @ two[:2]])
    others = -np.array([one[2] * two[2], one[2] ** 2 - two[2] ** 2])
    noise = CLICK / spread * (one[:2] @ one[:2] + two[:2] @ two[:2])  # of the factors
    size = max(factors @ factors, 1e-9 * noise**2)
    trust, inverse = 1 / (1 + (noise**2 / size) ** 2), factors @ others / size
    if not 0 < inverse * longest**2 < 100:
        if trust > CLEAR:
            raise ValueError(UNFIT)
        trust = inverse = 0.0
    return float((trust * inverse + (1 - trust) / (FOCAL * longest) ** 2) ** -0.5)
