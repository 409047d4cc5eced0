"""What windows show: cameras side by side, each with its name, and text below them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from common.plots import tile

HEIGHT = 360  # pixels, of each picture


def write(
    image: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int] = (255, 255, 255)
) -> None:
    """Write readable text into an image (H, W, 3); `place` is the text's lower left corner."""
    for shade, width in (((0, 0, 0), 4), (colour, 1)):
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, shade, width, cv2.LINE_AA)


def named(image: np.ndarray, name: str) -> np.ndarray:
    """An image (H, W, 3) at a window's height, with a name in its corner."""
    shown = cv2.resize(
        image, (round(image.shape[1] * HEIGHT / image.shape[0]), HEIGHT), interpolation=cv2.INTER_AREA
    )
    write(shown, name, (8, 24))
    return shown


def panel(images: Sequence[np.ndarray], lines: Sequence[str]) -> np.ndarray:
    """Pictures (H_i, W_i, 3) uint8 RGB side by side; below them text, broken where a line is too long."""
    top = tile(images)
    font, scale, row_height, margin = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 22, 8  # pixels
    rows: list[str] = []
    for line in lines:
        rows.append("")
        for item in line.split("   "):
            longer = f"{rows[-1]}   {item}".strip()
            if cv2.getTextSize(longer, font, scale, 1)[0][0] > top.shape[1] - 2 * margin:
                rows.append(item)
            else:
                rows[-1] = longer
    text = np.zeros((row_height * len(rows) + margin, top.shape[1], 3), np.uint8)
    for i, row in enumerate(rows, start=1):
        cv2.putText(text, row, (margin, row_height * i - 4), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([top, text])
