"""Flow matching: where Euler steps lead, what it learns from, what it samples."""

from functools import partial

import pytest
import torch
from drawing_toy import check_modes, expected_actions, learn, make_blind, samples, seeded
from synthetic import make_batch, make_flow

from policies.configs import FLOW_PREDICTIONS, FlowConfig
from policies.flow import TIMES, FlowPolicy

EVERY_PREDICTION = pytest.mark.parametrize("prediction", FLOW_PREDICTIONS)
blind = partial(make_blind, FlowPolicy)


class Perfect(torch.nn.Module):
    """What a network that has learned the toy to perfection would say, from the distribution itself."""

    def __init__(self, policy: FlowPolicy) -> None:
        super().__init__()
        self.says_velocity = policy.config.prediction_type == "velocity"

    def forward(self, actions, times, cond):
        time = times.view(-1, 1, 1) / TIMES
        clean = expected_actions(actions, time, 1 - time, cond)
        return (clean - actions) / (1 - time) if self.says_velocity else clean


def constant(policy: FlowPolicy, ends: torch.Tensor, noise: torch.Tensor) -> None:
    """Make the field one whose velocity is everywhere the same: straight from the noise to the ends."""
    says_velocity = policy.config.prediction_type == "velocity"
    policy.network.forward = lambda *inputs: ends - noise if says_velocity else ends


@EVERY_PREDICTION
@pytest.mark.parametrize("steps", [1, 4, 8])
def test_any_number_of_steps_of_a_constant_field_is_exact(prediction, steps):
    policy = make_flow(prediction_type=prediction, num_inference_steps=steps).eval()
    noise, ends = policy.noise(3, seeded()), 2 * torch.rand(3, 10, 14, generator=seeded(1)) - 1
    constant(policy, ends, noise)
    found = policy.denoise(noise, torch.zeros(3, 1))
    torch.testing.assert_close(found, policy.denormalise_actions(ends))


def test_steps_are_those_of_euler():
    """Against the method by hand, on a field that bends."""
    policy = make_flow(num_inference_steps=3, prediction_type="velocity").eval()
    told = []

    def field(actions, times, cond):
        told.append(times)
        return torch.sin(actions) / 4 + times[:, None, None] / TIMES

    policy.network.forward = field
    noise = policy.noise(2, seeded()) / 10
    expected = noise
    for step in range(3):
        expected = expected + (torch.sin(expected) / 4 + step / 3) / 3
    assert expected.abs().max() < 1
    torch.testing.assert_close(policy.denoise(noise, torch.zeros(2, 1)), policy.denormalise_actions(expected))
    torch.testing.assert_close(torch.stack(told)[:, 0] / TIMES, torch.tensor([0, 1 / 3, 2 / 3]))


@EVERY_PREDICTION
@pytest.mark.parametrize("steps", [4, 8])
def test_with_a_perfect_network_the_distribution_is_recovered(prediction, steps):
    policy = blind(prediction_type=prediction, num_inference_steps=steps)
    policy.network = Perfect(policy)
    check_modes(samples(policy, 1.0), share=0.85, tolerance=0.15)
    torch.testing.assert_close(samples(policy, 0.0), torch.full((300, 4), 0.2), rtol=0, atol=0.02)


@pytest.mark.slow
@EVERY_PREDICTION
@pytest.mark.parametrize("times", ["uniform", "beta"])
def test_two_modes_are_learned(prediction, times):
    policy = blind(prediction_type=prediction, time_distribution=times, num_inference_steps=8)
    learn(policy, 600)
    check_modes(samples(policy, 1.0), share=0.85, tolerance=0.2)
    assert (samples(policy, 0.0) - 0.2).abs().mean() < 0.05


@EVERY_PREDICTION
def test_loss_is_the_mean_error_over_steps_that_exist(prediction):
    policy, batch = make_flow(prediction_type=prediction).eval(), make_batch()
    drawn = policy.draw_noise(3, seeded())
    with torch.no_grad():
        actions = policy.normalise_actions(batch["actions"])
        actions[0, 6:] = actions[0, 5]  # the last one goes on through the padding
        times = drawn["times"].view(3, 1, 1)
        noisy = times * actions + (1 - times) * drawn["noise"]
        predicted = policy.network(noisy, TIMES * drawn["times"], policy.condition(batch))
        target = actions - drawn["noise"] if prediction == "velocity" else actions
        expected = (predicted - target).square().mean(dim=-1)[~batch["is_pad"]].mean()
        torch.testing.assert_close(policy.loss({**batch, **drawn})["loss"], expected)


@pytest.mark.parametrize(("distribution", "mean"), [("uniform", 1 / 2), ("beta", 1 - 1.5 / 2.5)])
def test_times_are_drawn_as_the_flag_says(distribution, mean):
    times = make_flow(time_distribution=distribution).draw_noise(20_000, seeded())["times"]
    assert (times >= 0).all() and (times < 1).all()
    assert times.mean().item() == pytest.approx(mean, abs=0.01)
    quarter = torch.tensor(0.75) if distribution == "uniform" else torch.tensor(0.75) ** (1 / 1.5)
    assert (1 - times < quarter).float().mean().item() == pytest.approx(0.75, abs=0.01)


def test_actions_stay_in_the_range_of_the_demonstrations():
    policy, batch = make_flow().eval(), make_batch()
    with torch.no_grad():
        policy.network.head[1].weight.mul_(100)
        actions = policy.act(batch, seeded())
    slack = 1e-6
    assert (actions >= policy.action_min - slack).all() and (actions <= policy.action_max + slack).all()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"num_inference_steps": 0}, "--num_inference_steps is 0"),
        ({"time_distribution": "normal"}, "--time_distribution is 'normal'.* uniform, beta"),
        ({"prediction_type": "epsilon"}, "--prediction_type is 'epsilon'.* sample, velocity"),
        ({"action_horizon": 101}, "--action_horizon is 101; .* --prediction_horizon, which is 100"),
    ],
)
def test_what_does_not_fit_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        FlowConfig(**config)
