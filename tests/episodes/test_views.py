"""Which part of the picture a policy sees: the same pixels in training, evaluation and after reloading."""

import dataclasses

import numpy as np
import pytest
import torch
from synthetic import make_episode, make_stats

from actors import Interface
from episodes.folders import episode_path
from episodes.frames import resize_image
from episodes.views import ROI_WEIGHT, View, ViewConfig
from policies.act import ACTPolicy
from policies.configs import ACTConfig
from policy import load_policy, save_policy
from utils import Demonstrations

FRAME = (96, 128)
SIZE = (48, 64)
CAMERAS = ("top", "left", "right")
CONFIG = ViewConfig(
    roi={"left": (10, 10, 50, 90)},
    roi_weight={"left": 0.25},
    crop={"top": (10, 20, 100, 90)},
    mask_outside={"top": (30, 5, 80, 60), "left": (0, 0, 64, 96)},
    zero_camera={"right": 1.0, "left": 0.5},
)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (*FRAME, 3), dtype=np.uint8)


@pytest.fixture
def path(tmp_path):
    """An episode whose frames are raw noise."""
    episode = make_episode(np.random.default_rng(0), steps=3, cameras=CAMERAS)
    episode.images = {c: np.stack([noise(10 * i + t) for t in range(3)]) for i, c in enumerate(CAMERAS)}
    episode.save(episode_path(tmp_path, 0))
    return episode_path(tmp_path, 0)


def make_policy(views: dict[str, View], augmentations: tuple[str, ...] = ()) -> ACTPolicy:
    config = ACTConfig(
        backbone="keypoints", hidden_dim=32, dim_feedforward=64, nheads=4, enc_layers=1, chunk_size=5
    )
    interface = Interface(14, 14, CAMERAS, SIZE, views=views, augmentations=augmentations)
    return ACTPolicy(config, interface, make_stats())


def test_a_crop_is_the_box_scaled_up():
    image = noise()
    seen = View(FRAME, crop=(10, 20, 74, 68))(image, SIZE)
    assert np.array_equal(seen, image[20:68, 10:74])  # the box is just as large as the policy's image
    seen = View(FRAME, crop=(10, 20, 100, 90))(image, SIZE)
    assert np.array_equal(seen, resize_image(np.ascontiguousarray(image[20:90, 10:100]), SIZE))


def test_a_mask_blackens_the_rest_and_moves_nothing():
    image = noise()
    kept = image.copy()
    seen = View(FRAME, mask_outside=(30, 5, 80, 60))(image, FRAME)
    assert np.array_equal(seen[5:60, 30:80], image[5:60, 30:80])
    assert np.count_nonzero(seen) == np.count_nonzero(image[5:60, 30:80])
    assert np.array_equal(image, kept)


def test_a_mask_is_given_in_pixels_of_the_recorded_frame_even_with_a_crop():
    image = noise()
    both = View(FRAME, crop=(20, 0, 84, 48), mask_outside=(30, 5, 80, 40))(image, SIZE)
    expected = np.zeros_like(image)
    expected[5:40, 30:80] = image[5:40, 30:80]
    assert np.array_equal(both, expected[0:48, 20:84])


def test_a_dark_camera_is_black_at_the_policys_size():
    assert np.array_equal(View(is_dark=True)(noise(), SIZE), np.zeros((*SIZE, 3), np.uint8))


def test_outside_the_region_the_normalised_image_is_weighted():
    """What a map over the network's input does, 1 inside and the weight outside, to half a grey level."""
    image, box = noise(), (30, 5, 80, 60)
    kept = image.copy()
    policy = make_policy({})
    for weight in (0.0, 0.3, 1.0):
        seen = View(FRAME, roi=box, roi_weight=weight)(image, FRAME)
        weights = np.full((*FRAME, 1), weight)
        weights[5:60, 30:80] = 1
        found, whole = (policy.normalise_images(torch.from_numpy(x)[None, None])[0, 0] for x in (seen, image))
        expected = whole * torch.from_numpy(weights).permute(2, 0, 1).float()
        torch.testing.assert_close(found, expected, atol=0.501 / 255 / 0.224, rtol=0)
        assert np.array_equal(seen[5:60, 30:80], image[5:60, 30:80])
    assert np.array_equal(image, kept)


def test_a_region_weights_first_and_black_stays_black():
    image = noise()
    seen = View(FRAME, roi=(40, 20, 60, 40), roi_weight=0.5, mask_outside=(30, 5, 80, 60))(image, FRAME)
    weighted = View(FRAME, roi=(40, 20, 60, 40), roi_weight=0.5)(image, FRAME)
    assert np.array_equal(seen[5:60, 30:80], weighted[5:60, 30:80])
    assert np.count_nonzero(seen) == np.count_nonzero(weighted[5:60, 30:80])
    cropped = View(FRAME, roi=(40, 20, 60, 40), roi_weight=0.5, crop=(30, 10, 94, 58))(image, SIZE)
    assert np.array_equal(cropped, weighted[10:58, 30:94])


def test_only_the_cameras_that_are_named_are_weighted(path):
    views = ViewConfig(roi={"top": (0, 0, 9, 9), "left": (1, 1, 9, 9)}, roi_weight={"left": 0.0}).views(
        CAMERAS, path
    )
    assert set(views) == {"top", "left"}
    assert (views["top"].roi_weight, views["left"].roi_weight) == (ROI_WEIGHT, 0.0)


def test_boxes_are_refused_on_frames_of_another_size():
    with pytest.raises(
        ValueError, match="a frame is 48x64 .*--roi, --crop and --mask_outside are for 96x128"
    ):
        View(FRAME, crop=(0, 0, 10, 10))(resize_image(noise(), SIZE), SIZE)


def test_training_and_the_policy_at_work_see_the_same_pixels(path):
    views = CONFIG.views(CAMERAS, path)
    data = Demonstrations([path], CAMERAS, SIZE, views=views)
    trained_on = data.batch([(0, t) for t in range(3)], chunk_size=5)["images"]
    episode = data.episodes[0]
    observations = [
        {"qpos": episode.qpos[t], "images": {c: episode.images[c][t] for c in CAMERAS}} for t in range(3)
    ]
    observed = make_policy(views).observe(observations)["images"]
    assert torch.equal(observed, trained_on)
    whole = make_policy({}).observe(observations)["images"]
    assert all(not torch.equal(whole[:, camera], observed[:, camera]) for camera in range(3))
    assert not observed[:, 2].any()


def test_a_checkpoint_brings_its_views_and_its_centre_crop(path, tmp_path):
    policy = make_policy(CONFIG.views(CAMERAS, path), ("crop", "color")).eval()
    save_policy(tmp_path / "a.ckpt", policy)
    loaded = load_policy(tmp_path / "a.ckpt")
    assert loaded.interface == policy.interface
    observation = {"qpos": np.zeros(14), "images": {camera: noise() for camera in CAMERAS}}
    seen = [p.observe([observation])["images"] for p in (policy, loaded, make_policy(policy.interface.views))]
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])  # the last was trained without crops


def test_an_interface_survives_formats_that_have_no_tuples(path):
    interface = make_policy(CONFIG.views(CAMERAS, path), ("crop",)).interface
    plain = dataclasses.asdict(interface)

    def lists(value):
        if isinstance(value, dict):
            return {key: lists(item) for key, item in value.items()}
        return [lists(item) for item in value] if isinstance(value, tuple) else value

    assert Interface.from_plain(lists(plain)) == Interface.from_plain(plain) == interface
    old = {name: value for name, value in plain.items() if name not in ("views", "augmentations")}
    assert Interface.from_plain(old).views == {} and Interface.from_plain(old).augmentations == ()


def test_only_cameras_that_are_sometimes_dark_are_darkened_at_random(path):
    assert CONFIG.darkness(CAMERAS) == (0.0, 0.5, 0.0)
    assert set(CONFIG.views(CAMERAS, path)) == {"top", "left", "right"}
    assert ViewConfig(zero_camera={"top": 0.5}).views(CAMERAS, path) == {}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"crop": {"tpo": (0, 0, 9, 9)}}, "unknown camera of --crop 'tpo'; did you mean 'top'"),
        ({"zero_camera": {"front": 0.5}}, "unknown camera of --zero_camera 'front'"),
        ({"crop": {"top": (0, 0, 129, 96)}}, "--crop top=0,0,129,96: .* as the frames are 96x128"),
        ({"crop": {"top": (-1, 0, 9, 9)}}, "--crop top=-1,0,9,9: "),
        ({"mask_outside": {"left": (5, 5, 5, 9)}}, "--mask_outside left=5,5,5,9: "),
        ({"mask_outside": {"left": (0, 9, 5, 3)}}, "--mask_outside left=0,9,5,3: "),
        (
            {"crop": {"top": (0, 0, 60, 90)}, "mask_outside": {"top": (60, 0, 90, 90)}},
            "--crop top=0,0,60,90 and --mask_outside top=60,0,90,90 do not overlap",
        ),
        ({"roi": {"tpo": (0, 0, 9, 9)}}, "unknown camera of --roi 'tpo'; did you mean 'top'"),
        ({"roi": {"top": (0, 0, 9, 97)}}, "--roi top=0,0,9,97: "),
        ({"roi_weight": {"top": 0.5}}, "--roi_weight top weights nothing; give the box: --roi top="),
        ({"roi_weight": {"front": 0.5}}, "unknown camera of --roi_weight 'front'"),
    ],
)
def test_bad_boxes_are_refused(path, flags, said):
    with pytest.raises(ValueError, match=said) as caught:
        ViewConfig(**flags).views(CAMERAS, path)
    assert "\n" not in str(caught.value)
