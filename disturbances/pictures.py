"""Disturbances of pictures: each a function of one picture, the same for simulator, twin and recorded
episodes.

Lengths in pixels are those of a picture of 480 lines, and grow with its height. "Theirs" is
z1050297972-spec/act-vision-dynamic (robustness.py, transfer_vision_v2), which evaluates ACT on the cube
transfer under five disturbances of pictures, each mild, moderate or severe.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from disturbances.registry import PICTURE, register

LINES = 480  # height (pixels) for which lengths are given
picture = partial(register, "pictures", PICTURE)


def _scaled(image: np.ndarray, pixels: float) -> float:
    """A length for a picture's height."""
    return pixels * image.shape[0] / LINES


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _curve(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each channel through a curve: `values` (256,) or (256, 3) are what 0 to 255 become."""
    table = np.broadcast_to(values.reshape(256, -1), (256, 3))
    return cv2.LUT(image, _bytes(table).reshape(256, 1, 3))


@picture("grain on each pixel, anew in each picture", "of 255", (10, 25, 40), holds=False)
def noise(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of this standard deviation. Theirs: mild 4 to 10, moderate 10 to 20, severe 20 to 35;
    so mild here is between their mild and moderate, middle is their severe.
    """
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    return _bytes(image + np.float32(strength) * grain)


@picture("out of focus", "px", (2, 4, 8))
def blur(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur of this standard deviation. Theirs has none."""
    return cv2.GaussianBlur(image, (0, 0), _scaled(image, strength))


@picture("smeared along a line, as when the camera shakes", "px", (9, 21, 41))
def motion_blur(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """The mean along a line of this length, in a direction of the rollout. Theirs is horizontal: mild 3,
    moderate 5 or 7, severe 7 or 9; so mild here is their most severe.
    """
    length = max(2.0, _scaled(image, strength))
    size = 2 * int(np.ceil(length / 2)) + 1
    angle, middle = rng.uniform(0, np.pi), size // 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    line = np.zeros((size, size), np.uint8)
    ends = [tuple(np.rint(256 * (middle + sign * reach)).astype(int).tolist()) for sign in (-1, 1)]
    cv2.line(line, *ends, 255, 1, cv2.LINE_AA, shift=8)
    kernel = line.astype(np.float32)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


@picture("squeezed hard as JPEG", "of 100 in quality", (40, 20, 10))
def jpeg(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """JPEG of this quality. Theirs: mild 60 to 85, moderate 35 to 65, severe 15 to 40; so mild here is
    between their moderate and severe, middle is their severe.
    """
    _, encoded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, int(strength)))
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # blue and red are swapped twice, and so are not


@picture(
    "a square of one colour in front, elsewhere in each picture",
    "of the height",
    (0.15, 0.25, 0.5),
    holds=False,
)
def occlusion(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A square whose side is this share of the height; of a 4:3 picture it covers 1.7, 4.7 and 19 %. Theirs,
    a rectangle: mild 3 to 8 %, moderate 8 to 16 %, severe 16 to 28 %; so middle here is their mild, strong
    their severe.
    """
    height, width = image.shape[:2]
    across, down, colour = rng.random(), rng.random(), rng.integers(0, 256, 3)
    side = min(round(strength * height), width)
    left, top = round(across * (width - side)), round(down * (height - side))
    changed = image.copy()
    changed[top : top + side, left : left + side] = colour
    return changed


@picture("brighter or darker", "%", (25, 50, 65))
def brightness(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """All colours times 1 + or - this share. Theirs changes contrast and offset: mild 12 % and 15 of 255,
    moderate 22 % and 28, severe 35 % and 45; so mild here is about their moderate, middle more than their
    severe.
    """
    return _curve(image, (1 + _sign(rng) * strength / 100) * np.arange(256))


@picture("middle tones lighter or darker", "as exponent", (1.25, 1.6, 2.2))
def gamma(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Colours in [0, 1] to the power of this, or of its inverse. Theirs has one, and does not use it."""
    return _curve(image, 255 * (np.arange(256) / 255) ** strength ** _sign(rng))


@picture("warmer or colder light in the picture", "% of blue or red lost", (12, 25, 40))
def white_balance(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Blue (or red) loses this share, red (or blue) gains four fifths of it: 25 % is (1.2, 1.0, 0.75). Theirs
    has none.
    """
    share = strength / 100
    factors = np.array([1 + 0.8 * share, 1.0, 1 - share])[:: _sign(rng)]
    return _curve(image, np.arange(256)[:, None] * factors)


@picture("colours paler, at 100 % grey", "% of colour lost", (40, 70, 100))
def grey(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """This share of the way to the grey picture. Theirs has none."""
    plain = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, 1 - strength / 100, plain, strength / 100, 0)


def _moved(image: np.ndarray, turn: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0, 0)):
    """Turned (degrees) and scaled about its middle, then shifted (pixels); the edge is repeated outwards."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, scale)
    matrix[:, 2] += shift
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


@picture("the whole picture shifted, in any direction", "px", (5, 10, 20))
def shift(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Shifted by this length. Theirs has none."""
    angle, length = rng.uniform(0, 2 * np.pi), _scaled(image, strength)
    return _moved(image, shift=(length * np.cos(angle), length * np.sin(angle)))


@picture("the whole picture turned, either way", "degrees", (1, 2, 4))
def rotation(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Turned about its middle. Theirs has none."""
    return _moved(image, turn=_sign(rng) * strength)


@picture("larger or smaller, as from nearer or further away", "%", (2, 5, 10))
def zoom(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Scaled about its middle. Theirs has none."""
    return _moved(image, scale=(1 + strength / 100) ** _sign(rng))


@picture("a soft shadow over a side of the picture", "% of the light lost", (25, 45, 65))
def shadow(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A half-plane whose edge passes through the middle half of the picture is darker by this share. Theirs
    has none.
    """
    height, width = image.shape[:2]
    angle, (across, down) = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.75, 2)
    softness = _scaled(image, rng.uniform(10, 60))
    x = (np.arange(width, dtype=np.float32) - across * width) * np.cos(angle)
    y = (np.arange(height, dtype=np.float32) - down * height) * np.sin(angle)
    depth = np.clip(0.5 + (x[None] + y[:, None]) / softness, 0, 1).astype(np.float32)  # into the shadow
    return _bytes(image * (1 - np.float32(strength / 100) * depth[..., None]))
