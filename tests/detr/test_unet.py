"""The conditional U-Net: its block against the formula, any length, gradients."""

import pytest
import torch
import torch.nn.functional as F

from detr.unet import ConditionalUNet, FiLMBlock, StepEmbedding


def unet(down_dims=(16, 32, 64), **kwargs) -> ConditionalUNet:
    torch.manual_seed(0)
    return ConditionalUNet(action_dim=3, cond_dim=5, down_dims=down_dims, step_dim=16, **kwargs)


def inputs(length: int, batch: int = 2):
    generator = torch.Generator().manual_seed(1)
    actions = torch.randn(batch, length, 3, generator=generator)
    return actions, torch.arange(batch), torch.randn(batch, 5, generator=generator)


@pytest.mark.parametrize("in_channels", [8, 16])
def test_a_block_equals_its_formula(in_channels):
    torch.manual_seed(0)
    block = FiLMBlock(in_channels, 16, cond_dim=6, kernel_size=5)
    x, cond = torch.randn(3, in_channels, 11), torch.randn(3, 6)

    def mish(z):
        return z * torch.tanh(torch.log1p(z.exp()))

    def conv_block(part, z):
        conv, norm = part[0], part[1]
        windows = F.pad(z, (2, 2)).unfold(2, 5, 1)  # (B, C, T, 5)
        y = torch.einsum("bctk,ock->bot", windows, conv.weight) + conv.bias[:, None]
        groups = y.reshape(3, 8, 2, 11)
        mean = groups.mean(dim=(2, 3), keepdim=True)
        var = groups.var(dim=(2, 3), keepdim=True, unbiased=False)
        y = ((groups - mean) / (var + norm.eps).sqrt()).reshape(3, 16, 11)
        return mish(y * norm.weight[:, None] + norm.bias[:, None])

    film = mish(cond) @ block.film[1].weight.T + block.film[1].bias
    scale, shift = film[:, :16, None], film[:, 16:, None]
    around = x
    if in_channels != 16:
        around = torch.einsum("bct,oc->bot", x, block.around.weight[..., 0]) + block.around.bias[:, None]
    expected = conv_block(block.second, (1 + scale) * conv_block(block.first, x) + shift) + around
    torch.testing.assert_close(block(x, cond), expected, rtol=1e-4, atol=1e-5)


def test_steps_are_embedded_as_sines_and_cosines():
    embedding = StepEmbedding(8)
    seen = []
    embedding.mlp.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    embedding(torch.tensor([0, 3]))
    frequencies = torch.tensor([10000 ** (-i / 3) for i in range(4)])
    expected = torch.stack([torch.cat([(t * frequencies).sin(), (t * frequencies).cos()]) for t in (0, 3)])
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize("length", [1, 2, 7, 10, 16])
@pytest.mark.parametrize("down_dims", [(16,), (16, 32), (16, 32, 64)])
def test_any_length_goes_in_and_comes_out(length, down_dims):
    found = unet(down_dims)(*inputs(length))
    assert found.shape == (2, length, 3) and found.isfinite().all()


def test_a_length_that_does_not_fit_is_one_that_fits_with_zeros_behind():
    network, (actions, steps, cond) = unet(), inputs(10)
    longer = network(F.pad(actions, (0, 0, 0, 2)), steps, cond)
    torch.testing.assert_close(network(actions, steps, cond), longer[:, :10])


def test_gradients_reach_every_parameter_and_every_input():
    network, (actions, steps, cond) = unet(), inputs(8)
    actions.requires_grad_()
    cond.requires_grad_()
    network(actions, steps, cond).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert (actions.grad.abs().sum(dim=-1) > 0).all() and (cond.grad != 0).all()


def test_what_comes_out_depends_on_the_step_and_on_each_sample_alone():
    network, (actions, steps, cond) = unet().eval(), inputs(8, batch=3)
    straight = network(actions, steps, cond)
    torch.testing.assert_close(network(actions.flip(0), steps.flip(0), cond.flip(0)).flip(0), straight)
    assert not torch.allclose(network(actions, steps + 20, cond), straight)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"down_dims": ()}, "one or more, each a multiple of 8"),
        ({"down_dims": (16, 20)}, "down_dims are 16 20"),
        ({"kernel_size": 4}, "kernel_size is 4; it must be odd"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(kwargs, words):
    with pytest.raises(ValueError, match=words):
        unet(**kwargs)
