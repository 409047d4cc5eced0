"""The loss of places: what it asks of the backbones, and that nothing of it is left in the policy."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from synthetic import make_batch, make_episode, make_small

from episodes import episode_path, list_episodes
from policy import load_policy, read_checkpoint
from training.flags import TrainConfig
from training.imitation import place_loss
from training.loop import Feed, Run, fit
from training.places import PlaceLoss, varying
from utils import STILL, Demonstrations, start_places

PLACES = np.float32([[0.1, 0.5, 0.05], [0.3, 0.4, 0.05], [0.2, 0.7, 0.05], [0, 0, 0]])
PLACES[3] = np.nan


def batch_of(places=PLACES[:3], cameras: int = 1):
    return {**make_batch(len(places), cameras), "places": torch.from_numpy(places)}


def heard(policy, places: PlaceLoss, batch) -> torch.Tensor:
    """What the loss says after the policy's own of the same batch."""
    policy.loss(batch)
    return places(batch["places"])


def test_only_places_that_differ_between_episodes_count():
    assert varying(PLACES).tolist() == [True, True, False]
    assert not varying(PLACES[3:]).any()


def test_it_is_the_mean_error_of_a_linear_map_of_what_the_backbone_gives():
    policy = make_small("ACT").train()
    places, batch = PlaceLoss(policy, PLACES, 1.0), batch_of()
    places.listen(policy)
    outputs = []
    policy.backbones()[0].register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    error = heard(policy, places, batch)
    known = PLACES[:3, :2]
    wanted = (known - known.mean(axis=0)) / known.std(axis=0, ddof=1)
    given = places.head(outputs[0].flatten(1)).detach().numpy()
    assert error.item() == pytest.approx(np.abs(given - wanted).mean(), rel=1e-5)


def test_unknown_places_count_for_nothing_and_teach_nothing():
    policy = make_small("ACT").train()
    places = PlaceLoss(policy, PLACES, 1.0)
    places.listen(policy)
    errors = []
    for unknown in range(3):
        torch.manual_seed(0)
        some = PLACES[:3].copy()
        some[unknown] = np.nan
        errors.append(heard(policy, places, batch_of(some)).item())
    torch.manual_seed(0)
    assert heard(policy, places, batch_of()).item() == pytest.approx(np.mean(errors), rel=1e-5)
    nothing = heard(policy, places, batch_of(np.full_like(PLACES[:3], np.nan)))
    nothing.backward()
    assert nothing.item() == 0
    assert not any(p.grad.any() for p in policy.backbones()[0].parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("name", "cameras", "flags"),
    [
        ("ACT", ("top",), {}),
        ("ACT", ("top", "angle"), {}),
        ("ACT", ("top", "angle"), {"share_backbone": True}),
        ("ACT", ("top",), {"backbone": "resnet18", "backbone_weights": "none"}),
        ("CNNMLP", ("top", "angle"), {"share_backbone": True}),
        ("Diffusion", ("top", "angle"), {}),
        ("Flow", ("top", "angle"), {"observation_horizon": 2}),
    ],
)
def test_it_teaches_the_backbones_of_every_policy(name, cameras, flags):
    policy = make_small(name, cameras, **flags).train()
    places = PlaceLoss(policy, PLACES, 1.0)
    places.listen(policy)
    batch = batch_of(cameras=len(cameras))
    if policy.observation_horizon > 1:
        batch |= {key: torch.stack([batch[key]] * 2, dim=1) for key in ("qpos", "images")}
    heard(policy, places, batch).backward()
    for backbone in policy.backbones():
        assert any(p.grad is not None and p.grad.any() for p in backbone.parameters())


def test_of_several_observations_only_the_newest_counts():
    policy = make_small("Flow", observation_horizon=2).eval()  # in training, batch norm mixes observations
    places = PlaceLoss(policy, PLACES, 1.0)
    places.listen(policy)
    policy.backbones()[0].training, policy.backbones()[0].NOISE = True, 0
    batch = batch_of()
    newest = batch["images"]
    batch["qpos"] = torch.stack([batch["qpos"]] * 2, dim=1)
    errors = []
    for older in (newest, torch.zeros_like(newest)):
        batch["images"] = torch.stack([older, newest], dim=1)
        errors.append(heard(policy, places, batch).item())
    assert errors[0] == pytest.approx(errors[1], rel=1e-5)


def test_it_is_no_part_of_the_policy_and_a_run_goes_on_with_it_bit_for_bit(tmp_path):
    def trained(folder, steps: int, resume: bool = False, places: bool = True):
        folder.mkdir(exist_ok=True)
        policy = make_small("ACT").train()
        torch.manual_seed(1)
        config = TrainConfig(lr=1e-3, amp="no", validate_every=100)
        run = Run(policy, config, steps, None, PlaceLoss(policy, PLACES, 1.0) if places else None)
        if resume:
            run.restore(folder / "policy_last.ckpt")
        source = Feed(
            lambda steps: (batch_of() for _ in steps), {"all": [batch_of()]}, lambda _: ["a sample"]
        )
        fit(run, source, folder)
        return run

    whole = trained(tmp_path / "whole", 8)
    trained(tmp_path / "parts", 4)
    resumed = trained(tmp_path / "parts", 8, resume=True)
    without = trained(tmp_path / "without", 4, places=False)
    for one, other in ((whole.policy, resumed.policy), (whole.places, resumed.places)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    content = read_checkpoint(tmp_path / "whole" / "policy_last.ckpt")
    assert content["weights"].keys() == without.policy.state_dict().keys()
    assert "val/place" not in content["training"]["history"][-1]
    assert content["training"]["history"][-1]["train/place"] > 0
    load_policy(tmp_path / "whole" / "policy_last.ckpt")
    with pytest.raises(ValueError, match="was with --place_loss"):
        trained(tmp_path / "parts", 12, resume=True, places=False)
    with pytest.raises(ValueError, match="was without --place_loss"):
        trained(tmp_path / "without", 12, resume=True)


def test_it_learns_a_place_that_the_picture_shows():
    torch.manual_seed(0)
    policy = make_small("ACT").train()
    corners = torch.tensor([[8, 8], [8, 48], [32, 8], [32, 48], [20, 28], [12, 40]])
    images = torch.zeros(len(corners), 1, 48, 64, 3, dtype=torch.uint8)
    for image, (y, x) in zip(images, corners.tolist(), strict=True):
        image[0, y : y + 8, x : x + 8, 0] = 255
    shown = corners.numpy().astype(np.float32) / 100
    places = PlaceLoss(policy, shown, 1.0)
    run = Run(policy, TrainConfig(lr=2e-3, amp="no"), 150, None, places)
    batch = {**make_batch(len(corners)), "images": images, "places": torch.from_numpy(shown)}
    errors = [run.update([batch])["place"].item() for _ in range(150)]
    assert np.mean(errors[-10:]) < 0.3 * np.mean(errors[:10])


def test_what_cannot_be_asked_is_one_line(tmp_path):
    policy = make_small("ACT")
    with pytest.raises(ValueError, match="--place_loss is 1; the episodes do not tell where"):
        PlaceLoss(policy, PLACES[3:], 1.0)
    with pytest.raises(ValueError, match="--place_loss is 0.5; the episodes do not tell where"):
        PlaceLoss(policy, np.ones((4, 3), np.float32), 0.5)
    policy.backbones = list
    for without in (policy, make_small("VINN", frames=0)):
        with pytest.raises(ValueError, match="has no backbones that learn to act; leave it out"):
            PlaceLoss(without, PLACES, 1.0)


def test_where_episodes_do_not_tell_a_line_says_so_and_training_goes_on():
    policy, said = make_small("ACT"), []
    known, unknown = (
        SimpleNamespace(train=SimpleNamespace(places=places)) for places in (PLACES, PLACES[3:])
    )
    assert place_loss(0.0, policy, unknown, said.append) is None and not said
    assert place_loss(1.0, policy, unknown, said.append) is None
    assert len(said) == 1 and said[0].startswith("note: --place_loss is left out: the episodes do not tell")
    assert place_loss(0.5, policy, known, said.append).weight == 0.5 and len(said) == 1
    with pytest.raises(ValueError, match="--places_only teaches by --place_loss alone, and the episodes do"):
        place_loss(1.0, policy, unknown, said.append, is_needed=True)


def test_batches_tell_the_start_places_until_objects_may_be_moved(tmp_path):
    poses, rng = {0: np.arange(7.0), 2: np.ones(7)}, np.random.default_rng(0)
    for number in range(3):
        episode = replace(make_episode(rng, steps=20), env_state=poses.get(number))
        episode.save(episode_path(tmp_path, number))
    data = Demonstrations(list_episodes(tmp_path), ("top",), (48, 64))
    assert start_places(data.episodes[1:2]).shape == (1, 0)
    for number in range(3):
        places = data.batch([(number, 0), (number, 3), (number, int(20 * STILL))], 4)["places"]
        if number == 1:
            assert places.isnan().all()
        else:
            assert np.allclose(places[:2], np.float32(poses[number]))
            assert places[2].isnan().all()
