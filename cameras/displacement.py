"""How far a camera's picture is off a reference picture of the same scene: by features, in OpenCV alone.

Corners of the reference are followed into the present picture (pyramids of Lucas and Kanade, there and back).
Where they are too far, or turned too much, SIFT finds where to begin. The plane that most of them lie on
(MAGSAC) is the scene; what moves by itself, and what covers it, is an outlier. Brightness and white balance
do not count, as pictures are compared in grey, by their local contrast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

SMOOTH = 1.6  # pixels, against a camera's noise
CONTRAST_RADIUS = 12.0  # pixels around a pixel that its contrast refers to
LEAST_CONTRAST = 2.0  # grey levels, of smoothed pictures: less counts as little
NO_CONTRAST = 1.0  # grey levels: what a camera's noise makes of an even surface
MOST_CORNERS, CORNER_DISTANCE = 1500, 7  # corners that are followed; pixels between two of them
CORNER_QUALITY = 0.001  # of the best corner's
WINDOW, LEVELS = (21, 21), 3  # pixels; halvings of the pictures
THERE_AND_BACK = 0.5  # pixels by which a corner that is followed both ways may miss itself
TOLERANCE = 1.0  # pixels
STAYS = 1.5  # pixels from its place within which a corner counts as staying
GOOD_SHARE = 0.5  # of the corners that can be followed: if so many agree, SIFT is not asked
LEAST_CORNERS, LEAST_AGREEING = 40, 30
LEAST_SHARE, LEAST_SPREAD = 0.15, 0.1  # of the corners that can be followed; of the picture's area
PLANE_SPREAD = 0.3  # of the picture's area: on less, a similarity is more certain than a plane
MOST_WARP = 0.1  # of the width: how far a plane's corners may be off a similarity

LITTLE_TEXTURE = "too little texture"
NO_MATCH = "it does not show what the reference shows"


@dataclass(frozen=True)
class Displacement:
    """Where the reference's content is in a present picture, seen from the middle of the picture."""

    matrix: np.ndarray  # (3, 3), from a pixel of the reference (x, y, 1) to the present one
    size: tuple[int, int]  # height, width (pixels)
    residual: float = 0.0  # pixels, median over the corners that agree
    share: float = 1.0  # of the corners that can be followed: those that agree
    corners: int = 0  # that agree
    staying: float = 0.0  # share of the corners that are where they were
    doubt: str = ""  # why it is not to be believed: LITTLE_TEXTURE or NO_MATCH

    @property
    def is_believed(self) -> bool:
        return not self.doubt

    @property
    def shift(self) -> tuple[float, float]:
        """Pixels by which what stands in the middle has moved, to the right and down."""
        middle = _middle(self.size)
        x, y = moved(self.matrix, middle[None])[0] - middle
        return float(x), float(y)

    @property
    def distance(self) -> float:
        """Length of the shift, pixels."""
        return float(np.hypot(*self.shift))

    @property
    def rotation(self) -> float:
        """Degrees by which the picture has turned clockwise."""
        jacobian = self._jacobian()
        return float(np.degrees(np.arctan2(jacobian[1, 0] - jacobian[0, 1], np.trace(jacobian))))

    @property
    def zoom(self) -> float:
        """How many times as large everything is."""
        return float(np.sqrt(abs(np.linalg.det(self._jacobian()))))

    def _jacobian(self) -> np.ndarray:
        """(2, 2), of the map at the picture's middle."""
        middle = _middle(self.size)
        ends = moved(self.matrix, middle + np.array([[0.5, 0], [0, 0.5], [-0.5, 0], [0, -0.5]]))
        return np.column_stack([ends[0] - ends[2], ends[1] - ends[3]])

    @property
    def seen(self) -> float:
        """Share of what the reference shows that is in the present picture, too."""
        height, width = self.size
        pixels = np.stack(np.meshgrid(np.linspace(0, width - 1, 40), np.linspace(0, height - 1, 30)), -1)
        x, y = moved(self.matrix, pixels.reshape(-1, 2)).T
        return float(((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).mean())

    def undone(self, picture: np.ndarray) -> np.ndarray:
        """A present picture (H, W, 3) as it would be from the old place; its edges are repeated outwards."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpPerspective(
            picture, self.matrix, picture.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
        )


def _middle(size: tuple[int, int]) -> np.ndarray:
    """The middle (x, y) of a picture of so many pixels (height, width)."""
    return (np.array(size[::-1], float) - 1) / 2


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where a matrix (3, 3) takes points (N, 2)."""
    ends = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return ends[:, :2] / ends[:, 2:]


def find_displacement(
    reference: np.ndarray, present: np.ndarray, steady: np.ndarray | None = None
) -> Displacement:
    """How far the present picture is off the reference.

    Args:
        reference: (H, W, 3) uint8 RGB.
        present: of the same size and kind.
        steady: (H, W) bool, where the reference shows what does not move by itself; all of it if not given.

    Raises:
        ValueError: their sizes differ.
    """
    if present.shape != reference.shape:
        sizes = ["x".join(map(str, picture.shape[1::-1])) for picture in (present, reference)]
        raise ValueError("the picture is {} pixels, its reference {}; they must be alike".format(*sizes))
    size = reference.shape[:2]
    (old, mask), (new, new_mask) = _contrast(reference), _contrast(present)
    if steady is not None:
        mask = mask * steady
    corners = _corners(old, mask)
    there, here = len(corners), len(_corners(new, new_mask))
    if there >= LEAST_CORNERS > here and here < there / 2:  # covered, dark or glared
        return Displacement(np.eye(3), size, share=0.0, doubt=NO_MATCH)
    if min(there, here) < LEAST_CORNERS:
        return Displacement(np.eye(3), size, doubt=LITTLE_TEXTURE)
    best = _plane(old, new, corners, np.eye(3), size)
    if best is None or best.share < GOOD_SHARE:
        begin = _match(old, new, mask)
        other = None if begin is None else _plane(old, new, corners, begin, size)
        staying = best.staying if best else 0.0  # as followed from their places
        best = max((one for one in (best, other) if one), key=lambda one: one.corners, default=None)
        best = best and replace(best, staying=staying)
    return best or Displacement(np.eye(3), size, share=0.0, doubt=NO_MATCH)


def _contrast(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) uint8: grey in units of the deviation around each pixel, 128 where it is as its surroundings.

    And (H, W) uint8, 0 where there is nothing but noise.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), SMOOTH)
    grey -= cv2.GaussianBlur(grey, (0, 0), CONTRAST_RADIUS)
    deviation = cv2.sqrt(cv2.GaussianBlur(grey * grey, (0, 0), CONTRAST_RADIUS))
    contrast = np.clip(128 + 40 * grey / (deviation + LEAST_CONTRAST), 0, 255).astype(np.uint8)
    return contrast, np.where(deviation > NO_CONTRAST, 255, 0).astype(np.uint8)


def _corners(contrast: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N, 1, 2) float32, pixels that can be followed, where the mask (H, W) is not 0."""
    quality = (CORNER_QUALITY, CORNER_DISTANCE)
    found = cv2.goodFeaturesToTrack(contrast, MOST_CORNERS, *quality, mask=mask, blockSize=7)
    return np.zeros((0, 1, 2), np.float32) if found is None else found.reshape(-1, 1, 2)


def _plane(
    old: np.ndarray, new: np.ndarray, corners: np.ndarray, begin: np.ndarray, size: tuple[int, int]
) -> Displacement | None:
    """The map that most corners agree on, looked for from `begin` (3, 3) on; None if there is none."""
    old_points, new_points = _follow(old, new, corners, begin)
    if len(old_points) < LEAST_AGREEING:
        return None
    matrix, agrees = cv2.findHomography(
        old_points, new_points, cv2.USAC_MAGSAC, TOLERANCE, maxIters=2000, confidence=0.999
    )
    if matrix is None:
        return None
    inside = agrees[:, 0] > 0
    spread = _spread(old_points[inside], size)
    similarity, fits = cv2.estimateAffinePartial2D(
        old_points, new_points, ransacReprojThreshold=2 * TOLERANCE, maxIters=2000
    )
    if similarity is not None:
        similarity = np.vstack([similarity, [0, 0, 1]])
        height, width = size
        edge = np.array([[0, 0], [width, 0], [0, height], [width, height]], float)
        warp = np.abs(moved(matrix, edge) - moved(similarity, edge)).max()
        if spread < PLANE_SPREAD or not warp < MOST_WARP * width:
            matrix, inside = similarity, fits[:, 0] > 0
            spread = _spread(old_points[inside], size)
    share = float(inside.mean())
    if inside.sum() < LEAST_AGREEING or share < LEAST_SHARE or spread < LEAST_SPREAD:
        return None
    misses = np.linalg.norm(moved(matrix, old_points[inside]) - new_points[inside], axis=1)
    staying = float((np.linalg.norm(new_points - old_points, axis=1) < STAYS).mean())
    return Displacement(matrix, size, float(np.median(misses)), share, int(inside.sum()), staying)


def _spread(points: np.ndarray, size: tuple[int, int]) -> float:
    """Share of the picture that points (N, 2) enclose."""
    if len(points) < 3:
        return 0.0
    return cv2.contourArea(cv2.convexHull(points.astype(np.float32))) / (size[0] * size[1])


def _follow(
    old: np.ndarray, new: np.ndarray, corners: np.ndarray, begin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Corners (N, 2) that can be followed, and where they have gone (N, 2)."""
    way = {
        "winSize": WINDOW,
        "maxLevel": LEVELS,
        "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.01),
        "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
    }
    likely = np.ascontiguousarray(moved(begin, corners[:, 0]).astype(np.float32)).reshape(-1, 1, 2)
    there, is_there, _ = cv2.calcOpticalFlowPyrLK(old, new, corners, likely, **way)
    back, is_back, _ = cv2.calcOpticalFlowPyrLK(new, old, there, corners.copy(), **way)
    misses = np.linalg.norm(back - corners, axis=2)[:, 0]
    inside = ((there > 2) & (there < np.array(old.shape[::-1]) - 3)).all(axis=(1, 2))
    kept = (is_there[:, 0] > 0) & (is_back[:, 0] > 0) & (misses < THERE_AND_BACK) & inside
    return corners[kept, 0], there[kept, 0]


def _match(old: np.ndarray, new: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """A similarity (3, 3) by SIFT, however far off; None if too few features fit."""
    sift = cv2.SIFT_create(800, contrastThreshold=0.02)
    (places, old_words), (new_places, new_words) = (
        sift.detectAndCompute(picture, where) for picture, where in ((old, mask), (new, None))
    )
    if old_words is None or new_words is None or len(new_words) < 2:
        return None
    pairs = cv2.BFMatcher().knnMatch(old_words, new_words, k=2)
    best = [one for one, other in pairs if one.distance < 0.8 * other.distance]  # Lowe's ratio test
    if len(best) < 6:
        return None
    old_points = np.float32([places[pair.queryIdx].pt for pair in best])
    new_points = np.float32([new_places[pair.trainIdx].pt for pair in best])
    similarity, _ = cv2.estimateAffinePartial2D(old_points, new_points, ransacReprojThreshold=4)
    return None if similarity is None else np.vstack([similarity, [0, 0, 1]])
