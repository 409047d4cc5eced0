"""JPEGs are cut out of whatever bytes they stand in."""

import cv2
import numpy as np
import pytest

from mycobot_scripts.robot.cameras.jpeg_cutter import MAX_JPEG, JpegCutter


def jpeg(n, height=48, width=64, *options):
    image = np.random.default_rng(n).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", image, options)[1].tobytes()


def with_thumbnail(picture, thumbnail):
    """The picture with another in a segment of its own, as cameras put it there."""
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    return picture[:2] + segment + picture[2:]


def cut(data, piece=4096):
    cutter, found = JpegCutter(), []
    for start in range(0, len(data), piece):
        cutter.add(data[start : start + piece])
        while (one := cutter.next()) is not None:
            found.append(one)
    return found


PICTURES = [
    jpeg(0),
    jpeg(1, 48, 64, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    jpeg(2, 48, 64, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    with_thumbnail(jpeg(3), jpeg(4, 16, 16)),
    cv2.imencode(".jpg", np.zeros((48, 64), np.uint8))[1].tobytes(),
]


@pytest.mark.parametrize("piece", [1, 7, 4096, 10**6])
@pytest.mark.parametrize(
    "between",
    [
        b"",
        b"\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 99999999\r\n\r\n",
        b"\n--frame\nContent-Type: text/plain\n\n\xff\xd8 is how a JPEG begins\n",
        b"\x00" * 100 + b"\xff" * 9 + b"\xd8",
    ],
)
def test_pictures_are_found_whatever_stands_between(piece, between):
    data = between + b"".join(picture + between for picture in PICTURES)
    assert cut(data, piece) == PICTURES


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_a_picture_that_breaks_off_is_left_out(share):
    whole, broken = jpeg(5), jpeg(6)[: -max(2, int(len(jpeg(6)) * share))]
    found = cut(whole + broken + b"\r\n--frame\r\n\r\n" + whole + whole)
    assert found and set(found) == {whole} and len(found) >= 2


def test_random_bytes_do_no_harm():
    rng = np.random.default_rng(0)
    for _ in range(30):
        junk = rng.choice(np.array([0xFF, 0xD8, 0xDA, 0xD9, 0xC0, 0xE0, 0, 3, 200], np.uint8), 3000).tobytes()
        try:
            cut(junk)
        except ValueError as error:
            assert "pixels" in str(error) or "MB" in str(error)


def test_a_picture_too_large_is_refused_by_its_head():
    head = bytearray(jpeg(7))
    at = head.find(b"\xff\xc0")
    head[at + 5 : at + 9] = (30000).to_bytes(2, "big") * 2
    cutter = JpegCutter()
    cutter.add(bytes(head[: at + 20]))
    with pytest.raises(ValueError, match="30000x30000"):
        cutter.next()


def test_a_picture_without_an_end_is_refused():
    cutter = JpegCutter()
    cutter.add(jpeg(8)[:-2])
    assert cutter.next() is None
    cutter.add(b"\x11" * MAX_JPEG)
    with pytest.raises(ValueError, match="without an end"):
        cutter.next()


def test_what_is_no_picture_is_counted():
    cutter = JpegCutter()
    cutter.add(b"<html>" * 1000)
    assert cutter.next() is None and cutter.passed >= 5990
