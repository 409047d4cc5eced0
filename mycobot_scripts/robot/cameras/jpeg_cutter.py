"""Cuts JPEGs out of a stream of bytes by walking their segments.

Whatever is between them (boundaries, headers, parts of other types) is skipped. So a stream needs no
lengths, and wrong ones do no harm. Markers: ITU-T T.81, Annex B.
"""

from __future__ import annotations

from episodes import JPEG_ALONE, JPEG_END, JPEG_FRAMES, JPEG_SCAN, MOST_PIXELS

MAX_JPEG = 32_000_000  # bytes
_BEGIN = b"\xff\xd8\xff"  # start of image, and the next marker's first byte
_FILL = 0xFF


class _Cut(Exception):
    """A picture that breaks off."""


class JpegCutter:
    """Takes bytes in pieces, gives whole JPEGs.

    One that breaks off is left out.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at = 0  # how far the picture at the start of the bytes is walked; 0: no picture
        self._in_scan = False  # whether `_at` is in coded pixels, which end at a marker
        self.passed = 0  # bytes since the last picture that belong to none

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        self._bytes += piece

    def next(self) -> bytes | None:
        """The next whole picture; None if more bytes are needed. ValueError for one that is too large."""
        while self._at or self._find():
            try:
                end = self._walk()
            except _Cut:
                self._drop(self._at)
                continue
            if end is None:
                if len(self._bytes) > MAX_JPEG:
                    raise ValueError(f"a picture of more than {MAX_JPEG // 10**6} MB, or one without an end")
                return None
            jpeg = bytes(self._bytes[:end])
            self._drop(end)
            self.passed = 0
            return jpeg
        return None

    def _find(self) -> bool:
        """Whether a picture begins; what comes before it is dropped."""
        start = self._bytes.find(_BEGIN)
        self._drop(start if start >= 0 else max(0, len(self._bytes) - len(_BEGIN) + 1))
        self._at = 2 if start >= 0 else 0
        return start >= 0

    def _drop(self, count: int) -> None:
        self.passed += count
        del self._bytes[:count]
        self._at, self._in_scan = 0, False

    def _walk(self) -> int | None:
        """Walk on through segments; returns where the picture ends, or None if that has not come yet."""
        data = self._bytes
        while len(data) >= self._at + 2:
            if self._in_scan:
                self._in_scan = not self._to_marker()
                continue
            if data[self._at] != _FILL:
                raise _Cut
            marker = data[self._at + 1]
            if marker == JPEG_END:
                return self._at + 2
            if marker == _FILL or marker in JPEG_ALONE:
                self._at += 1 if marker == _FILL else 2
            elif not self._over_segment(marker):
                return None
        return None

    def _to_marker(self) -> bool:
        """Go to the end of coded pixels; returns whether it has come."""
        data = self._bytes
        at = data.find(b"\xff", self._at)
        if at < 0 or at + 1 >= len(data):
            self._at = len(data) if at < 0 else at
            return False
        marker = data[at + 1]
        is_end = marker not in (0, _FILL) and marker not in JPEG_ALONE
        self._at = at if is_end else at + (1 if marker == _FILL else 2)
        return is_end

    def _over_segment(self, marker: int) -> bool:
        """Go over a segment that tells its length; False if its head has not come yet."""
        data, at = self._bytes, self._at
        if marker < 0xC0 or marker == 0xD8:  # no such marker, or another picture begins
            raise _Cut
        if len(data) < at + 9:
            return False
        if marker in JPEG_FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            if height * width > MOST_PIXELS:
                raise ValueError(
                    f"a picture of {width}x{height} pixels; {MOST_PIXELS / 1e6:.0f} million are the most"
                )
        length = int.from_bytes(data[at + 2 : at + 4])
        if length < 2:
            raise _Cut
        self._at, self._in_scan = at + 2 + length, marker == JPEG_SCAN
        return True
