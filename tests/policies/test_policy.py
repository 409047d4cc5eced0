"""Policies: contracts over `POLICIES`, execution of chunks, files of ours and of ACT."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from repository import REFERENCE
from synthetic import SMALL, make_act, make_batch, make_small, make_stats, reference_weight

from actors import Interface
from evaluation.execution.chunks import ChunkedExecution, TemporalEnsemble
from policies import TorchActor
from policies.registry import POLICIES
from policy import choose_cameras, load_policy, make_policy, read_checkpoint, save_policy


def observation(seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    return {"qpos": rng.random(14), "images": {"top": rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)}}


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_policy_is_tested():
    assert set(SMALL) == set(POLICIES)


@pytest.mark.parametrize("name", POLICIES)
class TestContracts:
    def test_losses_are_finite_numbers_and_reach_every_parameter(self, name):
        policy = make_small(name).train()
        losses = policy.loss(make_batch())
        assert "loss" in losses and all(torch.isfinite(x) and x.ndim == 0 for x in losses.values())
        losses["loss"].backward()
        assert all(p.grad is not None for p in policy.parameters() if p.requires_grad)

    def test_act_gives_a_chunk_in_robot_units(self, name):
        """Where the actions that it learned from are other by a factor and a shift, so are those it gives."""
        policy = make_small(name).eval()
        obs = policy.observe([observation(), observation(1)])
        with torch.no_grad():
            actions = policy.act(obs, seeded())
            assert actions.shape == (2, policy.chunk_size, 14)
            for moment in ("mean", "min", "max"):
                getattr(policy, f"action_{moment}").mul_(3).add_(1)
            policy.action_std.mul_(3)
            remembers = policy.config.needs_finish  # actions as they are
            expected = actions if remembers else 3 * actions + 1
            torch.testing.assert_close(policy.act(obs, seeded()), expected)

    def test_the_actions_for_an_observation_do_not_depend_on_its_neighbours(self, name):
        policy = make_small(name).eval()
        with torch.no_grad():
            actions = policy.act(policy.observe([observation(seed) for seed in range(3)]), seeded())
            for place in range(3):
                others = [observation(seed if seed == place else 10 + seed) for seed in range(3)]
                found = policy.act(policy.observe(others), seeded())
                torch.testing.assert_close(found[place], actions[place], rtol=1e-4, atol=1e-5)
                assert not torch.allclose(found, actions)

    def test_a_checkpoint_gives_identical_actions_and_is_plain(self, name, tmp_path):
        policy = make_small(name).eval()
        save_policy(tmp_path / "a.ckpt", policy, step=3)
        loaded = load_policy(tmp_path / "a.ckpt")
        assert torch.load(tmp_path / "a.ckpt", weights_only=True)["step"] == 3
        assert loaded.interface == policy.interface
        with torch.no_grad():
            obs = policy.observe([observation()])
            assert torch.equal(policy.act(obs, seeded()), loaded.act(obs, seeded()))

    def test_acts_alike_in_mixed_precision(self, name):
        policy = make_small(name).eval()
        obs = policy.observe([observation(seed) for seed in range(4)])
        with torch.no_grad():
            exact = policy.act(obs, seeded())
            with torch.autocast("cpu", torch.bfloat16):
                mixed = policy.act(obs, seeded())
        assert mixed.dtype == torch.float32
        assert (mixed - exact).abs().median() < 0.1 * exact.std()  # a neighbour or two may be another

    def test_padding_does_not_matter(self, name):
        policy = make_small(name).eval()
        batch = make_batch()
        changed = {**batch, "actions": batch["actions"].masked_fill(batch["is_pad"][..., None], 9.0)}
        noise = policy.draw_noise(len(batch["qpos"]))
        with torch.no_grad():
            first, second = (policy.loss({**b, **noise}) for b in (batch, changed))
        torch.testing.assert_close(first["loss"], second["loss"])


@pytest.mark.parametrize(
    "config", [{}, {"no_encoder": True}, {"dec_layers": 2}, {"use_vq": True, "vq_dim": 4}]
)
def test_act_overfits_a_batch(config):
    policy = make_act(dropout=0.0, kl_weight=0.01, **config).train()
    batch = make_batch(padded=0)
    optimiser = torch.optim.Adam(policy.parameters(), lr=3e-3)
    before = policy.loss(batch)["l1"].item()
    for _ in range(150):
        optimiser.zero_grad()
        policy.loss(batch)["loss"].backward()
        optimiser.step()
    error = (policy.eval().act(batch) - batch["actions"]).abs().mean()
    assert error < 0.2 * before


def test_act_loss_is_the_mean_over_steps_that_exist():
    policy = make_act(no_encoder=True).eval()
    batch = make_batch()
    with torch.no_grad():
        predicted = policy.normalise_actions(policy.act(batch))
        errors = (predicted - policy.normalise_actions(batch["actions"])).abs().mean(dim=-1)
        assert policy.loss(batch)["loss"].item() == pytest.approx(
            errors[~batch["is_pad"]].mean().item(), rel=1e-4
        )


def test_act_uses_pretrained_backbones_at_their_own_rate_and_rebuilds_them(tmp_path):
    from detr.backbones.backbone import build_backbone

    torch.save(build_backbone("resnet18", "frozen_bn").state_dict(), tmp_path / "weights.pth")
    policy = make_act(backbone="resnet18", backbone_weights=str(tmp_path / "weights.pth"))
    assert len(policy.pretrained_parameters()) == 20  # convolutions of ResNet-18
    save_policy(tmp_path / "a.ckpt", policy)
    (tmp_path / "weights.pth").unlink()  # one file is enough
    loaded = load_policy(tmp_path / "a.ckpt")
    assert loaded.network.backbones[0].norm == "frozen_bn" and loaded.pretrained_parameters()


class CountingPolicy:
    """Predicts, at its n-th call, n * 100 + the place in the chunk; keeps what it was shown."""

    device = torch.device("cpu")

    def __init__(self, chunk: int = 4, horizon: int = 1, executed: int | None = None):
        self.calls, self.chunk_size = 0, chunk
        self.observation_horizon, self.execution_horizon = horizon, executed or chunk
        self.seen, self.drawn = [], []

    def observe(self, observations, device):
        return {"qpos": torch.tensor(observations)}

    def act(self, obs, generator=None):
        self.calls += 1
        self.seen.append(obs["qpos"].flatten().tolist())
        self.drawn.append(torch.rand(1, generator=generator).item())
        return (100.0 * self.calls + torch.arange(self.chunk_size)).view(1, -1, 1).expand(1, -1, 2)


def test_chunks_are_executed_whole():
    policy = CountingPolicy()
    execute = ChunkedExecution(TorchActor(policy))
    values = [execute(t)[0] for t in range(9)]
    assert values == [100, 101, 102, 103, 200, 201, 202, 203, 300] and policy.calls == 3
    execute.reset()
    assert execute(0)[0] == 400


@pytest.mark.parametrize(("policy", "query_every"), [({"executed": 2}, None), ({}, 2)])
def test_a_part_of_each_chunk_is_executed(policy, query_every):
    execute = ChunkedExecution(TorchActor(CountingPolicy(**policy)), query_every)
    assert [execute(t)[0] for t in range(5)] == [100, 101, 200, 201, 300]


def test_chunks_are_asked_for_as_often_as_they_can_be():
    with pytest.raises(ValueError, match="query_every is 5; the policy's chunks have 1 to 4"):
        ChunkedExecution(TorchActor(CountingPolicy()), 5)


@pytest.mark.parametrize("query_every", [1, 2, 3, 4])
def test_the_newest_observations_are_kept(query_every):
    policy = CountingPolicy(horizon=3)
    execute = ChunkedExecution(TorchActor(policy), query_every)
    for episode in range(2):
        for t in range(9):
            execute(10 * episode + t)
        execute.reset()
    asked = range(0, 9, query_every)
    expected = [[10 * e + max(0, t - back) for back in (2, 1, 0)] for e in range(2) for t in asked]
    assert policy.seen == expected


def test_only_observations_that_count_are_looked_at():
    policy = CountingPolicy(chunk=8, horizon=2)
    looked = []
    policy.observe = lambda observations, device: looked.append(observations[0]) or {"qpos": torch.zeros(1)}
    execute = ChunkedExecution(TorchActor(policy))
    for t in range(17):
        execute(t)
    assert looked == [0, 7, 8, 15, 16]


@pytest.mark.parametrize("kind", [ChunkedExecution, TemporalEnsemble])
def test_what_a_policy_draws_depends_on_the_key_alone(kind):
    policy = CountingPolicy(chunk=1)
    execute = kind(TorchActor(policy))
    for key in ([0, 1], [0, 2], [0, 1]):
        execute.reset(key)
        execute(0), execute(0)
    first, second, again = (tuple(policy.drawn[i : i + 2]) for i in (0, 2, 4))
    assert first == again and len({*first, *second}) == 4


@pytest.mark.parametrize("every", [1, 2, 6])
def test_temporal_ensemble_equals_brute_force(every):
    rng = np.random.default_rng(0)
    steps, chunk, decay = 15, 6, 0.3
    table = rng.standard_normal((steps, steps + chunk, 3))  # prediction of step t, made at step s
    made = iter(range(0, steps, every))

    class Table(CountingPolicy):
        def act(self, obs, generator=None):
            s = next(made)
            return torch.from_numpy(table[s, s : s + chunk])[None]

    execute = TemporalEnsemble(TorchActor(Table(chunk=chunk)), decay, query_every=every)
    for t in range(steps):
        asked = [s for s in range(0, t + 1, every) if s + chunk > t]  # oldest first
        predictions = [table[s, t] for s in asked]
        weights = [np.exp(-decay * (s - asked[0])) for s in asked]
        expected = sum(w * p for w, p in zip(weights, predictions, strict=True)) / sum(weights)
        np.testing.assert_allclose(execute(t), expected)


def test_ensemble_counts_zero_predictions():
    """ACT drops a prediction when any of its entries equals zero."""

    class Zero(CountingPolicy):
        def act(self, obs, generator=None):
            self.calls += 1
            return torch.full((1, 4, 2), 0.0 if self.calls == 1 else 1.0)

    execute = TemporalEnsemble(TorchActor(Zero()), decay=0.0)
    assert [execute(t)[0] for t in range(3)] == pytest.approx([0, 1 / 2, 2 / 3])


@pytest.fixture
def upstream_run(tmp_path):
    """A folder as ACT++ leaves it: checkpoint, dataset_stats.pkl, config.pkl; and the reference values."""
    data = np.load(REFERENCE / "act_upstream.npz")
    shapes = [tuple(map(int, s.split(","))) if s else () for s in map(str, data["shapes"])]
    state = {
        f"model.{name}": torch.from_numpy(reference_weight(name, shape))
        for name, shape in zip(map(str, data["names"]), shapes, strict=True)
    }
    state["model.pos_table"] = torch.zeros(1, 22, 64)
    torch.save(state, tmp_path / "policy_best.ckpt")
    stats = {
        "qpos_mean": np.zeros(14, np.float32),
        "qpos_std": np.ones(14, np.float32),
        "action_mean": np.zeros(16, np.float32),
        "action_std": np.ones(16, np.float32),
        "example_qpos": np.zeros((2, 14), np.float32),
    }
    (tmp_path / "dataset_stats.pkl").write_bytes(pickle.dumps(stats))
    (tmp_path / "config.pkl").write_bytes(pickle.dumps({"camera_names": ["top"], "seed": 0}))
    return tmp_path, data


def test_load_policy_reproduces_act_plus_plus(upstream_run):
    folder, data = upstream_run
    policy = load_policy(folder / "policy_best.ckpt")
    assert policy.interface.cameras == ("top",)
    images = (torch.from_numpy(data["image"]) - policy.image_mean / 255) / (policy.image_std / 255)
    with torch.no_grad():
        a_hat, _ = policy.network(torch.from_numpy(data["qpos"]), images)
        info = policy.network.encode(*(torch.from_numpy(data[n]) for n in ("qpos", "actions", "is_pad")))
    mu, logvar = info.chunk(2, dim=-1)
    for found, name in ((a_hat, "a_hat"), (mu, "mu"), (logvar, "logvar")):
        np.testing.assert_allclose(found, data[name], atol=1e-4)


def test_an_upstream_policy_acts_and_saves_as_ours(upstream_run, tmp_path):
    folder, _ = upstream_run
    policy = load_policy(folder / "policy_best.ckpt")
    obs = {"qpos": torch.zeros(1, 14), "images": torch.zeros(1, 1, 96, 128, 3, dtype=torch.uint8)}
    save_policy(tmp_path / "ours.ckpt", policy)
    with torch.no_grad():
        actions = policy.act(obs)
        assert actions.shape == (1, 20, 16)
        assert torch.equal(load_policy(tmp_path / "ours.ckpt").act(obs), actions)


def test_ranges_are_kept_where_a_file_has_them_and_filled_in_where_not(upstream_run):
    folder, _ = upstream_run
    path = folder / "dataset_stats.pkl"
    known = {
        **pickle.loads(path.read_bytes()),
        "action_min": np.full(16, -7.0),
        "action_max": np.full(16, 5.0),
    }
    path.write_bytes(pickle.dumps(known))
    policy = load_policy(folder / "policy_best.ckpt")
    assert (policy.action_min == -7).all() and (policy.action_max == 5).all()
    assert (policy.qpos_min == -3).all() and (policy.qpos_max == 3).all()  # mean 0, deviation 1


def test_a_checkpoint_of_before_there_were_ranges_loads(tmp_path):
    policy = make_act().eval()
    save_policy(tmp_path / "new.ckpt", policy)
    content = read_checkpoint(tmp_path / "new.ckpt")
    ranges = {f"{of}_{end}" for of in ("qpos", "action") for end in ("min", "max")}
    content["weights"] = {name: value for name, value in content["weights"].items() if name not in ranges}
    torch.save({**content, "format_version": 1}, tmp_path / "old.ckpt")
    obs = {"qpos": torch.zeros(1, 14), "images": torch.zeros(1, 1, 48, 64, 3, dtype=torch.uint8)}
    with torch.no_grad():
        assert torch.equal(load_policy(tmp_path / "old.ckpt").act(obs), policy.act(obs))


def test_a_checkpoint_of_a_format_with_other_networks_says_so(tmp_path):
    save_policy(tmp_path / "new.ckpt", make_act())
    content = read_checkpoint(tmp_path / "new.ckpt")
    name = next(name for name, value in content["weights"].items() if value.ndim == 4)
    content["weights"][name] = content["weights"][name][:, :-1]
    torch.save({**content, "format_version": 2}, tmp_path / "old.ckpt")
    with pytest.raises(
        ValueError, match="old.ckpt has format 2, whose networks were different; train it again"
    ):
        load_policy(tmp_path / "old.ckpt")


def test_an_upstream_checkpoint_needs_its_statistics(upstream_run):
    folder, _ = upstream_run
    (folder / "dataset_stats.pkl").unlink()
    with pytest.raises(FileNotFoundError, match="dataset_stats.pkl must lie beside it"):
        load_policy(folder / "policy_best.ckpt")


def test_pickles_that_could_run_code_are_refused(upstream_run, tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("code ran",)

    folder, _ = upstream_run
    (folder / "dataset_stats.pkl").write_bytes(pickle.dumps({"qpos_mean": Evil()}))
    with pytest.raises(ValueError, match="only numpy arrays are allowed"):
        load_policy(folder / "policy_best.ckpt")


def test_missing_and_broken_checkpoints_are_named(tmp_path):
    save_policy(tmp_path / "policy_last.ckpt", make_act())
    with pytest.raises(FileNotFoundError, match=r"policy_best.ckpt; in that folder: policy_last.ckpt"):
        read_checkpoint(tmp_path / "policy_best.ckpt")
    half = (tmp_path / "policy_last.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(half[: len(half) // 2])
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        read_checkpoint(tmp_path / "half.ckpt")


@pytest.mark.parametrize("name", [name for name in POLICIES if POLICIES.config(name).chunk_flag()])
def test_a_chunk_has_a_step_at_least(name):
    config = POLICIES.config(name)
    with pytest.raises(ValueError, match=f"--{config.chunk_flag()}.* 0"):
        make_small(name, **{config.chunk_flag(): 0, **dict.fromkeys(config.within_chunk, 1)})


def test_unknown_policy_class():
    with pytest.raises(ValueError, match="choose from"):
        make_policy("ATC", None, Interface(14, 14, ("top",), (48, 64)), make_stats())


def test_cameras_of_a_checkpoint_of_act_are_told_not_guessed(upstream_run, tmp_path, capsys):
    """ACT++ writes them down; ACT does not, and one backbone for all fits any number of them."""
    folder, _ = upstream_run
    path = folder / "policy_best.ckpt"
    assert choose_cameras(path, None, ("angle", "top")) == ("top",)
    with pytest.raises(ValueError, match="--camera_names is angle; .*policy_best.ckpt sees with top"):
        choose_cameras(path, ("angle",), ())
    with pytest.raises(ValueError, match="--camera_names is angle"):
        load_policy(path, cameras=("angle",))
    (folder / "config.pkl").unlink()
    with pytest.raises(ValueError, match="give --camera_names, in the order .* --camera_names top wrist"):
        choose_cameras(path, None, ("top", "wrist"))
    with pytest.raises(ValueError, match="give --camera_names"):
        load_policy(path)
    assert capsys.readouterr().out == ""
    assert choose_cameras(path, ("angle",), ("top", "wrist")) == ("angle",)
    assert choose_cameras(path, None, ("top",)) == ("top",) and "taken for top" in capsys.readouterr().out
    assert load_policy(path, cameras=("angle",)).interface.cameras == ("angle",)


def test_our_checkpoints_know_their_cameras(tmp_path):
    save_policy(tmp_path / "a.ckpt", make_act(cameras=("top", "wrist")))
    for given in (None, ("wrist", "top")):
        assert choose_cameras(tmp_path / "a.ckpt", given, ("angle",)) == ("top", "wrist")
    for given in (("top",), ("top", "wrist", "angle"), ("left", "right")):
        with pytest.raises(ValueError, match="sees with top wrist, as it says itself"):
            choose_cameras(tmp_path / "a.ckpt", given, ())


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="tells what is mapped, on Linux")
def test_what_a_policy_is_loaded_from_is_read_as_it_is_used_and_let_go(tmp_path, monkeypatch):
    policy, maps, options = make_act(), Path("/proc/self/maps"), []
    save_policy(tmp_path / "policy.ckpt", policy, training={"moments": torch.zeros(1000)})
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **flags: options.append(flags) or load(*args, **flags))
    loaded = load_policy(tmp_path / "policy.ckpt")
    assert options[0]["mmap"] and str(tmp_path) not in maps.read_text()
    assert all(torch.equal(value, policy.state_dict()[name]) for name, value in loaded.state_dict().items())
