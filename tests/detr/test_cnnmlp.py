"""CNNMLP: shapes, learning, cameras, and the script."""

import sys

import pytest
import torch
from synthetic import make_batch, make_cnnmlp, make_dataset

import imitate_episodes
from detr.cnnmlp import mlp
from policy import load_policy, read_checkpoint, save_policy


def test_mlp_has_a_relu_between_layers_only():
    layers = [type(layer).__name__ for layer in mlp([3, 5, 5, 2])]
    assert layers == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]


@pytest.mark.parametrize("shared", [False, True])
def test_every_camera_and_the_state_count(shared):
    policy = make_cnnmlp(("top", "wrist"), share_backbone=shared).eval()
    assert len(policy.network.backbones) == (1 if shared else 2)
    batch = make_batch(cameras=2)
    with torch.no_grad():
        before = policy.act(batch)
        assert before.shape == (3, 1, 14)
        for camera in range(2):
            images = batch["images"].clone()
            images[:, camera] = 255 - images[:, camera]
            assert not torch.allclose(policy.act({**batch, "images": images}), before)
        assert not torch.allclose(policy.act({**batch, "qpos": batch["qpos"] + 1}), before)


def test_images_of_any_size_do():
    policy = make_cnnmlp(backbone="resnet18", backbone_weights="none").eval()
    for size in ((48, 64), (96, 128), (33, 65)):
        images = torch.zeros(1, 1, *size, 3, dtype=torch.uint8)
        with torch.no_grad():
            assert policy.act({"qpos": torch.zeros(1, 14), "images": images}).shape == (1, 1, 14)


def test_the_loss_is_the_mean_square_of_the_first_action():
    policy, batch = make_cnnmlp().eval(), make_batch()
    with torch.no_grad():
        error = policy.normalise_actions(policy.act(batch)[:, 0] - batch["actions"][:, 0])
        error = error + policy.action_mean / policy.action_std  # a difference has no mean to take off
        assert policy.loss(batch)["loss"].item() == pytest.approx(error.square().mean().item(), rel=1e-4)
        later = {**batch, "actions": batch["actions"].clone()}
        later["actions"][:, 1:] += 5
        assert policy.loss(later)["loss"] == policy.loss(batch)["loss"]


def test_it_overfits_a_batch():
    policy, batch = make_cnnmlp().train(), make_batch()
    optimiser = torch.optim.Adam(policy.parameters(), lr=3e-3)
    before = policy.loss(batch)["loss"].item()
    for _ in range(40):
        optimiser.zero_grad()
        policy.loss(batch)["loss"].backward()
        optimiser.step()
    assert policy.eval().loss(batch)["loss"].item() < 0.2 * before


def test_pretrained_backbones_learn_at_their_own_rate(tmp_path):
    from detr.backbones.backbone import build_backbone

    torch.save(build_backbone("resnet18", "frozen_bn").state_dict(), tmp_path / "weights.pth")
    policy = make_cnnmlp(backbone="resnet18", backbone_weights=str(tmp_path / "weights.pth"))
    assert len(policy.pretrained_parameters()) == 20  # convolutions of ResNet-18
    save_policy(tmp_path / "a.ckpt", policy)
    (tmp_path / "weights.pth").unlink()
    assert load_policy(tmp_path / "a.ckpt").network.backbones[0].norm == "frozen_bn"


@pytest.mark.parametrize("name", ["hidden_dim", "hidden_depth"])
def test_sizes_that_make_no_sense_are_refused(name):
    with pytest.raises(ValueError, match=f"--{name} is 0; it must be 1 to "):
        make_cnnmlp(**{name: 0})


def test_the_script_trains_it_and_goes_on(tmp_path, monkeypatch):
    dataset, run = make_dataset(tmp_path / "data", 2), tmp_path / "run"
    flags = (
        "--task_name",
        "sim_transfer_cube_scripted",
        "--dataset_dir",
        str(dataset),
        "--ckpt_dir",
        str(run),
    )
    flags += ("--policy_class", "CNNMLP", "--backbone", "keypoints", "--image_size", "48", "64")
    for steps, more in (("2", ()), ("3", ("--resume",))):
        monkeypatch.setattr(sys, "argv", ["x", *flags, "--num_steps", steps, *more])
        imitate_episodes.main()
    assert read_checkpoint(run / "policy_last.ckpt")["step"] == 3
    with pytest.raises(ValueError, match="CNNMLP predicts one action at a time"):
        monkeypatch.setattr(sys, "argv", ["x", *flags, "--chunk_seconds", "1"])
        imitate_episodes.main()


def test_gradients_of_low_maps_are_whole_in_bf16():
    """Rows of the kernel that meet nothing but padding have the gradient 0."""
    policy = make_cnnmlp().train()  # its maps are one row high
    for _ in range(5):
        waste = [
            torch.full((size,), float("nan")) for size in (409_600, 204_800, 51_200)
        ]  # memory used before
        del waste
        policy.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = policy.loss(make_batch(chunk=1, padded=0))["loss"]
        loss.backward()
        weight = policy.network.down_projs[0][0].weight
        assert weight.grad.isfinite().all() and not weight.grad[:, :, [0, 1, 3, 4]].any()
        assert weight.grad[:, :, 2].any()
