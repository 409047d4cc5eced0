"""What ACT's CVAE squeezes actions through, and the prior over its codes."""

import math

import pytest
import torch
from torch import Tensor

from detr.act.latent import CodeLatent, draw_codes, kl_divergence, sample_gaussian
from detr.act.latent_prior import LatentPrior

LATENT = 4


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_sampled_gaussian_has_the_asked_mean_and_spread():
    mu, logvar = torch.tensor([-1.0, 3.0]), torch.tensor([0.0, math.log(4.0)])
    noise = torch.randn(20_000, 2, generator=seeded())
    draws = sample_gaussian(mu.expand(20_000, -1), logvar.expand(20_000, -1), noise)
    torch.testing.assert_close(draws.mean(0), mu, atol=0.05, rtol=0)
    torch.testing.assert_close(draws.std(0), torch.tensor([1.0, 2.0]), atol=0.05, rtol=0)


def test_kl_divergence_is_torchs():
    mu, logvar = torch.randn(5, LATENT, generator=seeded()), torch.randn(5, LATENT, generator=seeded(1))
    distributions = torch.distributions
    posterior, prior = distributions.Normal(mu, (logvar / 2).exp()), distributions.Normal(0.0, 1.0)
    expected = distributions.kl_divergence(posterior, prior).sum(1).mean()
    torch.testing.assert_close(kl_divergence(mu, logvar), expected)
    assert kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3)) == 0


def test_codes_are_drawn_as_often_as_they_are_likely():
    probs = torch.tensor([[0.1, 0.6, 0.3, 0.0], [0.0, 0.0, 0.0, 1.0]]).expand(20_000, 2, 4)
    codes = draw_codes(probs, torch.rand(20_000, 2, generator=seeded()))
    shares = torch.stack([(codes == value).float().mean(dim=0) for value in range(4)], dim=-1)
    torch.testing.assert_close(shares, probs[0], atol=0.01, rtol=0)
    assert (draw_codes(probs[:1], torch.zeros(1, 2)) == torch.tensor([[0, 3]])).all()
    assert draw_codes(torch.tensor([[[0.5, 0.4999999]]]), torch.tensor([[1 - 1e-8]])).item() == 1


def test_codes_are_one_hot_and_pass_the_gradient_of_their_probabilities():
    latent = CodeLatent(3, 4)
    info = torch.randn(5, 12, generator=seeded(), requires_grad=True)
    noise = latent.draw_noise(5, seeded(1), torch.device("cpu"))
    sample = latent.sample(info, noise)
    codes = sample.detach().unflatten(-1, (3, 4))
    torch.testing.assert_close(codes.sort(dim=-1).values, torch.tensor([0.0, 0, 0, 1]).expand(5, 3, 4))
    weights = torch.randn(5, 12, generator=seeded(2))
    (found,) = torch.autograd.grad((sample * weights).sum(), info)
    (expected,) = torch.autograd.grad((latent.probabilities(info).flatten(1) * weights).sum(), info)
    torch.testing.assert_close(found, expected)


def test_the_expected_discrepancy_is_that_of_many_draws():
    latent = CodeLatent(2, 5)
    info = torch.randn(1, 10, generator=seeded()).expand(20_000, -1)
    one_hot = latent.eval().sample(info, torch.rand(20_000, 2, generator=seeded(1)))
    drawn = (one_hot - latent.probabilities(info).flatten(1)).abs().mean()
    torch.testing.assert_close(latent.measures(info)["vq_discrepancy"], drawn, rtol=0.01, atol=0)


def test_the_likely_codes_are_the_frequent_ones():
    latent = CodeLatent(2, 3)
    info = torch.tensor([[0.0, 9.0, 0.0, 0.0, 0.0, 9.0]]).expand(4, -1)
    latent.eval().sample(info, torch.rand(4, 2))
    assert torch.equal(latent.frequencies, torch.full((2, 3), 1 / 3))
    latent.train().sample(info, torch.rand(4, 2))
    assert latent.likely().tolist() == [[0, 1, 0, 0, 0, 1]]


@pytest.mark.parametrize(("classes", "values"), [(0, 4), (4, 1)])
def test_codes_need_values(classes, values):
    with pytest.raises(ValueError, match=f"classes is {classes}, values {values}"):
        CodeLatent(classes, values)


def small_prior() -> LatentPrior:
    torch.manual_seed(0)
    return LatentPrior(classes=4, values=3, dim=32, heads=4, layers=2, dropout=0.0)


def test_a_code_depends_on_those_before_it_alone():
    prior = small_prior().eval()
    codes = torch.tensor([[0, 1, 2, 0], [0, 1, 0, 0]])
    logits = prior(codes[:, :-1])
    assert logits.shape == (2, 4, 3)
    torch.testing.assert_close(logits[0, :3], logits[1, :3])
    assert not torch.allclose(logits[0, 3], logits[1, 3])
    expected = -torch.stack([logits.log_softmax(-1)[b, n, codes[b, n]] for b in range(2) for n in range(4)])
    torch.testing.assert_close(prior.loss(codes), expected.mean())


def sentences(samples: int, generator: torch.Generator) -> Tensor:
    """Two codes by chance, then the same two again: no single code tells anything, all together do."""
    first = torch.randint(3, (samples, 2), generator=generator)
    return torch.cat([first, first], dim=1)


def test_codes_drawn_one_by_one_are_those_that_the_whole_sequence_tells():
    prior, noise = small_prior().eval(), torch.rand((50, 4), generator=seeded(3))
    codes = torch.empty((50, 0), dtype=torch.int64)
    for number in range(4):
        probs = prior(codes)[:, -1:].softmax(dim=-1)
        codes = torch.cat([codes, draw_codes(probs, noise[:, number, None])], dim=1)
    assert torch.equal(prior.generate(prior.draw_noise(50, seeded(3))), codes)


def test_the_prior_learns_and_draws_what_codes_go_together():
    prior, generator = small_prior(), seeded()
    optimiser = torch.optim.Adam(prior.parameters(), lr=3e-3)
    for _ in range(150):
        optimiser.zero_grad()
        prior.loss(sentences(64, generator)).backward()
        optimiser.step()
    codes = prior.eval().generate(prior.draw_noise(600, seeded(1)))
    assert (codes[:, :2] == codes[:, 2:]).all(dim=1).float().mean() > 0.97
    counts = torch.bincount(3 * codes[:, 0] + codes[:, 1], minlength=9)
    assert counts.min() > 30  # of 67 that are to be expected
    assert prior.loss(sentences(200, generator)).item() == pytest.approx(math.log(3) / 2, abs=0.05)
    assert torch.equal(codes, prior.generate(prior.draw_noise(600, seeded(1))))
