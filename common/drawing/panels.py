"""Pictures side by side, and text in them, above or below them, for windows and videos."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

HEIGHT = 360  # pixels, of each picture in a window
FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def tile(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Put the cameras of one moment side by side: (H_i, W_i, 3) uint8 each -> (max H_i, sum of widths, 3)."""
    height = max(frame.shape[0] for frame in frames)
    resized = [
        frame
        if frame.shape[0] == height
        else cv2.resize(frame, (round(frame.shape[1] * height / frame.shape[0]), height))
        for frame in frames
    ]
    return np.concatenate(resized, axis=1)


def _put(
    image: np.ndarray,
    text: str,
    place: tuple[int, int],
    size: float,
    colour: tuple[int, int, int] = WHITE,
    width: int = 1,
) -> None:
    cv2.putText(image, text, place, FONT, size, colour, width, cv2.LINE_AA)


def write(image: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int] = WHITE) -> None:
    """Write readable text into an image (H, W, 3); `place` is the text's lower left corner."""
    _put(image, text, place, 0.55, BLACK, width=4)
    _put(image, text, place, 0.55, colour)


def named(image: np.ndarray, name: str) -> np.ndarray:
    """An image (H, W, 3) at a window's height, with a name in its corner."""
    shown = cv2.resize(
        image, (round(image.shape[1] * HEIGHT / image.shape[0]), HEIGHT), interpolation=cv2.INTER_AREA
    )
    write(shown, name, (8, 24))
    return shown


def captioned(frame: np.ndarray, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB with a name in its upper left corner, small enough to hide little."""
    height, width = frame.shape[:2]
    size = max(0.3, height / 960)
    size *= min(1.0, (width - 8) / (cv2.getTextSize(name, FONT, size, 1)[0][0] + 8))
    (wide, tall), below = cv2.getTextSize(name, FONT, size, 1)
    picture = np.ascontiguousarray(frame).copy()
    corner = (4, 4 + tall + 2)
    strip = picture[2 : corner[1] + below + 2, 2 : min(width, wide + 8)]
    strip //= 3  # dark, so that light letters can be read on anything
    _put(picture, name, corner, size)
    return picture


def labelled(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture (H, W, 3) uint8 with a line of text above."""
    bar = np.full((22, picture.shape[1], 3), 255, np.uint8)
    _put(bar, text, (4, 16), 0.42, BLACK)
    return np.vstack([bar, picture])


def panel(images: Sequence[np.ndarray], lines: Sequence[str]) -> np.ndarray:
    """Pictures (H_i, W_i, 3) uint8 RGB side by side; below them text, broken where a line is too long."""
    top = tile(images)
    scale, row_height, margin = 0.5, 22, 8  # pixels
    rows: list[str] = []
    for line in lines:
        rows.append("")
        for item in line.split("   "):
            longer = f"{rows[-1]}   {item}".strip()
            if cv2.getTextSize(longer, FONT, scale, 1)[0][0] > top.shape[1] - 2 * margin:
                rows.append(item)
            else:
                rows[-1] = longer
    text = np.zeros((row_height * len(rows) + margin, top.shape[1], 3), np.uint8)
    for i, row in enumerate(rows, start=1):
        _put(text, row, (margin, row_height * i - 4), scale)
    return np.concatenate([top, text])
