"""Diffusion Policy: what it samples, its loss, its horizons, the average of its weights."""

import os
import signal
from functools import partial

import numpy as np
import pytest
import torch
from drawing_toy import check_modes, expected_actions, learn, make_blind, samples, seeded
from synthetic import make_batch, make_dataset, make_diffusion

import imitate_episodes
from evaluation.execution.chunks import ChunkedExecution
from policies import TorchActor
from policies.configs import DiffusionConfig
from policies.diffusion import DiffusionPolicy
from policy import load_policy, read_checkpoint, save_policy
from training.flags import TrainConfig
from training.loop import Feed, Run, fit
from training.optimisation import AverageWeights


def make_past(batch_size: int = 3, horizon: int = 2, **kwargs):
    """A batch with so many observations a sample."""
    batch = make_batch(batch_size * horizon, **kwargs)
    past = {name: batch[name].unflatten(0, (batch_size, horizon)) for name in ("qpos", "images")}
    return {**past, **{name: batch[name][:batch_size] for name in ("actions", "is_pad")}}


# --- what it samples


SAMPLERS = [{}, {"scheduler": "ddpm", "num_inference_timesteps": 100}]
EVERY_SAMPLER = pytest.mark.parametrize("sampler", SAMPLERS, ids=["ddim", "ddpm"])
blind = partial(make_blind, DiffusionPolicy)


class Perfect(torch.nn.Module):
    """What a network that has learned the toy to perfection would say, from the distribution itself."""

    def __init__(self, policy: DiffusionPolicy) -> None:
        super().__init__()
        self.alphas = policy.scheduler.alphas_cumprod
        self.is_noise = policy.config.prediction_type == "epsilon"

    def forward(self, actions, timesteps, cond):
        alpha = self.alphas[timesteps].view(-1, 1, 1)
        signal, noise = alpha.sqrt(), (1 - alpha).sqrt()
        clean = expected_actions(actions, signal, noise, cond)
        return (actions - signal * clean) / noise if self.is_noise else clean


@EVERY_SAMPLER
@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_with_a_perfect_network_the_distribution_is_recovered(sampler, prediction):
    policy = blind(**sampler, prediction_type=prediction)
    policy.network = Perfect(policy)
    check_modes(samples(policy, 1.0), share=0.99, tolerance=0.1)
    torch.testing.assert_close(samples(policy, 0.0), torch.full((300, 4), 0.2), rtol=0, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("prediction", "steps"), [("sample", 400), ("epsilon", 600)])
def test_two_modes_are_learned_and_few_steps_of_ddim_agree_with_all_of_ddpm(prediction, steps):
    policy = blind(prediction_type=prediction)
    learn(policy, steps)
    found = []
    for sampler in SAMPLERS:
        other = blind(**sampler, prediction_type=prediction)
        other.load_state_dict(policy.state_dict())
        check_modes(samples(other, 1.0), share=0.9, tolerance=0.15)
        assert (samples(other, 0.0) - 0.2).abs().mean() < 0.05
        found.append(samples(other, 1.0).sort(dim=0).values)
    levels = [30, 60, 90, 210, 240, 270]  # of 300, away from the middle where the modes part
    torch.testing.assert_close(found[0][levels], found[1][levels], rtol=0, atol=0.1)


@EVERY_SAMPLER
def test_the_generator_decides(sampler):
    policy, batch = make_diffusion(**sampler).eval(), make_batch()
    with torch.no_grad():
        first, again, other = (policy.act(batch, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert (first >= policy.action_min).all() and (first <= policy.action_max).all()


def test_actions_and_states_are_scaled_to_their_ranges():
    policy = make_diffusion()
    for name in ("qpos", "action"):
        scale = getattr(policy, f"normalise_{'actions' if name == 'action' else name}")
        ends = torch.stack([getattr(policy, f"{name}_{end}") for end in ("min", "max")])
        torch.testing.assert_close(scale(ends), torch.tensor([-1.0, 1.0])[:, None].expand(2, 14))
    actions = torch.rand(3, 10, 14, generator=seeded())
    torch.testing.assert_close(policy.denormalise_actions(policy.normalise_actions(actions)), actions)


# --- the loss


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_loss_is_the_mean_error_over_steps_that_exist(prediction):
    policy, batch = make_diffusion(prediction_type=prediction).eval(), make_batch()
    noise = policy.draw_noise(3, seeded())
    with torch.no_grad():
        actions = policy.normalise_actions(batch["actions"])
        actions[0, 6:] = actions[0, 5]  # the last one goes on through the padding
        alphas = policy.scheduler.alphas_cumprod[noise["timesteps"]].view(3, 1, 1)
        noisy = alphas.sqrt() * actions + (1 - alphas).sqrt() * noise["noise"]
        predicted = policy.network(noisy, noise["timesteps"], policy.condition(batch))
        target = noise["noise"] if prediction == "epsilon" else actions
        errors = (predicted - target).square().mean(dim=-1)
        expected = errors[~batch["is_pad"]].mean()
        torch.testing.assert_close(policy.loss({**batch, **noise})["loss"], expected)
        shared = policy.loss({**batch, **noise, "valid_steps": torch.tensor(13.0)})["loss"]
        torch.testing.assert_close(shared, expected * 26 / 13)


def test_permuting_batch_and_noise_does_not_change_the_loss():
    policy, batch = make_diffusion().eval(), make_batch(padded=0)
    noise = policy.draw_noise(3, seeded())
    turned = {name: tensor.flip(0) for name, tensor in {**batch, **noise}.items()}
    with torch.no_grad():
        straight = policy.loss({**batch, **noise})["loss"]
        torch.testing.assert_close(policy.loss(turned)["loss"], straight)
        assert not torch.isclose(policy.loss({**turned, **noise})["loss"], straight)


# --- horizons


def test_every_observation_counts_and_their_order():
    policy, batch = make_diffusion(observation_horizon=2).eval(), make_past()
    with torch.no_grad():
        straight = policy.act(batch, seeded())
        for name in ("qpos", "images"):
            for changed in (batch[name].flip(1), batch[name][:, [0, 0]], batch[name][:, [1, 1]]):
                assert not torch.allclose(policy.act({**batch, name: changed}, seeded()), straight)
        sample = {name: batch[name][1:2] for name in ("qpos", "images")}
        torch.testing.assert_close(policy.condition(sample), policy.condition(batch)[1:2])


@pytest.mark.parametrize("share_backbone", [False, True])
def test_every_camera_counts(share_backbone):
    config = {"observation_horizon": 2, "share_backbone": share_backbone}
    policy = make_diffusion(("top", "angle"), **config).eval()
    assert len(policy.encoders) == (1 if share_backbone else 2)
    batch = make_past(cameras=2)
    dark = [batch["images"].clone() for _ in range(2)]
    for camera, images in enumerate(dark):
        images[:, :, camera] = 0
    with torch.no_grad():
        seen = [policy.condition({**batch, "images": images}) for images in (batch["images"], *dark)]
    assert not any(torch.allclose(seen[a], seen[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_so_many_actions_are_executed_as_the_flag_says():
    policy = make_diffusion(observation_horizon=2, action_horizon=3).eval()
    asked, act = [], policy.act
    policy.act = lambda obs, generator: asked.append(len(asked)) or act(obs, generator)
    execute = ChunkedExecution(TorchActor(policy))
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    actions = [execute({"qpos": rng.random(14), "images": {"top": image}}) for _ in range(7)]
    assert len(asked) == 3 and np.isfinite(actions).all()
    assert (policy.chunk_size, policy.observation_horizon, policy.execution_horizon) == (10, 2, 3)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"action_horizon": 101}, "--action_horizon is 101; .* --prediction_horizon, which is 100"),
        ({"action_horizon": 0}, "--action_horizon is 0; it must be 1 to 10000"),
        ({"observation_horizon": 0}, "--observation_horizon is 0"),
        ({"prediction_horizon": 0, "action_horizon": 0}, "must be 1 to 10000"),
        ({"num_inference_timesteps": 0}, "--num_inference_timesteps is 0"),
        ({"down_dims": (8, 12)}, "--down_dims is 8 12; each must be a multiple of 8"),
        ({"num_inference_timesteps": 101}, "101; .* --num_train_timesteps, which is 100"),
    ],
)
def test_what_does_not_fit_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        DiffusionConfig(**config)


def test_a_policy_with_robomimics_backbone_is_rebuilt_from_its_file(tmp_path):
    policy = make_diffusion(backbone="robomimic_resnet18", observation_horizon=2).eval()
    save_policy(tmp_path / "a.ckpt", policy)
    loaded = load_policy(tmp_path / "a.ckpt")
    with torch.no_grad():
        actions = [p.act(make_past(), seeded()) for p in (policy, loaded)]
    assert torch.equal(*actions) and loaded.config.norm == "group_norm"


# --- the average of the weights


def batches_of(steps: range):
    for step in steps:
        batch = make_batch()
        yield {**batch, "actions": batch["actions"] + 0.01 * step}


def train(folder, source=batches_of, resume: bool = False, **flags) -> DiffusionPolicy:
    folder.mkdir(exist_ok=True)
    policy = make_diffusion()
    feed = Feed(source, {"all": [make_batch()]}, lambda step: [str(step)])
    run = Run(policy, TrainConfig(lr=1e-3, amp="no", validate_every=6, **flags), 12)
    if resume:
        run.restore(folder / "policy_last.ckpt")
    fit(run, feed, folder)
    return policy


def test_the_average_is_that_of_diffusers():
    from diffusers.training_utils import EMAModel

    policy = make_diffusion()
    average, theirs = AverageWeights(policy, 0.6), EMAModel(policy.parameters(), decay=0.6)
    for step in range(12):  # the warm-up reaches 0.6 at the 13th
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=seeded(parameter.numel())))
        average.follow(step)
        theirs.step(policy.parameters())
    torch.testing.assert_close(list(average.module.parameters()), theirs.shadow_params)


def test_the_average_is_what_is_saved_and_evaluated_unless_turned_off(tmp_path):
    policy = train(tmp_path / "averaged")
    content = read_checkpoint(tmp_path / "averaged" / "policy_last.ckpt")
    raw, loaded = content["training"]["weights"], load_policy(tmp_path / "averaged" / "policy_last.ckpt")
    name = "network.head.1.weight"
    assert torch.equal(raw[name], policy.state_dict()[name])
    assert not torch.allclose(loaded.state_dict()[name], raw[name])
    plain = train(tmp_path / "plain", ema=0.0)
    assert torch.equal(plain.state_dict()[name], raw[name])  # it learns the same
    loaded = load_policy(tmp_path / "plain" / "policy_last.ckpt")
    assert torch.equal(loaded.state_dict()[name], raw[name])


def test_a_resumed_run_has_the_same_average(tmp_path):
    def interrupted(steps: range):
        for step, batch in zip(steps, batches_of(steps), strict=True):
            if step == 7:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    train(tmp_path / "straight")
    train(tmp_path / "parts", interrupted)
    assert read_checkpoint(tmp_path / "parts" / "policy_last.ckpt")["step"] == 8
    train(tmp_path / "parts", resume=True)
    one, other = (read_checkpoint(tmp_path / n / "policy_last.ckpt") for n in ("straight", "parts"))
    for weights in (lambda c: c["weights"], lambda c: c["training"]["weights"]):
        assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def test_two_batches_a_step_are_one_of_twice_the_size():
    """What is drawn is a sample's own, wherever it is computed."""
    weights = []
    for size, accumulate in ((4, 1), (2, 2)):
        policy = make_diffusion().eval()  # no noise on the keypoints
        config = TrainConfig(batch_size=size, accumulate=accumulate, amp="no", lr=1e-3, ema=0.0)
        run = Run(policy, config, 2)
        whole = make_batch(4)
        whole["valid_steps"] = (~whole["is_pad"]).sum() / accumulate
        parts = [{n: t[i : i + size] if t.ndim else t for n, t in whole.items()} for i in range(0, 4, size)]
        run.update(parts)
        weights.append(run.policy.network.head[1].weight.detach().clone())
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-6)


# --- the script


def run_script(monkeypatch, dataset, run, *flags: str) -> None:
    places = f"--task_name any --dataset_dir {dataset} --ckpt_dir {run}"
    small = "--backbone keypoints --down_dims 16 --observation_horizon 2 --image_size 48 64"
    command = f"x --policy_class Diffusion {places} {small} --batch_size 4 --num_steps 4 --amp no"
    monkeypatch.setattr("sys.argv", [*command.split(), *flags])
    imitate_episodes.main()


def test_the_script_trains_and_resumes_with_history_and_average(tmp_path, monkeypatch):
    data = make_dataset(tmp_path / "data")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    flags = ("--lr_schedule", "constant")  # which may be resumed to another length
    run_script(monkeypatch, data, whole, *flags)
    run_script(monkeypatch, data, parts, *flags, "--num_steps", "2")
    run_script(monkeypatch, data, parts, *flags, "--resume")
    one, other = (load_policy(run / "policy_last.ckpt") for run in (whole, parts))
    assert one.observation_horizon == 2
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    run_script(monkeypatch, data, tmp_path / "plain", *flags, "--ema", "0")
    plain = load_policy(tmp_path / "plain" / "policy_last.ckpt").state_dict()
    raw = read_checkpoint(whole / "policy_last.ckpt")["training"]["weights"]
    assert all(torch.equal(value, raw[name]) for name, value in plain.items())


def test_the_length_of_a_chunk_in_seconds_is_the_prediction_horizon(tmp_path, monkeypatch):
    data = make_dataset(tmp_path / "data")
    flags = ("--action_horizon", "5", "--chunk_seconds")
    run_script(monkeypatch, data, tmp_path / "run", *flags, "0.2")  # at 50 steps a second
    assert load_policy(tmp_path / "run" / "policy_last.ckpt").chunk_size == 10
    with pytest.raises(ValueError, match="--action_horizon is 5; .* --prediction_horizon, which is 4"):
        run_script(monkeypatch, data, tmp_path / "short", *flags, "0.08")
    assert not (tmp_path / "short").exists()


def test_a_policy_has_its_own_defaults_of_training_unless_told_other(tmp_path):
    places = ["--task_name", "any", "--ckpt_dir", "somewhere"]
    ours = ["--policy_class", "Diffusion", *places]
    own = DiffusionConfig.training_defaults

    def flags(*argv: str) -> dict:
        training = vars(imitate_episodes.parse_flags(list(argv))[1])
        return {name: training[name] for name in own}

    assert own and flags(*ours) == own
    assert flags(*places) == {name: getattr(TrainConfig, name) for name in own}  # ACT's are as ever
    config = tmp_path / "config.json"
    config.write_text('{"policy_class": "Diffusion", "lr": 0.5}')
    assert flags("--config", str(config), *places) == {**own, "lr": 0.5}
    assert flags("--config", str(config), *places, "--lr", "0.25") == {**own, "lr": 0.25}
