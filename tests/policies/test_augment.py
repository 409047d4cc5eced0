"""Random changes of a batch: what they do, what they leave, where their randomness comes from."""

import numpy as np
import pytest
import torch
from synthetic import make_act, make_batch
from torchvision.transforms import v2

from policies.augmentation.batches import AUGMENTATIONS, Augmentation, AugmentConfig
from policies.augmentation.plain import BRIGHTNESS, CONTRAST, DEGREES, PLAIN_CHANGES, SATURATION, centre_crop
from training.flags import TrainConfig
from training.loop import Feed, Run, fit

MEAN, STD = torch.linspace(-1, 1, 14), torch.linspace(0.1, 0.5, 14)


def augmentation(*names: str, **kwargs) -> Augmentation:
    return Augmentation(names, MEAN, STD, **kwargs)


def gradient(height: int = 100, width: int = 200) -> torch.Tensor:
    """(H, W, 3) uint8 whose red is the row and green the column, so that a pixel tells where it was."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows, columns, torch.full_like(rows, 128)], dim=-1).to(torch.uint8)


def test_without_a_choice_nothing_is_changed_and_nothing_is_drawn():
    batch = make_batch()
    before = torch.get_rng_state()
    changed = augmentation()(batch)
    assert all(torch.equal(changed[name], batch[name]) for name in batch)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", PLAIN_CHANGES)
def test_images_are_changed_each_sample_in_its_own_way_and_all_its_cameras_alike(name):
    torch.manual_seed(0)
    batch = make_batch()
    batch["images"] = gradient().expand(4, 2, -1, -1, -1)
    kept = {key: tensor.clone() for key, tensor in batch.items()}
    images = augmentation(name)(batch)["images"]
    assert images.shape == batch["images"].shape and images.dtype == torch.uint8
    assert torch.equal(images[:, 0], images[:, 1])
    assert not any(torch.equal(images[i], images[j]) for i in range(4) for j in range(i))
    assert all(torch.equal(batch[key], kept[key]) for key in batch)


def torchvisions(name: str) -> v2.Transform:
    """The same change of pictures of 100x200 pixels by torchvision, one sample after the other."""
    return {
        "crop": v2.Compose([v2.RandomCrop((95, 190)), v2.Resize((100, 200), antialias=True)]),
        "rotate": v2.RandomRotation(DEGREES, v2.InterpolationMode.BILINEAR),
        "color": v2.ColorJitter(BRIGHTNESS, CONTRAST, SATURATION),
        "shift": v2.RandomCrop((100, 200), padding=[8, 4], padding_mode="edge"),
    }[name]


@pytest.mark.parametrize("name", PLAIN_CHANGES)
def test_changes_and_their_draws_are_torchvisions(name):
    images = torch.randint(0, 256, (12, 2, 25, 50, 3), dtype=torch.uint8).repeat_interleave(4, 2)
    images = images.repeat_interleave(4, 3)
    torch.manual_seed(0)
    ours, draw = augmentation(name).images(images), torch.rand(3)
    torch.manual_seed(0)
    change = torchvisions(name)
    theirs = torch.stack([change(sample.movedim(-1, -3)).movedim(-3, -1) for sample in images])
    assert torch.equal(torch.rand(3), draw), "as many random numbers"
    away = (ours.int() - theirs.int()).abs()[:, :, 10:-10, 10:-10]  # a turned picture's edge is softer there
    assert away.max() <= (0 if name in ("crop", "shift") else 3) and (away > 1).float().mean() < 0.001


def test_draws_follow_the_global_seed():
    batch, changes = make_batch(), augmentation(*AUGMENTATIONS, state_noise=0.1, state_dropout=0.5)
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        runs.append(changes(batch))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in batch)
    assert all(not torch.equal(runs[0][name], runs[2][name]) for name in ("images", "qpos"))


def centres(name: str, count: int = 200) -> np.ndarray:
    """(count, 2): row and column of the original that the middle pixel shows."""
    torch.manual_seed(0)
    images = augmentation(name).images(gradient().expand(count, 1, -1, -1, -1))
    return images[:, 0, 50, 100, :2].numpy().astype(int)


@pytest.mark.parametrize(("name", "reach"), [("crop", (2.5, 5)), ("shift", (4, 8))])
def test_crops_and_shifts_go_everywhere_within_their_reach(name, reach):
    away = np.abs(centres(name) - (50, 100))
    assert (away <= np.array(reach) + 1).all() and (away.max(axis=0) >= np.array(reach) - 1).all()


def test_a_shift_moves_whole_pixels_and_repeats_the_edge():
    torch.manual_seed(0)
    picture = gradient()
    for image in augmentation("shift").images(picture.expand(20, 1, -1, -1, -1))[:, 0]:
        down, right = (picture[50, 100, :2].int() - image[50, 100, :2].int()).tolist()
        rows = torch.arange(100).sub(down).clamp(0, 99)
        columns = torch.arange(200).sub(right).clamp(0, 199)
        assert torch.equal(image, picture[rows][:, columns])


def test_rotation_is_about_the_middle_and_at_most_five_degrees():
    torch.manual_seed(0)
    images = augmentation("rotate").images(gradient().expand(200, 1, -1, -1, -1))[:, 0].float()
    assert (images[:, 50, 100, :2] - torch.tensor([50.0, 100.0])).abs().max() <= 1
    slopes = (images[:, 50, 140, 0] - images[:, 50, 60, 0]) / 80  # rows a column
    degrees = torch.rad2deg(torch.asin(slopes))
    assert degrees.min() < -4 and degrees.max() > 4 and degrees.abs().max() < 5.8


def test_colours_change_and_places_do_not():
    torch.manual_seed(0)
    square = torch.zeros(1, 1, 40, 40, 3, dtype=torch.uint8)
    square[:, :, 10:20, 10:20] = torch.tensor([200, 100, 60], dtype=torch.uint8)
    for image in augmentation("color").images(square.expand(20, -1, -1, -1, -1))[:, 0]:
        assert len(image.flatten(0, 1).unique(dim=0)) == 2
        assert not torch.equal(image[15, 15], square[0, 0, 15, 15])


def test_at_work_the_middle_is_seen_at_the_same_scale():
    images = gradient().expand(2, 3, -1, -1, -1)
    assert torch.equal(centre_crop(images, ("rotate", "color")), images)
    middle = centre_crop(images, ("crop", "color"))
    assert middle.shape == images.shape and middle.dtype == torch.uint8
    columns = middle[0, 0, 50, :, 1].double()
    slope = (columns[150] - columns[50]) / 100
    assert slope.item() == pytest.approx(0.95, abs=0.015)
    assert columns[100].item() == pytest.approx(100, abs=1)
    torch.manual_seed(0)
    cropped = augmentation("crop").images(gradient().expand(400, 1, -1, -1, -1))[:, 0]
    assert any(torch.equal(image, middle[0, 0]) for image in cropped)  # one of those that training draws


def test_state_dropout_replaces_whole_states_by_the_mean():
    torch.manual_seed(0)
    qpos = torch.randn(2000, 14)
    changed, is_known = augmentation(state_dropout=0.3).state(qpos)
    is_mean, is_same = (changed == MEAN).all(dim=1), (changed == qpos).all(dim=1)
    assert (is_mean ^ is_same).all() and (is_known == is_same).all()
    assert is_mean.float().mean().item() == pytest.approx(0.3, abs=0.04)


def test_state_noise_is_in_standard_deviations_of_each_entry():
    torch.manual_seed(0)
    qpos = torch.randn(5000, 14)
    noise = augmentation(state_noise=0.1).state(qpos)[0] - qpos
    torch.testing.assert_close(noise.std(dim=0), 0.1 * STD, rtol=0.1, atol=0)
    assert noise.mean(dim=0).abs().max() < 0.005


def test_joints_are_off_in_the_state_and_the_actions_alike():
    torch.manual_seed(0)
    most = torch.full((14,), 0.02)
    most[[6, 13]] = 0  # grippers
    qpos, actions = torch.randn(2000, 14), torch.randn(2000, 5, 16)  # a mobile base's two speeds behind
    is_known = torch.rand(2000) < 0.5
    off_qpos, off_actions = augmentation(joint_offset=most).displaced(qpos, actions, is_known)
    offset = off_qpos - qpos
    of_actions = torch.nn.functional.pad(offset, (0, 2))[:, None].expand(-1, 5, -1)
    torch.testing.assert_close(off_actions - actions, of_actions)
    is_off = (offset != 0).any(dim=1)
    assert (is_off == is_known).all()  # without a state, nothing tells by how much the actions are off
    assert not offset[:, most == 0].any()
    biggest = offset[is_off][:, most > 0].abs().max(dim=0).values
    assert (biggest <= 0.02 + 1e-6).all() and (biggest > 0.019).all()
    past = augmentation(joint_offset=most).displaced(qpos[:, None].expand(-1, 3, -1), actions, is_known)[0]
    torch.testing.assert_close(past[:, 0] - qpos, past[:, 2] - qpos)  # all of a sample's past alike


def test_a_camera_is_dark_as_often_as_asked():
    torch.manual_seed(0)
    images = torch.full((1000, 3, 2, 2, 3), 7, dtype=torch.uint8)
    changed = augmentation(darkness=(0.0, 0.25, 0.0)).images(images)
    is_dark = (changed == 0).flatten(2).all(dim=2)
    assert (is_dark | (changed == images).flatten(2).all(dim=2)).all()
    assert is_dark.float().mean(dim=0).tolist() == pytest.approx([0, 0.25, 0], abs=0.04)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"augment": ("crop", "none")}, "none must stand alone"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags, said):
    with pytest.raises(ValueError, match=said):
        AugmentConfig(**flags).check_augment()


def test_flags_choose_what_is_done_to_the_images():
    assert AugmentConfig().augmentations(("crop",)) == ("crop",)
    assert AugmentConfig(augment=("none",)).augmentations(("crop",)) == ()
    assert AugmentConfig(augment=("color", "crop")).augmentations(()) == ("crop", "color")
    assert AugmentConfig(augment=("robust", "noise", "shift")).augmentations(()) == (
        "shift",
        *(name for name in AUGMENTATIONS if name not in PLAIN_CHANGES),
    )


def test_a_run_that_is_resumed_draws_what_an_uninterrupted_one_draws(tmp_path):
    def batches_of(steps: range):
        return (make_batch() for _ in steps)

    def train(folder, *totals: int):
        folder.mkdir()
        for total in totals:
            torch.manual_seed(1)
            policy = make_act(dropout=0.0)
            noise = {"state_dropout": 0.5, "state_noise": 0.1, "joint_offset": torch.full((14,), 0.01)}
            changes = Augmentation(AUGMENTATIONS, policy.qpos_mean, policy.qpos_std, **noise)
            run = Run(policy, TrainConfig(lr=1e-3, amp="no", validate_every=3), total)
            if total != totals[0]:
                run.restore(folder / "policy_last.ckpt")
            fit(run, Feed(batches_of, {"all": [make_batch()]}, lambda step: [], changes), folder)
        return policy.state_dict()

    straight, parts = train(tmp_path / "straight", 6), train(tmp_path / "parts", 3, 6)
    assert all(torch.equal(straight[name], parts[name]) for name in straight)
