"""Regions where kinds of episodes differ, in made-up pictures whose truth is known."""

import cv2
import numpy as np
import pytest

from dataset_tools.regions import region_search
from dataset_tools.regions.region_search import (
    ColorMask,
    Region,
    clusters,
    coarse,
    deals,
    differing,
    find_shake,
    joined,
    see,
    standing_out,
    steadied,
    steps_in_step,
    variance_ratio,
)
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.folders import episode_path
from episodes.frames import JpegFrames

H, W = 240, 320
SPOT = (200, 60, 230, 84)  # where the box lies that tells the kinds apart: x0, y0, x1, y1
RNG = np.random.default_rng(0)
# a table with a pattern, so that there are corners to follow
TABLE = cv2.GaussianBlur(RNG.integers(0, 256, (H, W, 3)).astype(np.uint8), (0, 0), 2.5)
TABLE = np.clip(128 + 3.0 * (TABLE.astype(float) - 128), 30, 225).astype(np.uint8)


def scene(rng, has_box):
    """The table, a cube that lies anywhere on the left, noise and, in one kind of episode, a box."""
    picture = TABLE.astype(float)
    x, y = rng.integers(30, 120), rng.integers(80, 180)
    picture[y : y + 24, x : x + 24] = (220, 30, 30)
    if has_box:
        x0, y0, x1, y1 = SPOT
        picture[y0:y1, x0:x1] = (230, 190, 30)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def moved(picture, degrees, dx, dy):
    matrix = cv2.getRotationMatrix2D((W / 2, H / 2), degrees, 1)
    matrix[:, 2] += (dx, dy)
    return cv2.warpAffine(picture, matrix, (W, H), borderMode=cv2.BORDER_REPLICATE)


def save(path, picture, steps=6, qpos=None):
    frames = JpegFrames()
    for _ in range(steps):
        frames.append(picture)
    qpos = np.zeros((steps, 7)) if qpos is None else qpos
    Episode(qpos, qpos, {"top": frames}).save(path)
    return path


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Files of eight episodes, of two kinds in turns; the camera shakes, from the second on."""
    folder, rng = tmp_path_factory.mktemp("kinds"), np.random.default_rng(1)
    paths = []
    for i in range(8):
        shake = (rng.uniform(-1, 1), *rng.uniform(-5, 5, 2)) if i else (0, 0, 0)
        paths.append(save(episode_path(folder, i), moved(scene(rng, i % 2), *shake)))
    return paths


def close(box, spot, margin):
    """Whether a box holds the spot, and little more."""
    return all(0 <= sign * (a - b) <= margin for a, b, sign in zip(box, spot, (-1, -1, 1, 1), strict=True))


@pytest.mark.parametrize(("degrees", "dx", "dy"), [(0, 0, 0), (0, 4, -3), (1.5, 0, 0), (-1, 3, 6)])
def test_shake_is_found(degrees, dx, dy):
    rng = np.random.default_rng(2)
    shaken = moved(scene(rng, True), degrees, dx, dy)
    shake = find_shake(scene(rng, False), shaken)
    assert abs(shake.degrees - degrees) < 0.1, "back by as much as it was turned"
    assert abs(shake.pixels - np.hypot(dx, dy)) < 0.4
    told = find_shake(TABLE, moved(TABLE, degrees, dx, dy))
    steady = steadied(moved(TABLE, degrees, dx, dy), told)
    inner = np.s_[20:-20, 20:-20]
    assert np.abs(steady[inner].astype(float) - TABLE[inner]).mean() < 4
    assert told.is_felt == (degrees != 0 or dx != 0)


def test_pictures_that_cannot_be_compared_are_left_as_they_are():
    flat = np.full((H, W, 3), 90, np.uint8)
    assert find_shake(flat, TABLE) is region_search.STILL
    other = np.random.default_rng(9).permutation(TABLE.reshape(-1, 3)).reshape(H, W, 3)
    assert not find_shake(TABLE, other).is_felt
    assert not find_shake(TABLE, moved(TABLE, 20, 0, 0)).is_felt, "the camera was put elsewhere"


@pytest.fixture(scope="module")
def seen(kinds):
    """What is seen in them, (8, h, w, 3), and the border that not all of them show."""
    reference = Episode.load(kinds[0]).images["top"][0]
    sights = [see(path, "top", (0, 5), reference) for path in kinds]
    border = max(sight.shake.reach for sight in sights)
    assert 2 < border < 12
    return np.stack([coarse(sight.mean) for sight in sights]), border


def test_the_box_is_found_and_the_cube_is_not(seen):
    images, border = seen
    assert images.shape == (8, 120, 160, 3)
    found = differing(images, np.arange(8) % 2, (H, W), 4, np.random.default_rng(0), border)
    assert len(found) == 1 and found[0].chance <= region_search.CHANCE
    assert close(found[0].box, SPOT, 4 + 4), found


def test_no_region_where_kinds_are_dealt_out_at_random(seen):
    images, border = seen
    for dealt in ([0, 0, 1, 1, 0, 0, 1, 1], [1, 0, 0, 1, 0, 1, 1, 0]):  # each kind has two boxes
        assert differing(images, np.array(dealt), (H, W), 4, np.random.default_rng(0), border) == []


def test_more_than_two_kinds():
    rng = np.random.default_rng(3)
    images = rng.normal(100, 3, (9, 60, 80, 3)).astype(np.float32)
    kinds = np.arange(9) % 3
    images[kinds == 1, 10:20, 30:40] += 40
    images[kinds == 2, 40:50, 10:20] -= 40
    found = differing(images, kinds, (60, 80), 0, np.random.default_rng(0))
    assert sorted(region.box for region in found) == [(10, 40, 20, 50), (30, 10, 40, 20)]


def test_variance_ratio_against_its_definition():
    rng = np.random.default_rng(4)
    images, kinds = rng.normal(size=(7, 2, 2, 3)) * 50, np.array([0, 0, 0, 1, 1, 2, 2])
    mean = images.mean(axis=0)
    groups = [images[kinds == k] for k in range(3)]
    between = sum(len(own) * (own.mean(axis=0) - mean) ** 2 for own in groups) / 2
    within = sum(((own - own.mean(axis=0)) ** 2).sum(axis=0) for own in groups) / 4 + region_search.NOISE**2
    np.testing.assert_allclose(variance_ratio(images, kinds), between.sum(axis=-1) / within.sum(axis=-1))


def test_objects_stand_out_from_a_recording_without_them():
    rng = np.random.default_rng(5)
    empty = np.stack([coarse(TABLE + rng.normal(0, 3, TABLE.shape)) for _ in range(3)])
    full = TABLE.astype(float)
    full[100:130, 40:70] = (220, 30, 30)
    images = np.stack([coarse(full + rng.normal(0, 3, full.shape)) for _ in range(2)])
    found = standing_out(images, empty, (H, W), 0)
    assert len(found) == 1 and close(found[0].box, (40, 100, 70, 130), 2)
    assert standing_out(empty, empty, (H, W), 0) == []


def test_deals_are_all_others_if_they_are_few():
    kinds = np.array([0, 1, 0, 1])
    ways = deals(kinds, np.random.default_rng(0))
    assert len(ways) == 4  # 6 choices of 2, less this one and its opposite
    assert all(way.sum() == 2 and not np.array_equal(way % 2, kinds) for way in ways)
    many = deals(np.arange(40) % 2, np.random.default_rng(0))
    assert len(many) == region_search.DEALS and all(way.sum() == 20 for way in many)


def test_clusters_are_joined_over_a_gap_of_a_pixel():
    ratio = np.zeros((20, 30))
    ratio[5:8, 5:8], ratio[5:8, 9:12], ratio[15, 25] = 10, 20, 90
    found = clusters(ratio, 9)
    assert [box for _, box in found] == [(5, 5, 12, 8), (25, 15, 26, 16)]
    assert [weight for weight, _ in found] == [270, 90]


def test_overlapping_boxes_become_one():
    boxes = [(0, 0, 10, 10), (8, 8, 20, 20), (50, 50, 60, 60), (18, 0, 30, 9)]
    made = joined([Region(box, float(i + 1), 0.01 * i) for i, box in enumerate(boxes)])
    assert [(region.box, region.weight) for region in made] == [
        ((0, 0, 30, 20), 7.0),
        ((50, 50, 60, 60), 3.0),
    ]


def test_steps_are_compared_while_the_arms_agree(tmp_path):
    way = np.zeros((20, 7))
    way[8:] = 0.3
    paths = [
        save(episode_path(tmp_path, i), TABLE, steps, qpos)
        for i, (steps, qpos) in enumerate([(20, np.zeros((20, 7))), (20, way), (15, np.zeros((15, 7)))])
    ]
    assert steps_in_step(paths) == (0, 7)
    assert steps_in_step(paths[::2]) == (0, 14)


def test_cameras_of_other_sizes_are_refused(tmp_path):
    path = save(episode_path(tmp_path, 0), TABLE[:100])
    with pytest.raises(EpisodeError, match="camera 'top' is 100x320, not 240x320"):
        see(path, "top", (0, 3), TABLE)


def test_a_colour_is_kept_with_its_box_and_noise_is_not():
    """The user's red threshold (act-plus-plus_one: mycobot320_script/masking)."""
    image = np.full((60, 80, 3), (90, 140, 90), np.uint8)
    image[20:30, 10:25] = (200, 50, 40)
    image[24:26, 15:18] = (90, 140, 90)  # a hole: kept, for it is in the box
    image[50, 70] = (200, 50, 40)  # one pixel
    kept = ColorMask((150, 0, 0), (255, 100, 100), min_area=30)(image)
    wanted = np.zeros_like(image)
    wanted[20:30, 10:25] = image[20:30, 10:25]
    np.testing.assert_array_equal(kept, wanted)
    wider = ColorMask((150, 0, 0), (255, 100, 100), min_area=30, border=15)(image)
    assert wider[5, 5].any() and not wider[45, 40].any()
    assert ColorMask((150, 0, 0), (255, 100, 100), min_area=1)(image)[50, 70].any()
