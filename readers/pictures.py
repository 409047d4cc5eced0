"""Pictures as other people store them: floats, channels first, grey, PNGs; and as our files have them.

A file in which each row is an encoded picture is read as JPEGs of ACT++ are: the first channel is red.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from episodes import MOST_PIXELS, EpisodeError, JpegFrames, encoded_rows

BLOCK = 32 << 20  # bytes of rows read at a time
LEAST_SIDE = 8  # pixels; a smaller array is no picture
WORDS_OF_PICTURES = ("image", "img", "rgb", "color", "colour", "cam", "jpeg", "png")


def is_depth(name: str) -> bool:
    return "depth" in name.lower() or "disparity" in name.lower()


def picture_form(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> str:
    """How an array of pictures, one a row, is laid out: encoded, hwc, chw or grey; "" if it holds none."""
    if dtype.kind == "O" or dtype.kind in "SV" or (dtype.itemsize == 1 and len(shape) == 2):
        is_named = any(word in name.lower() for word in WORDS_OF_PICTURES)
        return "encoded" if is_named and shape[1:] in ((), (1,), shape[-1:]) else ""
    if len(shape) not in (3, 4) or dtype.kind not in "uif":
        return ""
    if len(shape) == 3:
        return "grey" if min(shape[1:]) >= LEAST_SIDE else ""
    if shape[3] in (1, 3, 4) and min(shape[1:3]) >= LEAST_SIDE:
        return "hwc"
    return "chw" if shape[1] in (1, 3, 4) and min(shape[2:]) >= LEAST_SIDE else ""


def why_left_out(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> str:
    """Why pictures in a form of `picture_form` are not brought in; "" if they are."""
    is_single = len(shape) == 3 or (len(shape) > 3 and 1 in (shape[1], shape[-1]))
    if is_single and (is_depth(name) or dtype.kind == "f" or dtype.itemsize > 1):
        return "taken for depth, which no policy here looks at"
    if is_depth(name):
        return "its name says depth, which no policy here looks at"
    if dtype.kind in "ui" and dtype.itemsize > 1:
        return "whole numbers of more than a byte are no pictures that are known here"
    if math.prod(shape[1:3]) > MOST_PIXELS and len(shape) > 2:
        return "too many pixels"
    return ""


def frames_of(rows: Any, name: str, what: str) -> tuple[JpegFrames, list[str]]:
    """The frames of a camera, and notes on what was reinterpreted.

    Args:
        rows: an array that stays in its file: it has `shape`, `dtype`, perhaps `chunks`, and can be sliced.
        name: the camera's, which tells encoded pictures from others.
        what: file and camera, for errors.

    Raises:
        EpisodeError: a frame cannot be read, or values are no colours.
    """
    form = picture_form(name, rows.dtype, rows.shape)
    if form == "encoded":
        return _encoded(rows, what)
    if rows.dtype.kind == "f":
        frames, top = _float_frames(rows, form, what)
        notes = [f"pictures of floats from 0 to {top:g} are brought in as bytes"]
    else:
        frames, notes = JpegFrames(name=what), []
        for block in blocks(rows):
            _append(frames, block, form)
    channels = {"grey": 1, "hwc": rows.shape[-1], "chw": rows.shape[1]}[form]
    if channels != 3:
        notes.append(f"{name}: grey pictures" if channels == 1 else f"{name}: its fourth channel is left out")
    return frames, notes


def blocks(rows: Any) -> Iterator[np.ndarray]:
    """An array's rows, some at a time: whole chunks, as each is unpacked whenever a row of it is read."""
    row_bytes = max(1, rows.dtype.itemsize * math.prod(rows.shape[1:]))
    chunk = rows.chunks[0] if getattr(rows, "chunks", None) else 1
    count = chunk * max(1, BLOCK // (row_bytes * chunk))
    for start in range(0, rows.shape[0], count):
        yield np.asarray(rows[start : start + count])


def _float_frames(
    rows: Any, form: str, what: str, tops: tuple[float, ...] = (1.0, 255.0)
) -> tuple[JpegFrames, float]:
    """Frames of floats, and the most that they may be, which their range tells: one of `tops`.

    Blocks are read once, as each has to be unpacked; twice where a later one goes beyond what those before it
    said.
    """
    frames = JpegFrames(name=what)
    for block in blocks(rows):
        least, most = float(block.min()), float(block.max())
        if not math.isfinite(least + most):
            raise EpisodeError(f"{what} holds values that are no numbers; they must be 0 to 1, or 0 to 255")
        fitting = tuple(top for top in tops if most <= top)
        if least < 0 or not fitting:
            raise EpisodeError(
                f"{what} holds floats from {least:.3g} to {most:.3g}; they must be 0 to 1, or 0 to 255"
            )
        if len(frames) and fitting != tops:
            return _float_frames(rows, form, what, fitting)
        tops = fitting
        scaled = block.astype(np.float32, copy=False) * (255 / tops[0])
        _append(frames, np.rint(scaled).astype(np.uint8), form)
    return frames, tops[0]


def _append(frames: JpegFrames, block: np.ndarray, form: str) -> None:
    """Encode whole numbers (n, ...) as pictures (H, W, 3) uint8."""
    for picture in block:
        if form == "chw":
            picture = picture.transpose(1, 2, 0)
        if form == "grey":
            picture = picture[:, :, None]
        if picture.dtype != np.uint8:
            picture = np.clip(picture, 0, 255).astype(np.uint8)
        frames.append(np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture[:, :, :3])


def _encoded(rows: Any, what: str) -> tuple[JpegFrames, list[str]]:
    """Rows that are each an encoded picture: JPEGs stay as they are, others are encoded anew."""
    contents = list(encoded_rows(rows))
    if contents and contents[0][:2].tobytes() == b"\xff\xd8":
        return JpegFrames.from_padded(contents, what), []
    frames = JpegFrames(name=what)
    for t, content in enumerate(contents):
        frames.append(decoded_picture(content, f"{what}: frame {t}"))
    return frames, ["pictures that are no JPEGs are encoded as JPEGs; if red is blue: recolor"]


def decoded_picture(content: np.ndarray, what: str) -> np.ndarray:
    """(H, W, 3) uint8 of an encoded picture (n,) uint8, its channels in the order that the file has.

    OpenCV's order is blue first, so that of a file that was encoded from RGB as it is comes out red first.
    """
    try:
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    except cv2.error:
        picture = None
    if picture is None:
        raise EpisodeError(f"{what} is no picture that can be decoded; every row must be one whole")
    return picture
