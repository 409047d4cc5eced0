"""The prior over an ACT policy's codes: trained by one command, then used."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from repository import ROOT
from synthetic import SMALL_FLAGS, make_dataset, make_episode

import imitate_episodes
import train_latent_model
from detr import LatentPrior
from episodes import episode_path
from policy import load_policy, read_checkpoint
from training.flags import LatentModelConfig
from training.latent_model import encode, fit_prior, frequencies_loss, load_episodes


def train_run(folder: Path, datasets: list[Path], *more: str) -> Path:
    """The folder of a small policy with codes, trained for four steps."""
    places = ["--task_name", "sim_transfer_cube_scripted", "--ckpt_dir", str(folder)]
    where = ["--dataset_dir", *map(str, datasets)]
    codes = ["--use_vq", "--vq_class", "3", "--vq_dim", "4", "--num_steps", "4"]
    before, sys.argv = sys.argv, ["imitate_episodes.py", *places, *where, *SMALL_FLAGS, *codes, *more]
    try:
        imitate_episodes.main()
    finally:
        sys.argv = before
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A folder with a trained policy, whose codes must tell four episodes apart."""
    folder = tmp_path_factory.mktemp("vq")
    return train_run(folder / "run", [make_dataset(folder / "data", 4)])


def test_one_command_gives_a_policy_its_prior(run, tmp_path):
    checkpoint = run / "policy_last.ckpt"
    before = read_checkpoint(checkpoint)
    assert not before["weights"]["has_prior"]
    flags = [
        "--ckpt_dir",
        str(run),
        "--ckpt_name",
        checkpoint.name,
        "--num_steps",
        "30",
        "--batch_size",
        "16",
    ]
    command = [sys.executable, str(ROOT / "train_latent_model.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nats per code; by the frequencies of the values alone" in done.stdout
    assert (run / "latent_prior.png").stat().st_size > 1000
    after = read_checkpoint(checkpoint)
    assert after["weights"]["has_prior"] and after["step"] == before["step"] == 4
    network = {name for name in before["weights"] if name.startswith("network.")}
    assert all(torch.equal(before["weights"][name], after["weights"][name]) for name in network)
    assert any(
        not torch.equal(before["weights"][name], after["weights"][name])
        for name in before["weights"]
        if name.startswith("prior.")
    )
    policy = load_policy(checkpoint)
    obs = {"qpos": torch.zeros(1, 14), "images": torch.zeros(1, 1, 48, 64, 3, dtype=torch.uint8)}
    with torch.inference_mode():
        chunks = {seed: policy.act(obs, torch.Generator().manual_seed(seed)) for seed in range(8)}
        again = policy.act(obs, torch.Generator().manual_seed(0))
    assert torch.equal(chunks[0], again)
    assert any(not torch.equal(chunks[0], chunks[seed]) for seed in chunks), "codes are drawn"
    resumed = ["--config", str(run / "config.json"), "--ckpt_dir", str(run), "--resume", "--num_steps", "6"]
    command = [sys.executable, str(ROOT / "imitate_episodes.py"), *resumed]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not read_checkpoint(checkpoint)["weights"]["has_prior"], "it belongs to other weights"


def test_actions_that_teach_nothing_make_no_codes(tmp_path):
    rng = np.random.default_rng(0)
    shown, many = tmp_path / "shown", tmp_path / "many"
    for path in [episode_path(folder, number) for folder in (shown, many) for number in range(3)]:
        make_episode(rng, env_state=rng.normal(size=7)).save(path)
    silent = ("--place_loss", "1", "--places_only", str(shown))
    folder = train_run(tmp_path / "run", [shown, many], *silent)
    config, policy = LatentModelConfig(ckpt_dir=str(folder)), load_policy(folder / "policy_last.ckpt")
    train, validation = load_episodes(config, policy)
    assert {path.parent for path in validation.paths} == {many}, "as the policy was validated"
    pairs = zip(train.paths, train.lengths, strict=True)
    steps = sum(length for path, length in pairs if path.parent == many)
    assert len(encode(policy, train, batch_size=16)) == steps
    other = dataclasses.replace(config, dataset_dir=(str(shown),))
    assert all(data.ends.all() for data in load_episodes(other, policy)), "of other folders, all teach"


def test_a_policy_without_codes_is_refused(run, tmp_path, monkeypatch):
    from synthetic import make_act

    from policy import save_policy

    save_policy(tmp_path / "policy_best.ckpt", make_act())
    monkeypatch.setattr(sys, "argv", ["train_latent_model.py", "--ckpt_dir", str(tmp_path)])
    with pytest.raises(ValueError, match="has no codes; train an ACT policy with --use_vq"):
        train_latent_model.main()
    monkeypatch.setattr(sys, "argv", ["train_latent_model.py", "--ckpt_dir", str(run), "--lr", "0"])
    with pytest.raises(ValueError, match="--lr is 0.0; it must be above 0 and at most 10"):
        train_latent_model.main()


def test_the_best_prior_is_kept():
    """Not the last: trained for long on few codes, it believes in nothing else."""
    probs = torch.rand(6, 3, 4, generator=torch.Generator().manual_seed(0)).softmax(-1)
    peaked = torch.nn.functional.one_hot(probs.argmax(-1), 4).float()
    config = LatentModelConfig(num_steps=100, batch_size=8, lr=3e-3)
    prior = LatentPrior(3, 4, dim=32, heads=4)
    held_out = torch.full((64, 3, 4), 0.25)
    history = fit_prior(prior, peaked, held_out, config)
    losses = [row.validation["loss"] for row in history]
    assert len(losses) == 20 and min(losses) < losses[-1] - 0.1
    codes = torch.randint(4, (4000, 3), generator=torch.Generator().manual_seed(1))
    assert prior.loss(codes).item() == pytest.approx(min(losses), abs=0.3)


def test_what_the_prior_must_beat():
    train = torch.tensor([[[0.5, 0.5]], [[1.0, 0.0]]])  # a code whose first value occurs in 3 of 4
    held_out = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    expected = -(torch.tensor([0.75, 0.25]).log()).mean().item()
    assert frequencies_loss(train, held_out) == pytest.approx(expected)
