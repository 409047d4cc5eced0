import os
import subprocess
import sys

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from backbone_names import needs_timm
from pairs import pairs
from repository import ROOT
from synthetic import SMALL, can_look_back, make_dataset, make_episode, make_small
from torch import nn

import visualize_features
from detr import hooks
from detr.act.transformer import Attention
from detr.backbones.backbone import build_backbone
from policy import save_policy
from viewers.features.inspector import Inspector
from viewers.features.plots import maps_plot, overlay, signed_overlay

CAMERAS = ("top", "wrist")
BACKBONES = [
    "keypoints",
    "keypoints_wide",
    "resnet18",
    "residual_attention_18",
]


def small(name, backbone="resnet18", **config):
    return make_small(name, CAMERAS, backbone=backbone, backbone_weights="none", **config)


def episodes(count=2):
    rng = np.random.default_rng(0)
    made = [make_episode(rng, cameras=CAMERAS) for _ in range(count)]
    return made if count > 1 else made[0]


# --- attention


def test_attention_weights_are_those_of_torch():
    torch.manual_seed(0)
    ours, theirs = Attention(24, 4), nn.MultiheadAttention(24, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    query, key = torch.randn(2, 5, 24), torch.randn(2, 9, 24)
    _, wanted = theirs(query, key, key, need_weights=True, average_attn_weights=False)
    torch.testing.assert_close(ours.weights(query, key), wanted)
    _, wanted = theirs(query, query, query, need_weights=True, average_attn_weights=False)
    torch.testing.assert_close(ours.weights(query, query), wanted)


def test_attention_of_a_policy_is_what_its_decoder_computes():
    """By brute force: each head's queries and keys, one after the other; and the weights give the output."""
    policy = small("ACT", dec_layers=2)
    inspector, kept = Inspector(policy), {}
    layer = policy.network.transformer.decoder.layers[-1].multihead_attn
    layer.register_forward_hook(lambda _module, inputs, output: kept.update(inputs=inputs, output=output))
    look = inspector.look(inspector.observe(episodes(1), 3))
    query, key, value = (x[0] for x in kept["inputs"])
    dim, heads = query.shape[1], layer.heads
    wq, wk, wv = layer.in_proj_weight.chunk(3)
    bq, bk, bv = layer.in_proj_bias.chunk(3)
    q, k, v = query @ wq.T + bq, key @ wk.T + bk, value @ wv.T + bv
    mean, mixed = torch.zeros(len(q), len(k)), torch.zeros_like(q)
    for head in range(heads):
        part = slice(head * dim // heads, (head + 1) * dim // heads)
        for i in range(len(q)):
            scores = torch.stack([q[i, part] @ k[j, part] for j in range(len(k))]) / (dim // heads) ** 0.5
            weights = scores.exp() / scores.exp().sum()
            mean[i] += weights / heads
            mixed[i, part] = weights @ v[:, part]
    torch.testing.assert_close(layer.out_proj(mixed), kept["output"][0])
    cells = look.cameras["top"].attention.shape[1:]
    assert cells == (2, 2)
    np.testing.assert_allclose(look.shares["latent"], mean[:, 0], atol=1e-6)
    np.testing.assert_allclose(look.shares["state"], mean[:, 1], atol=1e-6)
    np.testing.assert_allclose(look.cameras["top"].attention.reshape(-1, 4), mean[:, 2:6], atol=1e-6)
    np.testing.assert_allclose(look.cameras["wrist"].attention.reshape(-1, 4), mean[:, 6:], atol=1e-6)


# --- what it sees


@pytest.mark.parametrize(
    ("name", "backbone"),
    [*pairs(list(SMALL), BACKBONES), pytest.param("ACT", "timm:test_resnet", marks=needs_timm)],
)
def test_every_policy_with_every_backbone(name, backbone, tmp_path):
    more = {"observation_horizon": 2} if can_look_back(name) else {}
    policy = small(name, backbone, **more)
    inspector = Inspector(policy)
    one, other = (inspector.observe(episode, 3) for episode in episodes())
    look, saliency = inspector.look(one), inspector.saliency(one, copies=2)
    np.testing.assert_allclose(look.chunk, policy.act(one, inspector._generator())[0], atol=1e-5)
    assert list(look.cameras) == list(saliency.pixels) == list(CAMERAS)
    for camera, seen in look.cameras.items():
        assert seen.image.shape == (48, 64, 3) and seen.image.max() > 200  # the bright square
        sizes = [stage.shape[1:] for label, stage in seen.stages.items() if not label.endswith("mask")]
        assert len(sizes) > 1 and sizes == sorted(set(sizes), reverse=True)
        assert saliency.pixels[camera].shape == (48, 64) and saliency.pixels[camera].max() > 0
        assert np.isfinite(saliency.pixels[camera]).all()
    masks = [label for label in look.cameras["top"].stages if label.endswith("mask")]
    assert len(masks) == (3 if "attention" in backbone else 0)
    has_attention, has_places = bool(look.shares), look.cameras["top"].attention is not None
    assert (has_attention, has_places) == (
        name == "ACT",
        name == "ACT" and not backbone.startswith("keypoints"),
    )
    if has_attention:
        np.testing.assert_allclose(sum(look.shares.values()), 1, atol=1e-5)
    has_keypoints = look.cameras["top"].keypoints is not None
    assert (
        has_keypoints == bool(saliency.keypoints) == (backbone.startswith("keypoints") or can_look_back(name))
    )
    notes = " ".join(inspector.notes)
    assert ("keypoints: none" in notes) != has_keypoints and ("attention: none" in notes) != has_attention
    comparison = inspector.compare(one, other, rows=0)
    assert list(comparison.forward) == ["state", *CAMERAS] and not comparison.patches
    maps_plot(tmp_path / "m.png", look.cameras["top"], "maps")
    assert cv2.imread(str(tmp_path / "m.png")).std() > 1


@pytest.mark.parametrize("name", SMALL)
def test_a_shared_backbone_shows_each_camera_its_own(name):
    """What is shown of a camera is what the backbone makes of that camera's newest image alone."""
    more = {"observation_horizon": 2} if can_look_back(name) else {}
    policy = small(name, "keypoints", share_backbone=True, **more)
    inspector = Inspector(policy)
    assert len(inspector._backbones) == 1
    episode = episodes(1)
    episode.images["wrist"]._encoded = episode.images["wrist"]._encoded[::-1]
    obs = inspector.observe(episode, 7)
    look = inspector.look(obs)
    newest = obs["images"][:, -1] if can_look_back(name) else obs["images"]
    for i, camera in enumerate(CAMERAS):
        wanted = {}
        last = inspector._backbones[0].convs[-1]
        hook = last.register_forward_hook(lambda _m, _i, out, wanted=wanted: wanted.update(out=out))
        inspector._backbones[0](policy.normalise_images(newest[:, i]))
        hook.remove()
        np.testing.assert_allclose(look.cameras[camera].stages["convs.10"], wanted["out"][0], atol=1e-5)
    assert set(inspector.saliency(obs, copies=2).keypoints) == set(CAMERAS)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet18", ["relu", "layer1", "layer2", "layer3", "layer4"]),
        ("resnet50", ["relu", "layer1", "layer2", "layer3", "layer4"]),  # whose blocks halve in their middle
        ("robomimic_resnet18", ["nets.2", "nets.4", "nets.5", "nets.6", "nets.7"]),
        ("keypoints", ["convs.2", "convs.10"]),
        ("residual_attention_18", ["stem.2", "stages.0", "stages.1", "stages.2", ""]),
    ],
)
def test_stages_are_found_in_any_backbone(name, stages):
    maps = hooks.find_maps(build_backbone(name).eval(), torch.zeros(1, 3, 128, 192))
    assert hooks.last_of_each_size(maps) == stages


def test_a_backbone_of_a_single_map_shows_that():
    maps = hooks.find_maps(nn.Sequential(nn.Conv2d(3, 4, 8, 8)), torch.zeros(1, 3, 64, 96))
    assert hooks.last_of_each_size(maps) == ["0"]


def test_stages_by_name():
    policy = small("CNNMLP")
    look = Inspector(policy, ["layer1.0.conv1", "layer4"])
    assert list(look.look(look.observe(episodes(1), 0)).cameras["top"].stages) == ["layer1.0.conv1", "layer4"]
    assert not any("one size" in note for note in Inspector(policy, ["layer4"]).notes)
    with pytest.raises(ValueError, match="unknown stage 'layer5'; did you mean 'layer4'"):
        Inspector(policy, ["layer5"])


@pytest.mark.parametrize(("name", "backbone"), [("ACT", "keypoints"), ("Diffusion", "resnet18")])
def test_keypoints_are_those_of_the_network(name, backbone):
    """Ours are in [-1, 1] over the image, robomimic's over the centres of the map's outermost cells."""
    inspector, given = Inspector(small(name, backbone)), []
    inspector._softmaxes[0].register_forward_hook(lambda _m, _i, out: given.append(out))
    seen = inspector.look(inspector.observe(episodes(1), 3)).cameras["top"]
    size = np.array([64, 48])
    edge = size - 1 if backbone == "keypoints" else size / 2 - 1
    start = np.zeros(2) if backbone == "keypoints" else size / 4 - 0.5
    points = given[0][0].numpy()
    wanted = (
        (points + 1) / 2 * size - 0.5 if backbone == "keypoints" else start + (points + 1) / 2 * (size / 2)
    )
    np.testing.assert_allclose(seen.keypoints, wanted, atol=1e-3)
    assert edge.shape == (2,) and (seen.spread > 0).all()


# --- what its actions hang on


@pytest.fixture
def looks_at_a_patch(monkeypatch):
    """A policy whose every action is the mean of a patch of the wrist camera's image, and of nothing else."""
    inspector = Inspector(small("CNNMLP", "keypoints"))

    def act(obs, generator=None):
        return obs["images"][:, 1, 16:24, 40:48].float().mean(dim=(1, 2, 3))[:, None, None].expand(-1, 1, 14)

    monkeypatch.setattr(inspector.policy, "act", act)
    inspector._softmaxes = []
    return inspector


def test_gradients_and_occlusion_find_what_an_action_hangs_on(looks_at_a_patch):
    obs = looks_at_a_patch.observe(episodes(1), 3)
    obs["images"][:, 1, 16:24, 40:48] = 255
    saliency = looks_at_a_patch.saliency(obs)
    assert not saliency.pixels["top"].any()
    inside = np.zeros((48, 64), bool)
    inside[16:24, 40:48] = True
    assert (saliency.pixels["wrist"] > 0).tolist() == inside.tolist()
    occlusion = looks_at_a_patch.occlusion(obs, rows=6)
    assert not occlusion["top"].any() and occlusion["wrist"].shape == (6, 8)
    assert np.unravel_index(occlusion["wrist"].argmax(), (6, 8)) == (2, 5)
    hidden = obs["images"][0, 1].float().mean(dim=(0, 1)).round()  # per colour
    moved = (255 - hidden.mean()) / looks_at_a_patch.policy.action_std
    assert occlusion["wrist"].max() == pytest.approx(moved.square().mean().sqrt().item(), rel=1e-4)


def test_the_patch_that_decides_between_two_frames_is_found(looks_at_a_patch):
    one, other = (looks_at_a_patch.observe(episode, 3) for episode in episodes())
    one["images"][:, 1, 16:24, 40:48], other["images"][:, 1, 16:24, 40:48] = 0, 200
    found = looks_at_a_patch.compare(one, other, rows=6)
    for parts in (found.forward, found.backward):
        assert parts == pytest.approx({"state": 0, "top": 0, "wrist": 1}, abs=1e-6)
    for moved in found.patches["wrist"]:
        assert moved[2, 5] == pytest.approx(1) and moved.max() == moved[2, 5] and moved[0, 0] == 0
    assert not np.any(found.patches["top"])
    assert "B's image of wrist 100%" in visualize_features.describe(found)
    same = looks_at_a_patch.compare(one, one, rows=6)
    assert same.distance == 0 and not same.patches
    assert visualize_features.describe(same) == "A and B get the same chunk of actions"


def test_influence_of_keypoints_is_the_length_of_their_gradient():
    policy = small("ACT", "keypoints")
    inspector = Inspector(policy)
    obs, direction = inspector.observe(episodes(1), 3), np.zeros((10, 14))
    direction[4, 2] = 1
    one = inspector.saliency(obs, direction, copies=1)
    kept = []
    keep = {0: (inspector._softmaxes[1], hooks.with_gradient)}
    noise = torch.randn(1, *obs["images"].shape[1:], generator=torch.Generator().manual_seed(0))
    images = (obs["images"] + 12 * noise).requires_grad_()
    with hooks.recording(keep) as calls:
        kept = calls
        (policy.act({**obs, "images": images})[0, 4, 2] / policy.action_std[2]).backward()
    np.testing.assert_allclose(one.keypoints["wrist"], kept[0][0].grad[0].norm(dim=1), rtol=1e-4)
    np.testing.assert_allclose(one.pixels["wrist"], images.grad[0, 1].norm(dim=2), rtol=1e-4, atol=1e-9)


def test_a_policy_that_draws_is_asked_with_the_same_noise():
    inspector = Inspector(small("Diffusion", "keypoints"))
    obs = inspector.observe(episodes(1), 3)
    twice = inspector.predict({name: torch.cat([rows, rows]) for name, rows in obs.items()})
    torch.testing.assert_close(twice[0], twice[1])
    assert max(map(np.max, inspector.occlusion(obs, 2).values())) < 1  # not what another noise would do


# --- pictures


def test_overlays():
    image = np.full((40, 60, 3), 100, np.uint8)
    heat = np.zeros((4, 6))
    heat[1, 2] = 5
    made = overlay(image, heat)
    assert made.shape == image.shape and (made[-1, -1] == 100).all()
    red, _, blue = made[14, 24].astype(int)
    assert red > 100 and blue < 40
    signed = signed_overlay(image, np.array([[1.0, -1.0]]))
    assert signed[0, 0, 0] > signed[0, 0, 2] and signed[0, -1, 2] > signed[0, -1, 0]
    assert (overlay(image, np.zeros((2, 2)), 0, 0) == 100).all()


def run_script(*flags):
    command = [sys.executable, str(ROOT / "visualize_features.py"), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    save_policy(folder / "run" / "p.ckpt", _in(folder / "run", small("ACT")))
    return make_dataset(folder / "data", 3, cameras=CAMERAS), folder / "run" / "p.ckpt"


def _in(folder, policy):
    folder.mkdir()
    return policy


def test_the_script(made):
    data, ckpt = made
    flags = ("--ckpt", ckpt, "--dataset_dir", data, "--episode_idx", 1, "--patches", 3)
    done = run_script(*flags, "--step", 7, "--compare_episode", 2, "--every", 10, "--chunk_steps", 0, 9)
    assert done.returncode == 0, done.stderr
    folder = ckpt.parent / "features"
    endings = ("look", "maps_top", "maps_wrist", "attention", "actions")
    wanted = {f"episode_1_step_7_{ending}.png" for ending in endings}
    pair = "episode_1_step_7_vs_episode_2_step_7"
    wanted |= {f"{pair}.png", f"{pair}_actions.png", "episode_1_features.mp4"}
    assert set(os.listdir(folder)) == wanted | {"index.html"}
    assert all(str(folder / name) in done.stdout for name in wanted)
    assert "keypoints: none" in done.stdout and "of the way from A's to B's" in done.stdout
    for name in wanted - {"episode_1_features.mp4"}:
        picture = cv2.imread(str(folder / name))
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100, name
    page = (folder / "index.html").read_text()
    assert all(f'src="{name}"' in page for name in wanted)
    assert "when a patch is covered" in page and "Two moments" in page
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(folder / "episode_1_features.mp4"))
    assert frames == 3 and seconds == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--episode_idx", 9), "has no episode_9.hdf5; it has 3 episodes, episode_0.hdf5 to episode_2.hdf5"),
        (("--step", 30), "step 30 is not in episode 0, which has steps 0 to 29"),
        (("--compare_step", -1), "--compare_step is -1; it must be at least 0"),
        (("--chunk_steps", 10), "--chunk_steps has 10; the policy's chunks have actions 0 to 9"),
        (("--stages", "layer9"), "unknown stage 'layer9'; did you mean"),
        (("--patches", -1), "--patches is -1; it must be 0 to 1000"),
        (("--every", 0), "--every is 0; it must be at least 1"),
    ],
)
def test_bad_flags_end_in_one_line_before_anything_is_written(made, tmp_path, flags, message, monkeypatch):
    data, ckpt = made
    argv = ["--ckpt", ckpt, "--dataset_dir", data, "--output_dir", tmp_path / "out", *flags]
    monkeypatch.setattr("sys.argv", ["visualize_features.py", *map(str, argv)])
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        visualize_features.main()
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_episode_of_another_robot_is_refused(made, tmp_path, monkeypatch):
    make_dataset(tmp_path / "d", 1, cameras=CAMERAS, dim=7)
    argv = ["--ckpt", made[1], "--dataset_dir", tmp_path / "d", "--output_dir", tmp_path / "out"]
    monkeypatch.setattr("sys.argv", ["visualize_features.py", *map(str, argv)])
    with pytest.raises(ValueError, match="the policy's states have 14 entries, the episode's 7"):
        visualize_features.main()
    assert not (tmp_path / "out").exists()
    assert run_script("--dataset_dir", tmp_path).stderr.startswith("error: --ckpt is missing")
