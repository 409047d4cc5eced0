"""A made-up scene, seen by a camera that may have been moved."""

import cv2
import numpy as np

SIZE = (240, 320)


def make_scene(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB of a table with grain, and things on it."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 1, size), (0, 0), 2.0)
    picture = np.repeat((130 + 25 * grain / grain.std())[..., None], 3, axis=2)
    for _ in range(25):
        x, y = rng.integers(0, size[::-1])
        w, h = rng.integers(8, 40, 2)
        colour = rng.integers(20, 235, 3).tolist()
        cv2.rectangle(picture, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 0.8), 0, 255).astype(np.uint8)


def similarity(size, shift=(0.0, 0.0), degrees: float = 0.0, zoom: float = 1.0) -> np.ndarray:
    """(3, 3) of a picture that has moved by `shift`, and turned clockwise and grown about its middle."""
    height, width = size
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = np.vstack([cv2.getRotationMatrix2D(middle, -degrees, zoom), [0, 0, 1]])
    matrix[:2, 2] += shift
    return matrix


def seen(picture: np.ndarray, **move) -> np.ndarray:
    """The picture as the moved camera shows it."""
    matrix = similarity(picture.shape[:2], **move)
    return cv2.warpPerspective(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def with_noise(picture: np.ndarray, seed: int = 0, deviation: float = 3.0) -> np.ndarray:
    """The picture with a camera's noise."""
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)
