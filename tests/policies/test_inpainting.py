"""Policies that draw a chunk of which some actions are known."""

import pytest
import torch
from drawing_toy import SAMPLES, expected_actions, make_blind, seeded, seen
from synthetic import make_batch, make_small

from policies.base import Known
from policies.drawing import overlap_weights
from policies.flow import TIMES
from policies.registry import POLICIES

DRAWING = [name for name in POLICIES if POLICIES.config(name).inpaints]
KINDS = [
    ("Diffusion", {}),
    ("Diffusion", {"prediction_type": "epsilon"}),
    ("Diffusion", {"scheduler": "ddpm", "num_inference_timesteps": 20}),
    ("Flow", {}),
    ("Flow", {"prediction_type": "velocity"}),
    ("Flow", {"num_inference_steps": 1}),
]
EVERY_KIND = pytest.mark.parametrize(("name", "flags"), KINDS)


def known(policy, weights, samples: int = 3) -> Known:
    """Actions in the range of the demonstrations and out of it, with weights."""
    share = 1.5 * torch.rand(samples, len(weights), policy.interface.action_dim, generator=seeded(2))
    return Known(policy.denormalise_actions(2 * share - 1), torch.tensor(weights))


@EVERY_KIND
def test_known_actions_are_kept_exactly_where_the_weight_is_1(name, flags):
    policy, batch = make_small(name, **flags).eval(), make_batch()
    given = known(policy, [1.0, 1.0, 0.5, 0.0, 1.0])
    with torch.no_grad():
        chunk, again = (policy.act_given(batch, given, seeded()) for _ in range(2))
    assert chunk.shape == (3, 10, 14) and chunk.isfinite().all() and torch.equal(chunk, again)
    is_kept = (chunk[:, :5] == given.actions).all(dim=2)
    assert is_kept.tolist() == 3 * [[True, True, False, False, True]]


@pytest.mark.parametrize("name", DRAWING)
def test_the_larger_the_weight_the_closer(name):
    policy, batch, errors = make_small(name).eval(), make_batch(), []
    for weight in (0.0, 0.3, 0.6, 0.9):
        given = known(policy, 5 * [weight])
        with torch.no_grad():
            chunk = policy.act_given(batch, given, seeded())
        errors.append((chunk[:, :5] - given.actions).abs().mean().item())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.3 * errors[0]


@pytest.mark.parametrize("name", DRAWING)
def test_the_policy_itself_is_not_changed_by_it(name):
    policy, batch = make_small(name).eval(), make_batch()
    with torch.no_grad():
        before = policy.act(batch, seeded())
        policy.act_given(batch, known(policy, [1.0, 0.5]), seeded())
        assert torch.equal(policy.act(batch, seeded()), before)


@pytest.mark.parametrize("name", DRAWING)
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_the_rest_of_a_chunk_is_of_the_mode_of_what_is_known(name, side):
    """Of the toy's two modes; drawn freely, a chunk is of either (`check_modes`)."""
    policy = make_blind(POLICIES[name])
    alphas = getattr(policy, "signal", None)

    def perfect(noisy, times, cond):
        if alphas is None:
            signal, noise = times / TIMES, 1 - times / TIMES
        else:
            signal, noise = alphas[times].sqrt(), (1 - alphas[times]).sqrt()
        return expected_actions(noisy, signal.view(-1, 1, 1), noise.view(-1, 1, 1), cond)

    policy.network.forward = perfect
    given = Known(torch.full((SAMPLES, 2, 1), 0.8 * side), overlap_weights(1, 2))
    with torch.no_grad():
        chunk = policy.act_given(seen(1.0), given, seeded())[..., 0]
    assert torch.equal(chunk[:, 0], given.actions[:, 0, 0])
    assert ((chunk * side) > 0).all(dim=1).float().mean() > 0.95


def test_the_weights_of_an_overlap():
    """Against the formula of the paper, entry by entry."""
    weights = overlap_weights(3, 10)
    e = torch.e
    shares = [(10 - i) / (10 - 3 + 1) for i in range(3, 10)]
    expected = [1.0, 1.0, 1.0, *(share * (e**share - 1) / (e - 1) for share in shares)]
    torch.testing.assert_close(weights, torch.tensor(expected))
    assert weights.diff().le(0).all() and overlap_weights(0, 4).max() < 1
    assert overlap_weights(4, 4).tolist() == [1.0, 1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="5 actions are settled; it must be 0 to 4"):
        overlap_weights(5, 4)


@pytest.mark.parametrize("name", [name for name in POLICIES if name not in DRAWING])
def test_a_policy_that_does_not_draw_says_so(name):
    policy = make_small(name).eval()
    with pytest.raises(TypeError, match=f"{name}Policy does not draw its actions"):
        policy.act_given(make_batch(), known(policy, [1.0]))


@pytest.mark.parametrize(
    ("shape", "weights", "words"),
    [
        ((3, 11, 14), 11 * [1.0], r"known actions are \(3, 11, 14\); give \(B, 1 to 10, A\)"),
        ((3, 0, 14), [], "give .B, 1 to 10, A"),
        ((4, 14), 4 * [1.0], r"known actions are \(4, 14\)"),
        ((3, 4, 14), 3 * [1.0], r"weights are \(3,\); give one for each of the 4"),
        ((3, 2, 14), [1.0, 1.5], "must be from 0 to 1"),
        ((3, 2, 14), [1.0, float("nan")], "must be from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(shape, weights, words):
    policy = make_small("Flow").eval()
    with pytest.raises(ValueError, match=words):
        policy.act_given(make_batch(), Known(torch.zeros(shape), torch.tensor(weights)))
