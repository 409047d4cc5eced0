"""Where a JPEG ends, whatever lies behind it or inside it; what is none; sizes before pictures."""

import cv2
import numpy as np
import pytest
from foreign import jpeg, picture

from episodes import jpegs
from episodes.errors import EpisodeError
from episodes.frames import JpegFrames
from episodes.jpegs import jpeg_size, trim_jpeg

PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
RESTARTS = (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)


def with_thumbnail(content: bytes) -> bytes:
    """With a whole small JPEG in its header, as cameras write it (EXIF)."""
    small = cv2.imencode(".jpg", picture(0)[::4, ::4])[1].tobytes()
    segment = b"Exif\0\0" + small
    return content[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + content[2:]


KINDS = {
    "plain": jpeg(3),
    "progressive": jpeg(3, *PROGRESSIVE),
    "restarts": jpeg(3, *RESTARTS),
    "thumbnail": with_thumbnail(jpeg(3)),
    "filled header": jpeg(3)[:2] + b"\xff\xff\xff" + jpeg(3)[2:],
}


def row(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "behind", [b"", b"\0" * 40, b"\r\n", b"\xff" * 40, b"\xff\xd8\xff", b"ab\0\0", b"\0" * 9 + b"x"]
)
def test_a_jpeg_ends_at_its_end_whatever_is_behind_it(kind, behind):
    content = KINDS[kind]
    assert trim_jpeg(row(content + behind), "it").tobytes() == content


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behind", [b"", b"\0" * 40, b"\xff" * 40, b"\r\n"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.999])
def test_a_jpeg_that_breaks_off_is_incomplete(kind, behind, share):
    content = KINDS[kind]
    cut = content[: max(2, int(share * len(content)))]
    with pytest.raises(EpisodeError, match="it is incomplete; every row must be one whole JPEG"):
        trim_jpeg(row(cut + behind), "it")


def test_the_end_of_a_thumbnail_is_not_the_end():
    content = KINDS["thumbnail"]
    end = content.index(b"\xff\xd9") + 2
    for cut in (end, end + 2):
        with pytest.raises(EpisodeError, match="incomplete"):
            trim_jpeg(row(content[:cut] + b"\0\0"), "it")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (cv2.imencode(".png", picture(0))[1].tobytes(), "a PNG"),
        (cv2.imencode(".webp", picture(0))[1].tobytes(), "a WebP"),
        (cv2.imencode(".bmp", picture(0))[1].tobytes(), "a BMP"),
        (b"\0" * 100, "empty"),
        (b"", "empty"),
        (b"hello", r"no JPEG \(it begins with 68 65 6c 6c\)"),
    ],
)
def test_what_is_no_jpeg_is_called_what_it_is(content, kind):
    with pytest.raises(EpisodeError, match=f"it is {kind}; every row must be one whole JPEG"):
        trim_jpeg(row(content), "it")


def claiming(height: int, width: int) -> np.ndarray:
    """A JPEG whose header claims another size."""
    content = bytearray(jpeg(0))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return row(bytes(content))


@pytest.mark.parametrize("size", [(50000, 50000), (30000, 30000), (0, 64), (48, 0)])
def test_a_size_beyond_all_cameras_is_refused_before_it_is_decoded(size, monkeypatch):
    frames = JpegFrames.from_padded([claiming(*size)], "top")
    monkeypatch.setattr(jpegs.cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    for read in (
        lambda: frames[0],
        lambda: frames.reduced(0, (8, 8)),
        lambda: jpeg_size(frames.encoded(0), "top"),
    ):
        with pytest.raises(
            EpisodeError, match=f"top.* has {size[0]}x{size[1]} pixels; it must have 1 to 64 million"
        ):
            read()
