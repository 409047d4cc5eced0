"""JPEG files as bytes: where one ends, its size and its quality, without decoding it (ITU T.81, annex B)."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from constants import JPEG_QUALITY
from episodes.errors import EpisodeError

MOST_PIXELS = 64_000_000  # of a decoded frame: 200 MB; today's cameras have up to 33 million
_STANDARD_LUMINANCE = 3688  # sum of the standard's table, which means quality 50
_BEGIN, _END = b"\xff\xd8", b"\xff\xd9"
JPEG_END = _END[1]  # marker of the end
JPEG_SCAN = 0xDA  # the segment before the picture's data
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # starts of a frame, with its size (B.2.2)
JPEG_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a segment
_OTHERS = {  # first bytes of files that some recorders write in place of a JPEG
    b"\x89PNG": "a PNG",
    b"RIFF": "a WebP",
    b"BM": "a BMP",
    b"GIF8": "a GIF",
    b"\xff\x0a": "a JPEG XL",
    b"\x00\x00\x00\x0cJXL": "a JPEG XL",
    b"\x00\x00\x00\x0cjP": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"II*\x00": "a TIFF",
    b"MM\x00*": "a TIFF",
}


def encode_jpeg(rgb: np.ndarray, quality: int = JPEG_QUALITY) -> np.ndarray:
    """The JPEG (n,) uint8 of a frame (H, W, 3) uint8 RGB."""
    # optimised codes: an eighth smaller, the same pixels
    options = (cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1)
    _, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(rgb), options)
    return jpeg.ravel()


def trim_jpeg(row: np.ndarray, name: str) -> np.ndarray:
    """The JPEG (n,) at the start of a row (L,) uint8, without its padding; EpisodeError unless whole.

    Files pad with zeros (ACT++), cameras with 0xFF or line ends; some files lack `/compress_len`.
    """
    content = row.tobytes()
    if not content.startswith(_BEGIN):
        raise EpisodeError(f"{name} is {_described(content)}; every row must be one whole JPEG")
    length = _length(content)
    if length is None:
        raise EpisodeError(f"{name} is incomplete; every row must be one whole JPEG")
    return row[:length]


def _described(content: bytes) -> str:
    """What a row without a JPEG holds, for a message."""
    if not content.strip(b"\0"):
        return "empty"
    form = next((form for start, form in _OTHERS.items() if content.startswith(start)), None)
    return form or f"no JPEG (it begins with {content[:4].hex(' ')})"


def _length(content: bytes) -> int | None:
    """Bytes of the JPEG at the start; None if it breaks off."""
    end = len(content.rstrip(b"\0"))
    is_ended = content.endswith(_END, 0, end)
    at = 2
    while True:
        segments = list(_segments(content, at))
        at = segments[-1][2] if segments else at
        if segments and at >= end:  # in a header, which may hold the end of an embedded thumbnail
            return None
        if content[at : at + 2] == _END:
            return at + 2
        if is_ended:  # the decoder judges what lies between
            return end
        if not segments or segments[-1][0] != JPEG_SCAN:
            return None
        at = _data_end(content, at)


def _data_end(content: bytes, at: int) -> int:
    """Where the marker after a scan's data lies; the data begin at `at`. The end if there is none."""
    data = np.frombuffer(content, np.uint8, offset=at)
    marks = np.flatnonzero(data[:-1] == 0xFF)
    codes = data[marks + 1]
    is_marker = (codes != 0) & (codes != 0xFF) & ((codes < 0xD0) | (codes > 0xD7))
    return at + int(marks[is_marker.argmax()]) if is_marker.any() else len(content)


def _segments(content: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
    """Marker, start and stop of the content of each segment from `at` on, up to a scan's."""
    marker = None
    while marker != JPEG_SCAN and at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in JPEG_ALONE:
            at += 2
        elif marker in (0x00, JPEG_END):
            return
        else:
            stop = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
            yield marker, at + 4, stop
            at = stop


def jpeg_size(jpeg: np.ndarray, name: str) -> tuple[int, int]:
    """Height and width (pixels) of a JPEG (n,) uint8, from its header.

    Raises EpisodeError if it has no header, or claims no pixels or too many.
    """
    size = _size(jpeg.tobytes())
    if size is None:
        raise EpisodeError(f"{name} has no header; every row must be one whole JPEG")
    check_pixels(jpeg, name)
    return size


def check_pixels(jpeg: np.ndarray, name: str) -> None:
    """EpisodeError for a JPEG that claims no pixels, or more than MOST_PIXELS; decodes nothing."""
    height, width = _size(jpeg.tobytes()) or (1, 1)  # the decoder judges one without a header
    if not 0 < height * width <= MOST_PIXELS:
        most = f"{MOST_PIXELS // 10**6} million"
        raise EpisodeError(f"{name} has {height}x{width} pixels; it must have 1 to {most}")


def _size(content: bytes) -> tuple[int, int] | None:
    """Height and width (pixels), from the header."""
    for marker, start, _ in _segments(content):
        if marker in JPEG_FRAMES:
            frame = content[start + 1 : start + 5]
            return int.from_bytes(frame[:2], "big"), int.from_bytes(frame[2:], "big")
    return None


def jpeg_quality(jpeg: np.ndarray, name: str) -> int:
    """The quality (1 to 100, as in libjpeg) that a JPEG was encoded with; EpisodeError if it does not say.

    Its first quantisation table is the standard's (K.1), scaled by the quality.
    """
    content = jpeg.tobytes()
    for marker, start, stop in _segments(content):
        table = content[start:stop]
        if marker == 0xDB and len(table) >= 65 and table[0] >> 4 == 0:  # 8 bits an entry
            scale = 100 * sum(table[1:65]) / _STANDARD_LUMINANCE
            return round(min(max(5000 / scale if scale > 100 else 100 - scale / 2, 1), 100))
    raise EpisodeError(f"{name} has no quantisation table; every row must be one whole JPEG")
