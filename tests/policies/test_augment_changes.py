"""Contracts over all changes of pictures: each does what it says, as often as it says."""

import re
from dataclasses import replace
from random import Random

import cv2
import numpy as np
import pytest
import torch
from fake_cuda import Watch, fake_cuda
from repository import ROOT

from policies.augmentation.batches import AUGMENTATIONS, CHANGES, GROUPS, Augmentation, AugmentConfig
from policies.augmentation.camera import BLUR, MOTION, NOISE, QUALITY
from policies.augmentation.scene import BRIGHTNESS, GAIN, GAMMA, MOVE, PATCH, PATCHES, SHADOW_DEPTH

SIZE = (120, 160)


class Fixed(Random):
    """Draws the same share of every range."""

    def __init__(self, share: float) -> None:
        super().__init__(0)
        self.share = share

    def random(self) -> float:
        return self.share


def augmentation(*names: str) -> Augmentation:
    return Augmentation(names, torch.zeros(14), torch.ones(14))


def textured(*form: int) -> torch.Tensor:
    """(*form, H, W, 3) uint8, all the same: smooth coloured blobs, far from black and white."""
    small = np.random.default_rng(0).integers(60, 180, (12, 16, 3), np.uint8)
    picture = cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(picture).expand(*form, *SIZE, 3)


def numbers_of(name: str, cameras: int = 1, random: Random | None = None, size: tuple[int, int] = SIZE):
    """What the change draws for a sample that it changes."""
    return replace(CHANGES[name], rate=1.0).numbers(cameras, *size, random or Random(0))


def changed(name: str, share: float, pictures: torch.Tensor | None = None) -> np.ndarray:
    """(H, W, 3): a picture changed by the numbers at a share of each range."""
    pictures = textured(1, 1) if pictures is None else pictures
    return CHANGES[name].apply(pictures, [numbers_of(name, random=Fixed(share))])[0, 0].numpy()


def away(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(int) - other.astype(int))


@pytest.mark.parametrize("name", CHANGES)
def test_it_changes_pixels_of_as_many_samples_as_it_says(name):
    torch.manual_seed(0)
    images = textured(400, 1)
    made = augmentation(name).images(images)
    assert made.shape == images.shape and made.dtype == images.dtype and made.device == images.device
    is_changed = (made != images).flatten(1).any(dim=1)
    assert is_changed.float().mean().item() == pytest.approx(CHANGES[name].rate, abs=0.06)
    different = made[is_changed].flatten(1).unique(dim=0)
    assert len(different) > 1 or name == "grey", "each in its own way"


@pytest.mark.parametrize("name", CHANGES)
def test_cameras_are_changed_alike_or_each_in_its_own_way_and_the_past_as_the_present(name):
    change, images = CHANGES[name], textured(6, 2, 3)  # samples, steps, cameras
    drawer = augmentation(name)
    drawer._changes = [replace(change, rate=1.0)]
    torch.manual_seed(1)
    made = drawer.images(images)
    is_alike = [torch.equal(sample[0, 0], sample[0, 1]) for sample in made]
    assert all(is_alike) if not change.by_camera else not any(is_alike)
    is_past_alike = [torch.equal(sample[0], sample[1]) for sample in made]
    assert not any(is_past_alike) if name == "noise" else all(is_past_alike)


@pytest.mark.parametrize("name", CHANGES)
def test_a_batch_is_changed_as_its_samples_are(name, monkeypatch):
    monkeypatch.setattr("policies.augmentation.batches.AT_ONCE", 5)
    images, random = textured(5, 2), Random(3)
    torch.manual_seed(0)
    drawn = [[numbers_of(name, 2, random)] for _ in images]
    drawer = augmentation(name)
    together = drawer._changed(images, drawn)
    alone = torch.cat([drawer._changed(images[i : i + 1], drawn[i : i + 1]) for i in range(5)])
    assert (together != alone).float().mean() < (0.001 if name == "jpeg" else 1e-9)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("size", [(48, 64), (45, 61)])
def test_pictures_of_any_size_keep_it(name, size):
    images = torch.randint(256, (2, 1, *size, 3), dtype=torch.uint8)
    drawn = [numbers_of(name, random=Random(i), size=size) for i in range(2)]
    made = CHANGES[name].apply(images, drawn)
    assert made.shape == images.shape and made.dtype == torch.uint8


def test_beside_the_new_ones_the_old_ones_draw_from_torchs_generator_as_before():
    images = textured(20, 1)
    torch.manual_seed(0)
    torch.randint(1 << 62, ())  # the seed of the new ones
    alone = augmentation("crop", "shift").images(images)
    torch.manual_seed(0)
    beside = augmentation("crop", "shift", "grey").images(images)
    is_grey = (beside == beside[..., :1]).flatten(1).all(dim=1)
    assert is_grey.any() and torch.equal(beside[~is_grey], alone[~is_grey])


# --- what each does


def test_affine_moves_little_and_repeats_the_edge():
    white = torch.full((1, 1, *SIZE, 3), 255, dtype=torch.uint8)
    for share in (0.0, 1.0):
        assert (changed("affine", share, white) == 255).all()
    columns = torch.arange(SIZE[1], dtype=torch.uint8).view(1, 1, 1, -1, 1).expand(1, 1, *SIZE, 3)
    right = changed("affine", 1.0, columns)[60, 80, 0].astype(int) - 80
    assert right == pytest.approx(MOVE * SIZE[1], abs=1.5)
    assert away(changed("affine", 0.5), textured(1, 1)[0, 0].numpy()).max() == 0


def test_erase_covers_patches_with_one_colour_each():
    picture = torch.full((1, 1, *SIZE, 3), 77, dtype=torch.uint8)
    for seed in range(30):
        row = numbers_of("erase", random=Random(seed))
        made = CHANGES["erase"].apply(picture, [row])[0, 0]
        is_covered = (made != 77).any(dim=-1)
        assert 1 <= len(made[is_covered].unique(dim=0)) <= PATCHES
        assert 1 <= is_covered.sum() <= PATCHES * (PATCH[1] * SIZE[0] + 1) ** 2


def test_a_shadow_darkens_a_part_by_as_much_as_it_says():
    white = torch.full((1, 1, *SIZE, 3), 255, dtype=torch.uint8)
    made = [CHANGES["shadow"].apply(white, [numbers_of("shadow", random=Random(i))])[0, 0] for i in range(30)]
    assert all((each == each[..., :1]).all() for each in made)
    light = torch.stack(made)[..., 0].flatten(1).float() / 255
    assert light.min() >= 1 - SHADOW_DEPTH[1] - 0.01
    assert (light.amax(dim=1) > 0.95).float().mean() > 0.8, "most leave a part in the light"
    assert (light.amin(dim=1) < 0.9).all()


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_brightness_gamma_and_white_balance_are_their_formulas(share):
    picture = textured(1, 1)[0, 0].numpy()

    def at(least: float, most: float) -> float:
        return least * (most / least) ** share

    bright = np.clip(np.round(picture * at(*BRIGHTNESS)), 0, 255)
    assert away(changed("brightness", share), bright).max() <= 1
    gamma = np.round(255 * (picture / 255) ** at(*GAMMA))
    assert away(changed("gamma", share), gamma).max() <= 1
    gains = np.array([at(*GAIN), 1, at(*GAIN)])
    assert away(changed("white_balance", share), np.clip(np.round(picture * gains), 0, 255)).max() <= 1


def test_grey_is_opencvs():
    picture = textured(1, 1)[0, 0].numpy()
    expected = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    assert away(changed("grey", 0.0), expected).max() <= 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_blur_is_opencvs(share):
    picture = textured(1, 1)[0, 0].numpy()
    sigma = (BLUR[0] + share * (BLUR[1] - BLUR[0])) * SIZE[0]
    size = 2 * int(np.ceil(3 * sigma)) + 1
    expected = cv2.GaussianBlur(picture, (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
    assert away(changed("blur", share), expected).max() <= 2


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_motion_spreads_a_point_along_a_line(share):
    picture = torch.zeros(1, 1, *SIZE, 3, dtype=torch.uint8)
    picture[:, :, 60, 80] = 240
    made = changed("motion_blur", share, picture)[..., 0].astype(int)
    assert made.sum() == pytest.approx(240, abs=6)
    rows, columns = np.nonzero(made)
    length = (MOTION[0] + share * (MOTION[1] - MOTION[0])) * SIZE[0]
    extent = np.hypot(np.ptp(rows), np.ptp(columns))
    assert 0 < extent <= length + 1.5 and len(rows) <= length + 2
    assert abs(rows.mean() - 60) < 1 and abs(columns.mean() - 80) < 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_noise_has_the_standard_deviation_that_was_drawn(share):
    grey = torch.full((1, 1, *SIZE, 3), 128, dtype=torch.uint8)
    noise = changed("noise", share, grey).astype(int) - 128
    assert noise.std() == pytest.approx(abs(2 * share - 1) * NOISE, rel=0.03)
    assert abs(noise.mean()) < 0.5
    assert abs(np.corrcoef(noise[:, 1:, 0].ravel(), noise[:, :-1, 0].ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_jpeg_is_opencvs(share):
    picture = textured(1, 1)[0, 0].numpy()
    picture = np.clip(picture + np.random.default_rng(0).normal(0, 12, picture.shape), 0, 255).astype(
        np.uint8
    )
    quality = round(QUALITY[0] + share * (QUALITY[1] - QUALITY[0]))
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    _, written = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])
    expected = cv2.imdecode(written, cv2.IMREAD_COLOR)[..., ::-1]
    ours = changed("jpeg", share, torch.from_numpy(picture)[None, None])
    assert away(ours, expected).mean() < 0.2 * away(picture, expected).mean()


# --- on a device


def test_on_a_gpu_a_batch_is_changed_at_once_and_nothing_waits():
    counts = []
    for samples in (1, 6):
        drawn = [[numbers_of(name, 2, size=(48, 64)) for name in AUGMENTATIONS] for _ in range(samples)]
        with fake_cuda():
            images = torch.empty(samples, 2, 48, 64, 3, dtype=torch.uint8, device="cuda")
            augmentation(*AUGMENTATIONS)._changed(images, drawn)  # makes the tables
            with Watch() as watch:
                assert augmentation(*AUGMENTATIONS)._changed(images, drawn).is_cuda
        counts.append(sum(not name.startswith("prim.") for name in watch.operators))
        with_table = [name for name in AUGMENTATIONS if name not in ("crop", "shift", "grey", "motion_blur")]
        assert len(watch.copies) == len(with_table), "the numbers of each, in one table"
    assert counts[1] - counts[0] < 5 * 10, "a sample by itself takes more than 200"


# --- the words


@pytest.mark.parametrize("page", ["train.md", "ko/train.md"])
def test_the_pages_tell_each_change_and_its_share(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    told = {
        name: float(share) if share else 1.0
        for name, share in re.findall(r"^\| `(\w+)` \| ([\d.]*) ?\|", text, re.MULTILINE)
    }
    assert told == {name: change.rate for name, change in CHANGES.items()}
    assert all(f"`--augment {name}" in text for name in GROUPS)


def test_help_tells_each_change():
    (flag,) = (f for f in AugmentConfig.__dataclass_fields__.values() if f.name == "augment")
    rule = flag.metadata["rule"]
    assert all(f"{name} (" in rule.help for name in (*CHANGES, *GROUPS))
    assert set(rule.choices) == {*CHANGES, *GROUPS, "none"}
