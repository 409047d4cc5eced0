"""VINN: the search against brute force, the choice of k, features, what a checkpoint holds, and BYOL."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import make_act, make_batch, make_dataset, make_small, make_stats, make_vinn
from torch import nn

import imitate_episodes
from actors import Interface
from detr.neighbours import MAX_WIDTH, Memory, errors_by_k, nearest, principal_directions, usual_distance
from episodes.folders import list_episodes
from policies.base import Policy
from policies.byol import NUMBERS, changed_view
from policies.configs import VisionConfig
from policies.registry import POLICIES
from policies.vinn import VINNPolicy
from policies.vision import make_backbones
from policy import finish_policies, load_policy, make_policy, read_checkpoint, save_policy
from training.flags import TrainConfig
from training.loop import Run
from utils import Demonstrations, hold_last

LENGTHS = (7, 12, 11)


@pytest.fixture
def frames() -> dict[str, np.ndarray]:
    """Features of two cameras, states and actions of three episodes."""
    rng = np.random.default_rng(0)
    n = sum(LENGTHS)
    features = rng.normal(size=(n, 2, 5)) * [[[3.0], [0.1]]] + 1
    return {"features": features, "states": rng.normal(size=(n, 4)), "actions": rng.normal(size=(n, 3))}


def filled(frames: dict[str, np.ndarray], lengths=LENGTHS) -> Memory:
    memory = Memory()
    tensors = {name: torch.from_numpy(array).float() for name, array in frames.items()}
    memory.fill(**tensors, lengths=torch.tensor(lengths))
    return memory


def brute_force(frames, feature, state, k, state_weight, chunk, lengths=LENGTHS) -> np.ndarray:
    """(chunk, A), by loops over frames and float64."""
    episode = np.repeat(np.arange(len(lengths)), lengths)
    ends = np.cumsum(lengths)[episode]
    spread = [
        np.sqrt(np.mean(np.sum((f - f.mean(0)) ** 2, 1))) for f in frames["features"].transpose(1, 0, 2)
    ]

    def seen(a, b):
        return np.sqrt(sum(np.sum((a[c] - b[c]) ** 2) / spread[c] ** 2 for c in range(len(spread))))

    def felt(a, b):
        return np.sqrt(np.sum((a - b) ** 2))

    def unit(distance, rows):
        others = [
            [distance(r, o) for j, o in enumerate(rows) if episode[j] != episode[i]]
            for i, r in enumerate(rows)
        ]
        return np.mean([min(row) for row in others])

    visual = np.array([seen(feature, f) for f in frames["features"]]) / unit(seen, frames["features"])
    states = np.array([felt(state, s) for s in frames["states"]]) / unit(felt, frames["states"])
    distances = visual + state_weight * states
    order = sorted(range(len(distances)), key=lambda i: distances[i])[:k]
    weights = np.exp(-distances[order])
    chunks = [[frames["actions"][min(i + t, ends[i] - 1)] for t in range(chunk)] for i in order]
    return np.einsum("k,kca->ca", weights / weights.sum(), np.array(chunks))


# --- memory


@pytest.mark.parametrize(("k", "state_weight"), [(1, 0.0), (3, 0.7), (8, 2.0), (30, 0.1), (999, 1.0)])
def test_the_search_equals_brute_force(frames, k, state_weight):
    memory, rng = filled(frames), np.random.default_rng(1)
    features, states = rng.normal(size=(4, 2, 5)), rng.normal(size=(4, 4))
    query = (torch.from_numpy(features).float(), torch.from_numpy(states).float())
    found = memory.predict(*query, k, state_weight, chunk_size=6)
    expected = [brute_force(frames, f, s, k, state_weight, 6) for f, s in zip(features, states, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_neighbours_come_in_order_with_their_own_distances():
    distances, places = nearest(torch.tensor([[3.0, 1.0, 2.0, 9.0]]), 3)
    assert distances.tolist() == [[1, 2, 3]] and places.tolist() == [[1, 2, 0]]


def test_past_the_end_of_its_episode_the_last_action_is_held(frames):
    chunks = filled(frames).chunks(torch.tensor([[5, 18]]), 4)[0]
    actions = torch.from_numpy(frames["actions"]).float()
    assert torch.equal(chunks[0], actions[[5, 6, 6, 6]]) and torch.equal(chunks[1], actions[[18, 18, 18, 18]])


def test_a_frame_in_memory_is_its_own_nearest_and_cameras_weigh_alike(frames):
    memory = filled(frames)
    features, states = (torch.from_numpy(frames[n]).float() for n in ("features", "states"))
    visual, from_states = memory.distances(features, states)
    assert visual.argmin(1).tolist() == from_states.argmin(1).tolist() == list(range(sum(LENGTHS)))
    assert visual.diagonal().max() < 5e-3 and from_states.diagonal().max() == 0
    moved = [features.clone(), features.clone()]
    for camera, size in enumerate((3.0, 0.1)):
        moved[camera][:, camera] += size  # as much for one as for the other, by their spreads
    by_camera = [memory.distances(m, states)[0].diagonal().mean() for m in moved]
    assert by_camera[0] == pytest.approx(by_camera[1].item(), rel=0.2)


def test_the_unit_is_the_nearest_of_another_episode():
    rows, episodes = torch.tensor([[0.0], [0.1], [1.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    assert usual_distance(rows, episodes).item() == pytest.approx((1 + 0.9 + 0.9 + 4.9) / 4)
    assert usual_distance(rows, torch.zeros(4)).item() == 1  # there is no other
    assert usual_distance(torch.zeros(4, 1), episodes) > 0  # all alike


def test_wide_features_are_projected_so_that_distances_stay():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(300, 40, generator=generator) @ torch.randn(40, 2 * MAX_WIDTH, generator=generator)
    rows -= rows.mean(0)
    state = torch.get_rng_state()
    basis = principal_directions(rows, MAX_WIDTH)
    assert torch.equal(torch.get_rng_state(), state) and basis.shape == (2 * MAX_WIDTH, MAX_WIDTH)
    before, after = (
        torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") for x in (rows, rows @ basis)
    )
    torch.testing.assert_close(after, before, rtol=1e-3, atol=0.01)
    assert torch.equal(principal_directions(rows[:, :5], MAX_WIDTH), torch.eye(5))


def test_a_camera_that_never_changes_does_not_matter(frames):
    frames["features"][:, 1] = 3
    memory = filled(frames)
    features, states = (torch.from_numpy(frames[n]).float() for n in ("features", "states"))
    assert all(found.isfinite().all() for found in memory.distances(features, states))


# --- the choice of k


def test_errors_by_k_equal_those_of_each_k_alone(frames):
    memory, rng = filled(frames), np.random.default_rng(2)
    features, states = torch.randn(9, 2, 5), torch.randn(9, 4)
    visual, from_states = memory.distances(features, states)
    targets, scale = torch.from_numpy(rng.normal(size=(9, 6, 3))).float(), torch.tensor([1.0, 2.0, 4.0])
    ks = [1, 2, 5, 30]
    found = errors_by_k(memory, visual + 0.7 * from_states, targets, scale, ks)
    for k, error in zip(ks, found, strict=True):
        predicted = memory.predict(features, states, k, 0.7, 6)
        assert error == pytest.approx(((predicted - targets).abs() / scale).mean().item(), rel=1e-5)


class Told:
    """Demonstrations made of arrays; pictures are black but for a patch as bright as `shown`."""

    def __init__(self, shown: np.ndarray, qpos: np.ndarray, actions: np.ndarray) -> None:
        self.shown, self.qpos, self.actions = shown, list(qpos), list(actions)
        self.lengths = self.ends = np.array([len(a) for a in actions])
        self.paths = [Path(f"{i}") for i in range(len(actions))]

    chunks, taught = Demonstrations.chunks, Demonstrations.taught

    def batch(self, samples, chunk_size):
        images = np.zeros((len(samples), 1, 48, 64, 3), np.uint8)
        for row, (e, t) in enumerate(samples):
            images[row, 0] = self.shown[e][t]
        qpos = np.stack([self.qpos[e][t] for e, t in samples])
        batch = {"images": torch.from_numpy(images), "qpos": torch.from_numpy(qpos)}
        batch["actions"], batch["is_pad"] = self.chunks(samples, chunk_size)
        return batch


def groups(rng: np.random.Generator, episodes: int) -> Told:
    """Four groups of states; within a group the action is noise around the group's own."""
    group = np.tile(np.arange(4), (episodes, 6))
    qpos = np.zeros((episodes, 24, 14), np.float32)
    qpos[..., 0] = 100 * group + rng.normal(size=group.shape)
    actions = np.repeat(group[..., None], 14, axis=2) + rng.normal(size=(episodes, 24, 14)) * 0.5
    return Told(np.zeros((episodes, 24)), qpos, actions.astype(np.float32))


def test_k_is_as_large_as_the_groups_that_belong_together():
    """Eight episodes have six frames of each group each: averaging all 48 is best, more is worse."""
    policy = make_vinn(chunk_size=1, frames=0, k=None, state_weight=None)
    choice = policy.finish(groups(np.random.default_rng(0), 8), groups(np.random.default_rng(1), 8))
    assert int(policy.k) in (32, 48) and float(policy.state_weight) > 0
    assert (choice.k, choice.state_weight) == (int(policy.k), pytest.approx(float(policy.state_weight)))
    least = min(min(errors) for errors in choice.errors.values())
    assert choice.errors[choice.state_weight][choice.ks.index(choice.k)] == least
    assert f"error {least:.4f}" in choice.text() and f"k {choice.k} and" in choice.text()


def test_one_neighbour_is_taken_where_actions_follow_the_state_exactly():
    def line(start: float) -> Told:
        position = start + np.arange(20.0)[None].repeat(2, 0)
        qpos = np.repeat(position[..., None], 14, axis=2).astype(np.float32)
        return Told(np.zeros((2, 20)), qpos, np.sin(3 * qpos))

    policy = make_vinn(chunk_size=1, frames=0, k=None, state_weight=None)
    policy.finish(line(0), line(0))
    assert int(policy.k) in (1, 2) and float(policy.state_weight) > 0  # each frame is there twice


def test_what_flags_say_is_not_chosen():
    data = groups(np.random.default_rng(0), 3)
    policy = make_vinn(chunk_size=1, frames=0, k=None, state_weight=0.25)
    assert list(policy.finish(data, data).errors) == [0.25]
    assert float(policy.state_weight) == 0.25 and int(policy.k) >= 1
    policy = make_vinn(chunk_size=1, frames=0, k=7, state_weight=0.25)
    assert policy.finish(data, None) is None  # needs nothing to choose on
    assert (int(policy.k), float(policy.state_weight)) == (7, 0.25)


def test_a_padded_chunk_holds_its_last_action():
    actions = torch.arange(8.0).view(2, 4, 1)
    is_pad = torch.tensor([[False, False, True, True], [False] * 4])
    assert hold_last(actions, is_pad).flatten().tolist() == [0, 1, 1, 1, 4, 5, 6, 7]


# --- the policy


def test_acting_before_the_memory_is_there_is_refused():
    with pytest.raises(RuntimeError, match="VINN has no memory yet.*--resume"):
        make_vinn(frames=0).act(make_batch())


def test_training_on_forgets(tmp_path):
    policy = make_vinn()
    assert len(policy.memory) == 60
    with pytest.raises(RuntimeError, match="no memory"):
        policy.train().eval().act(make_batch())


@pytest.mark.parametrize("shared", [False, True])
def test_finish_remembers_every_frame_and_a_checkpoint_needs_no_dataset(tmp_path, shared):
    folder = make_dataset(tmp_path / "data", 4, cameras=("top", "wrist"))
    paths = list_episodes(folder)
    train, validation = (Demonstrations(p, ("top", "wrist"), (48, 64)) for p in (paths[:3], paths[3:]))
    policy = make_vinn(("top", "wrist"), frames=0, k=None, state_weight=None, share_backbone=shared)
    for name in ("policy_best.ckpt", "policy_last.ckpt"):
        save_policy(tmp_path / name, policy, step=3)
    checkpoints = [tmp_path / "policy_best.ckpt", tmp_path / "policy_last.ckpt"]
    finish_policies(checkpoints, lambda policy: policy.finish(train, validation))
    for path in paths:
        path.unlink()
    best, last = map(load_policy, checkpoints)
    batch = make_batch(cameras=2)
    with torch.no_grad():
        assert torch.equal(best.act(batch), last.act(batch))
    assert len(best.memory) == sum(train.lengths) and int(best.k) >= 1
    assert torch.equal(best.memory.actions, torch.from_numpy(np.concatenate(train.actions)))
    assert read_checkpoint(checkpoints[0])["step"] == 3


def test_files_of_one_step_are_finished_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(VINNPolicy, "finish", lambda self, *args: calls.append(args))
    paths = [tmp_path / f"{i}.ckpt" for i in range(3)]
    for path, step in zip(paths, (3, 3, 5), strict=True):
        save_policy(path, make_vinn(), step=step)
    finish_policies(paths, lambda policy: policy.finish(None, None))
    assert len(calls) == 2


def test_an_average_of_the_weights_can_be_resumed_after_finish(tmp_path):
    config = TrainConfig(lr=1e-3, ema=0.9, batch_size=4, num_steps=8)
    run = Run(make_vinn(frames=0).train(), config, 8)
    run.update([make_batch()])
    run.save(tmp_path, "last")
    data = groups(np.random.default_rng(0), 2)
    finish_policies([tmp_path / "policy_last.ckpt"], lambda policy: policy.finish(data, data))
    assert len(load_policy(tmp_path / "policy_last.ckpt").memory) == 48
    again = Run(make_vinn(frames=0).train(), config, 8)
    again.restore(tmp_path / "policy_last.ckpt")
    again.policy.train()
    again.update([make_batch()]), run.update([make_batch()])
    assert len(again.result.memory) == 0
    for name, value in run.result.named_parameters():
        assert torch.equal(value, again.result.get_parameter(name)), name


# --- features


def test_features_of_a_trained_policy(tmp_path):
    act = make_act(("top", "wrist")).eval()
    save_policy(tmp_path / "act.ckpt", act)
    flags = {"features": "policy", "features_from": str(tmp_path / "act.ckpt"), "backbone": "resnet50"}
    policy = make_vinn(("wrist",), **flags)
    assert not policy.config.trains and not any(p.requires_grad for p in policy.parameters())
    batch = make_batch()
    with torch.no_grad():
        expected = act.network.backbones[1](act.normalise_images(batch["images"])[:, 0]).flatten(1)
        torch.testing.assert_close(policy.features(batch["images"])[:, 0], expected)
    save_policy(tmp_path / "vinn.ckpt", policy)
    (tmp_path / "act.ckpt").unlink()
    with torch.no_grad():
        assert torch.equal(load_policy(tmp_path / "vinn.ckpt").act(batch), policy.act(batch))
    again = make_vinn(("wrist",), features="policy", features_from=str(tmp_path / "vinn.ckpt"))
    with torch.no_grad():
        torch.testing.assert_close(again.features(batch["images"])[:, 0], expected)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_with_backbones_gives_features(name, tmp_path):
    source = make_small(name, ("top", "wrist"))
    save_policy(tmp_path / "a.ckpt", source)
    policy = make_vinn(("wrist",), features="policy", features_from=str(tmp_path / "a.ckpt"))
    stored = {id(p): p for p in source.parameters()}.values()
    taken = [p for p in policy.nets[0].backbone.parameters() if p.ndim == 4]  # convolutions
    assert taken and all(any(torch.equal(p, q) for q in stored) for p in taken)


@dataclass(frozen=True)
class FifthConfig(VisionConfig):
    """Flags of a policy that somebody adds."""


class FifthPolicy(Policy):
    """What the recipe asks of a new policy, and not more; its parts have names that no other policy has."""

    Config = FifthConfig

    def __init__(self, config, interface, stats):
        super().__init__(config, interface, stats)
        eyes = make_backbones(config, interface.cameras)
        self.eyes = nn.ModuleDict(zip(interface.cameras, eyes, strict=True))

    def backbones(self):
        return list(self.eyes.values())


def test_a_policy_that_is_added_gives_features_too(tmp_path, monkeypatch):
    monkeypatch.setitem(POLICIES._policies, "Fifth", (FifthConfig, f"{__name__}.FifthPolicy"))
    interface = Interface(14, 14, ("top", "wrist"), (48, 64))
    source = make_policy("Fifth", FifthConfig(backbone="keypoints"), interface, make_stats()).eval()
    save_policy(tmp_path / "a.ckpt", source)
    policy = make_vinn(("wrist",), features="policy", features_from=str(tmp_path / "a.ckpt"))
    images = source.normalise_images(make_batch()["images"])[:, 0]
    with torch.no_grad():
        seen = [p.backbones()[place].eval()(images) for p, place in ((source, 1), (policy, 0))]
    assert torch.equal(*seen)
    loaded = load_policy(tmp_path / "a.ckpt")
    assert type(loaded) is FifthPolicy and loaded.config.norm == "batch_norm"


def test_features_of_weights_as_they_are(tmp_path):
    policy = make_vinn(features="backbone", backbone="resnet18", backbone_weights="none", cells=1)
    assert not policy.config.trains
    with torch.no_grad():
        assert policy.features(make_batch()["images"]).shape == (3, 1, 512)


def test_a_map_is_averaged_to_so_many_cells():
    policy = make_vinn(features="backbone", backbone="resnet18", backbone_weights="none", cells=2)
    batch = make_batch()
    with torch.no_grad():
        seen = policy.nets[0].backbone(policy.normalise_images(batch["images"])[:, 0])  # (3, 512, 2, 2)
        torch.testing.assert_close(policy.features(batch["images"])[:, 0], seen.flatten(1))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"features": "policy"}, "--features policy needs --features_from CHECKPOINT"),
        ({"features_from": "a.ckpt"}, "the others have no use for it"),
        ({"features": "policy", "features_from": "nowhere/a.ckpt"}, "no checkpoint nowhere/a.ckpt"),
        ({"k": 0}, "--k is 0; it must be at least 1"),
        ({"state_weight": -1.0}, "--state_weight is -1.0; it must be at least 0"),
        ({"cells": 0}, "--cells is 0"),
        ({"byol_crop": 0.0}, "--byol_crop is 0.0"),
        ({"chunk_size": 0}, "--chunk_size is 0"),
    ],
)
def test_flags_that_make_no_sense_are_refused(config, message):
    with pytest.raises((ValueError, OSError)) as caught:
        make_vinn(**config)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_sources_that_do_not_fit_are_refused(tmp_path):
    act = make_act(("top",))
    save_policy(tmp_path / "act.ckpt", act)
    flags = {"features": "policy", "features_from": str(tmp_path / "act.ckpt")}
    with pytest.raises(ValueError, match="never saw camera 'wrist'; it saw top"):
        make_vinn(("wrist",), **flags)
    content = read_checkpoint(tmp_path / "act.ckpt")
    content["interface"]["image_size"] = (96, 128)
    torch.save(content, tmp_path / "act.ckpt")
    with pytest.raises(ValueError, match=r"image_size \(96, 128\), here it is \(48, 64\)"):
        make_vinn(**flags)
    act.interface = replace(act.interface, augmentations=("crop", "color"))
    save_policy(tmp_path / "act.ckpt", act)
    with pytest.raises(ValueError, match="was trained with crop in --augment, .* train with it here too"):
        make_vinn(**flags)
    torch.save({"model.action_head.weight": torch.zeros(1)}, tmp_path / "act.ckpt")
    with pytest.raises(ValueError, match="has no backbones to take"):
        make_vinn(**flags)


# --- BYOL


def test_views_without_change_are_the_picture_itself():
    images = torch.rand(2, 3, 12, 16)
    numbers = torch.full((2, NUMBERS), 0.5)  # in the middle of every range
    torch.testing.assert_close(changed_view(images, numbers, crop=1.0), images, rtol=1e-4, atol=1e-4)


def test_a_view_is_a_crop_at_the_place_that_its_numbers_say():
    images = torch.rand(1, 3, 40, 60)
    numbers = torch.full((1, NUMBERS), 0.5)
    numbers[0, :3] = torch.tensor([0.0, 1.0, 0.0])  # the smallest, at the upper right
    view = changed_view(images, numbers, crop=0.5)
    expected = torch.nn.functional.interpolate(images[..., :20, 30:], (40, 60), mode="bilinear")
    torch.testing.assert_close(view[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], rtol=1e-3, atol=1e-3)


def test_some_views_are_gray_and_each_sample_is_changed_by_its_own_numbers():
    images = torch.rand(3, 3, 8, 8)
    numbers = torch.rand(3, NUMBERS)
    numbers[:, -1] = torch.tensor([0.0, 0.5, 0.9])
    views = changed_view(images, numbers, 0.8)
    assert (views[0].std(dim=0) < 1e-5).all() and views[1].std(dim=0).mean() > 0.01
    torch.testing.assert_close(changed_view(images[1:2], numbers[1:2], 0.8), views[1:2])
    assert views.min() >= 0 and views.max() <= 1


def test_byol_learns_and_its_target_follows():
    policy = make_vinn(("top", "wrist"), frames=0).train()
    optimiser = torch.optim.Adam([p for p in policy.parameters() if p.requires_grad], lr=1e-3)
    batch, losses = make_batch(8, cameras=2), []
    learner = policy.learners[1]
    target = [p.clone() for p in learner.target_encoder.parameters()]
    for _ in range(20):
        optimiser.zero_grad()
        found = policy.loss(batch)
        found["loss"].backward()
        optimiser.step()
        losses.append(found["loss"].item())
        assert found["loss"].item() == pytest.approx((found["byol_top"] + found["byol_wrist"]).item() / 2)
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    assert all(torch.equal(p, q) for p, q in zip(learner.target_encoder.parameters(), target, strict=True))
    policy.after_step()
    for old, new, online in zip(
        target, learner.target_encoder.parameters(), learner.online_encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(new, 0.99 * old + 0.01 * online)


def test_validation_is_the_same_every_time_and_one_sample_trains():
    policy, batch = make_vinn(frames=0).eval(), make_batch()
    noise = policy.draw_noise(3, torch.Generator().manual_seed(4))
    state = torch.get_rng_state()
    with torch.no_grad():
        first, second = (policy.loss({**batch, **noise})["loss"] for _ in range(2))
    assert first == second and torch.equal(torch.get_rng_state(), state)
    one = {name: tensor[:1] for name, tensor in batch.items()}
    assert policy.train().loss(one)["loss"].isfinite()


# --- the script

FLAGS = ("--backbone", "keypoints", "--image_size", "48", "64", "--chunk_size", "10", "--batch_size", "4")


def call(dataset: Path, run: Path, *flags: str, monkeypatch: pytest.MonkeyPatch) -> None:
    places = (
        "--task_name",
        "sim_transfer_cube_scripted",
        "--dataset_dir",
        str(dataset),
        "--ckpt_dir",
        str(run),
    )
    monkeypatch.setattr(sys, "argv", ["x", *places, "--policy_class", "VINN", *FLAGS, *flags])
    imitate_episodes.main()


def test_a_run_ends_with_a_memory_also_when_it_was_killed_at_the_end(tmp_path, monkeypatch, capsys):
    dataset, run = make_dataset(tmp_path / "data", 3), tmp_path / "run"
    with monkeypatch.context() as killed:
        killed.setattr(VINNPolicy, "finish", lambda *args: sys.exit(9))
        with pytest.raises(SystemExit):
            call(dataset, run, "--num_steps", "2", monkeypatch=monkeypatch)
    with pytest.raises(RuntimeError, match="no memory"):
        load_policy(run / "policy_best.ckpt").act(make_batch())
    call(dataset, run, "--num_steps", "2", "--resume", monkeypatch=monkeypatch)
    assert "closest to what was demonstrated" in capsys.readouterr().out
    for name in ("policy_best.ckpt", "policy_last.ckpt"):
        policy = load_policy(run / name)
        assert len(policy.memory) == 60 and policy.act(make_batch()).shape == (3, 10, 14)
    assert (run / "k_select.png").is_file() and (run / "losses.png").is_file()
    call(dataset, run, "--num_steps", "3", "--resume", monkeypatch=monkeypatch)  # and trains on from there
    assert read_checkpoint(run / "policy_last.ckpt")["step"] == 3


def test_features_that_need_no_training_take_no_steps(tmp_path, monkeypatch, capsys):
    dataset, run = make_dataset(tmp_path / "data", 3), tmp_path / "run"
    flags = ("--features", "backbone", "--backbone_weights", "none")
    call(dataset, run, *flags, monkeypatch=monkeypatch)
    assert "trained 0 steps" in capsys.readouterr().out
    assert len(load_policy(run / "policy_best.ckpt").memory) == 60
    with pytest.raises(ValueError, match="holds a run already"):
        call(dataset, run, *flags, monkeypatch=monkeypatch)
    call(dataset, run, *flags, "--resume", monkeypatch=monkeypatch)
