"""Where in the picture kinds of episodes differ from each other, or from a recording without objects.

Each camera's frames are compared at the same steps, while the arms of all episodes are in the same pose. A
policy can tell two kinds of episodes apart by what differs then. To rule out chance, the kinds are shuffled
among the episodes again and again: a region counts if it differs more than nearly every region of the
shuffled kinds (cluster-based permutation, Nichols and Holmes 2002).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from episodes import Box, Episode, EpisodeError, frame_size

POSE = 0.05  # rad, or share of a gripper's travel; arms that differ by less are in the same pose
SAMPLES = 8  # frames of an episode that are averaged
NOISE = 4.0  # grey levels by which noise of camera and codec changes a pixel
COARSE = 120  # pixels; height of the pictures in which regions are searched
RATIO = 9.0  # least variance between the kinds, over that within them, of a pixel of a region
CHANCE = 0.05  # at most, share of shuffles with a region as different
DEALS = 200  # random shuffles, where more are possible
FEATURES = 400  # corners to follow from one picture to another
MAX_SHAKE = (0.08, 5.0)  # share of the width, degrees; beyond it, the camera was moved on purpose


@dataclass(frozen=True)
class Shake:
    """How a picture is moved against the reference."""

    pixels: float  # at its middle
    degrees: float
    reach: float  # pixels, at the corner that moves most
    matrix: np.ndarray  # (2, 3), from its pixels to the reference's

    @property
    def is_felt(self) -> bool:
        """Whether it moves a pixel by more than interpolation blurs."""
        return self.pixels > 0.5 or abs(self.degrees) > 0.1


def coloured_parts(
    image: np.ndarray, low: Sequence[int], high: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The connected parts of a colour (red, green, blue, from least to greatest) in a picture (H, W, 3):
    x, y, width, height and area (n, 5), and their middles x, y (n, 2), in pixels.
    """
    inside = cv2.inRange(image, low, high)  # (H, W)
    _, _, parts, middles = cv2.connectedComponentsWithStats(inside, connectivity=8)
    return parts[1:], middles[1:]  # the first is what is left


@dataclass(frozen=True)
class ColorMask:
    """Keeps one colour, with the box around each connected part; all else becomes black.

    Source: a user's experiments with masks (act-plus-plus_one: mycobot320_script/masking).
    """

    low: tuple[int, int, int]  # red, green, blue
    high: tuple[int, int, int]
    min_area: int  # pixels; smaller parts are noise
    border: int = 0  # pixels kept around each part

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        kept = np.zeros_like(image)
        parts, _ = coloured_parts(image, self.low, self.high)
        for x, y, w, h, area in parts:
            if area >= self.min_area:
                rows = slice(max(y - self.border, 0), y + h + self.border)
                columns = slice(max(x - self.border, 0), x + w + self.border)
                kept[rows, columns] = image[rows, columns]
        return kept


STILL = Shake(0.0, 0.0, 0.0, np.eye(2, 3, dtype=np.float32))


def find_shake(reference: np.ndarray, image: np.ndarray) -> Shake:
    """Rotation and translation from `image` to `reference`, both (H, W, 3) uint8; STILL if none fits.

    Optical flow follows corners; RANSAC leaves out those on things that moved by themselves.
    """
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (reference, image)]
    corners = cv2.goodFeaturesToTrack(grey[0], FEATURES, 0.01, 8)
    if corners is None:
        return STILL
    moved, status, _ = cv2.calcOpticalFlowPyrLK(*grey, corners, None)
    is_followed = status.ravel() == 1
    after, before = moved[is_followed, 0], corners[is_followed, 0]
    if len(after) < 20:
        return STILL
    fit, inliers = cv2.estimateAffinePartial2D(after, before, ransacReprojThreshold=1.0)
    if fit is None or inliers.sum() < len(after) / 2:
        return STILL
    rotation = fit[:, :2] / np.hypot(fit[0, 0], fit[1, 0])  # without its scale
    agree = inliers.ravel() == 1
    shift = before[agree].mean(axis=0) - rotation @ after[agree].mean(axis=0)
    height, width = grey[0].shape
    places = np.array([[width / 2, height / 2], [0, 0], [width, 0], [0, height], [width, height]])
    middle, *corners = np.linalg.norm(places @ rotation.T + shift - places, axis=1)
    shake = Shake(
        float(middle),
        float(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0]))),
        float(max(corners)),
        np.column_stack([rotation, shift]).astype(np.float32),
    )
    is_small = shake.pixels <= MAX_SHAKE[0] * width and abs(shake.degrees) <= MAX_SHAKE[1]
    return shake if is_small else STILL


def steadied(image: np.ndarray, shake: Shake) -> np.ndarray:
    """`image` moved onto the reference; its edges are extended."""
    if not shake.is_felt:
        return image
    return cv2.warpAffine(image, shake.matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


@dataclass(frozen=True)
class Sight:
    """What one camera saw in one episode, as means over frames; (H, W, 3) float32."""

    path: Path
    first: np.ndarray  # uint8, the first compared frame
    mean: np.ndarray  # of the compared frames
    travel: np.ndarray  # (H, W) standard deviation over the whole episode
    shake: Shake  # of the first compared frame: later the arm moves, which looks like shaking


def see(path: Path, camera: str, steps: tuple[int, int], reference: np.ndarray) -> Sight:
    """What `camera` saw in the episode, at SAMPLES of the steps from first to last (included)."""
    frames = Episode.load(path, [camera]).images[camera]
    if frame_size(frames) != reference.shape[:2]:
        sizes = "{}x{}, not {}x{}".format(*frame_size(frames), *reference.shape[:2])
        raise EpisodeError(f"{path}: camera {camera!r} is {sizes} as in the first episode")
    last = min(steps[1], len(frames) - 1)
    chosen = np.unique(np.linspace(min(steps[0], last), last, SAMPLES).round().astype(int))
    shake = find_shake(reference, frames[chosen[0]])
    compared = [steadied(frames[t], shake) for t in chosen]
    everywhen = np.unique(np.linspace(0, len(frames) - 1, 2 * SAMPLES).round().astype(int))
    whole = np.stack([frames[t] for t in everywhen]).astype(np.float32)
    return Sight(
        path,
        compared[0],
        np.mean(compared, axis=0, dtype=np.float32),
        whole.std(axis=0).max(axis=2),
        shake,
    )


def steps_in_step(paths: Sequence[Path]) -> tuple[int, int]:
    """First and last step between which the arms of all episodes are in the same pose."""
    states = [Episode.load(path, cameras=()).qpos for path in paths]
    steps = min(map(len, states))
    poses = np.stack([state[:steps] for state in states])  # (episodes, T, D)
    spread = np.abs(poses - np.median(poses, axis=0)).max(axis=(0, 2))
    apart = np.flatnonzero(spread > POSE)
    return 0, max(int(apart[0]) - 1, 0) if len(apart) else steps - 1


def coarse(image: np.ndarray) -> np.ndarray:
    """A picture at the size for the search: COARSE high at most."""
    factor = min(1.0, COARSE / image.shape[0])
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def variance_ratio(images: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Variance between the kinds of episodes over the variance within them, for each pixel (h, w).

    Args:
        images: (episodes, h, w, 3).
        kinds: (episodes,) numbers from 0.
    """
    mean, count = images.mean(axis=0), kinds.max() + 1
    between, within = np.zeros_like(mean), np.zeros_like(mean)
    for kind in range(count):
        own = images[kinds == kind]
        centre = own.mean(axis=0)
        between += len(own) * (centre - mean) ** 2
        within += ((own - centre) ** 2).sum(axis=0)
    within = within / max(len(images) - count, 1) + NOISE**2
    return (between / (count - 1)).sum(axis=2) / within.sum(axis=2)


@dataclass(frozen=True)
class Region:
    """A part of the picture that differs."""

    box: Box  # in pixels of the recorded frame, with a margin
    weight: float  # grows with the difference and the size
    chance: float  # share of shuffles with a region as different; 0 without shuffles

    def flag(self, camera: str) -> str:
        """The region as a value of `--crop`, `--mask_outside` and `--roi`."""
        return f"{camera}={','.join(map(str, self.box))}"


def clusters(ratio: np.ndarray, threshold: float) -> list[tuple[float, Box]]:
    """Weight and box of each connected part of `ratio` (h, w) above the threshold, the heaviest first.

    Parts with less than two pixels between them are one.
    """
    near = cv2.morphologyEx((ratio > threshold).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3)))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    weights = np.bincount(labels.ravel(), np.where(ratio > threshold, ratio, 0).ravel(), count)
    parts = [
        (float(weights[i]), (int(x), int(y), int(x + w), int(y + h)))
        for i, (x, y, w, h, _) in enumerate(boxes)
        if i
    ]
    return sorted(parts, reverse=True)


def deals(kinds: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Other ways to assign the kinds to the episodes: all ways, if they are few."""
    sizes = np.bincount(kinds)
    if len(sizes) == 2 and math.comb(len(kinds), int(sizes[0])) <= DEALS:
        ways = []
        for chosen in combinations(range(len(kinds)), int(sizes[0])):
            dealt = np.ones_like(kinds)
            dealt[list(chosen)] = 0
            ways.append(dealt)
    else:
        ways = [rng.permutation(kinds) for _ in range(DEALS)]
    is_same = [np.array_equal(way, kinds) or np.array_equal(1 - way, kinds) for way in ways]
    return [way for way, same in zip(ways, is_same, strict=True) if not same]


def differing(
    images: np.ndarray,
    kinds: np.ndarray,
    size: tuple[int, int],
    margin: int,
    rng: np.random.Generator,
    border: float = 0.0,
) -> list[Region]:
    """Regions where kinds of episodes differ by more than chance, the heaviest first.

    Args:
        images: (episodes, h, w, 3), `coarse`.
        kinds: (episodes,) numbers from 0, of two kinds at least.
        size: height and width (pixels) of the frames.
        margin: pixels that are added to the boxes on every side.
        rng: shuffles the kinds.
        border: pixels along the edges that some frames lack, as the camera was shaken.
    """
    hidden = math.ceil(border * images.shape[1] / size[0])

    def clusters_of(dealt: np.ndarray) -> list[tuple[float, Box]]:
        return clusters(_inner(variance_ratio(images, dealt), hidden), RATIO)

    candidates = clusters_of(kinds)
    dealt = [clusters_of(way) for way in deals(kinds, rng)]
    heaviest = np.array([regions[0][0] if regions else 0.0 for regions in dealt])
    regions = []
    for weight, box in candidates:
        chance = float((heaviest >= weight).mean()) if len(heaviest) else 0.0
        if chance <= CHANCE:
            regions.append(Region(_grown(box, images.shape[1:3], size, margin), weight, chance))
    return joined(regions)


def _inner(ratio: np.ndarray, border: int) -> np.ndarray:
    """`ratio` (h, w) with 0 along its edges."""
    height, width = ratio.shape
    inner = np.zeros_like(ratio)
    within = np.s_[border : height - border, border : width - border]
    inner[within] = ratio[within]
    return inner


def standing_out(
    images: np.ndarray, background: np.ndarray, size: tuple[int, int], margin: int, border: float = 0.0
) -> list[Region]:
    """Regions where any of the episodes differs from the background, the heaviest first.

    Args:
        images: (episodes, h, w, 3), `coarse`.
        background: (n, h, w, 3), of a recording without objects.
        size: height and width (pixels) of the frames.
        margin: pixels that are added to the boxes on every side.
        border: as for `differing`.
    """
    spread = background.var(axis=0) + NOISE**2  # (h, w, 3)
    ratio = (((images - background.mean(axis=0)) ** 2).sum(axis=3) / spread.sum(axis=2)).max(axis=0)
    candidates = clusters(_inner(ratio, math.ceil(border * ratio.shape[0] / size[0])), RATIO)
    return joined([Region(_grown(box, ratio.shape, size, margin), weight, 0.0) for weight, box in candidates])


def _grown(box: Box, coarse_size: tuple[int, int], size: tuple[int, int], margin: int) -> Box:
    """A box of the coarse picture as pixels of the recorded frame, `margin` larger on every side."""
    (h, w), (height, width) = coarse_size, size
    x0, y0, x1, y1 = box
    return (
        max(int(x0 * width / w) - margin, 0),
        max(int(y0 * height / h) - margin, 0),
        min(-int(-x1 * width // w) + margin, width),
        min(-int(-y1 * height // h) + margin, height),
    )


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box around all boxes."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def joined(regions: Sequence[Region]) -> list[Region]:
    """The regions, with overlapping ones joined until none overlap."""
    left, done = sorted(regions, key=lambda region: -region.weight), []
    while left:
        region = left.pop(0)
        touching = [other for other in left if _overlap(region.box, other.box)]
        if not touching:
            done.append(region)
            continue
        left = [other for other in left if other not in touching]
        parts = [region, *touching]
        weight, chance = sum(part.weight for part in parts), min(part.chance for part in parts)
        left.insert(0, Region(around([part.box for part in parts]), weight, chance))
    return done


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
