"""The networks: against upstream's numbers, against plain formulas, and gradients everywhere."""

import ast
import math

import numpy as np
import pytest
import torch
from repository import REFERENCE
from synthetic import reference_weight
from torch import Tensor, nn
from torch.nn import functional as F

from detr.act import position_encoding
from detr.act.latent import CodeLatent, GaussianLatent
from detr.act.network import ACT, ACTSizes
from detr.act.position_encoding import sine_position_2d, sinusoid_table
from detr.act.transformer import FEW_KEYS, Attention, Decoder, Dropout, Encoder
from detr.act.upstream import convert_upstream
from detr.backbones.backbone import build_backbone

REFERENCE = REFERENCE / "act_upstream.npz"
VQ_REFERENCE = REFERENCE.with_name("act_upstream_vq.npz")
STATE, ACTION, CHUNK, LATENT = 7, 8, 6, 4


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other on busy cores make tiny networks a hundred times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


LATENTS = {
    "no CVAE": lambda: None,
    "gaussian": lambda: GaussianLatent(LATENT),
    "codes": lambda: CodeLatent(3, 4),
}


def small_act(num_backbones: int = 1, kind: str = "gaussian", **changes: object) -> ACT:
    torch.manual_seed(0)
    sizes = {"hidden_dim": 32, "dim_feedforward": 48, "nheads": 4, "enc_layers": 2}
    latent = LATENTS[kind]()
    backbones = [build_backbone("keypoints") for _ in range(num_backbones)]
    sizes |= changes
    return ACT(backbones, ACTSizes(STATE, ACTION, CHUNK, **sizes), latent)


def small_batch(batch: int = 3, cameras: int = 1) -> dict[str, Tensor]:
    generator = seeded()
    return {
        "qpos": torch.randn(batch, STATE, generator=generator),
        "images": torch.randn(batch, cameras, 3, 32, 40, generator=generator),
        "actions": torch.randn(batch, CHUNK, ACTION, generator=generator),
        "is_pad": torch.arange(CHUNK).expand(batch, -1) >= 4,
    }


# Upstream's checkpoints


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(REFERENCE) as file:
        return dict(file)


@pytest.fixture(scope="module")
def upstream_weights(reference: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return weights_of(reference)


def weights_of(reference: dict[str, np.ndarray]) -> dict[str, Tensor]:
    names = zip(reference["names"].tolist(), reference["shapes"].tolist(), strict=True)
    shapes = {name: tuple(int(n) for n in shape.split(",") if n) for name, shape in names}
    return {name: torch.from_numpy(reference_weight(name, shape)) for name, shape in shapes.items()}


def act_from_upstream(upstream: dict[str, Tensor], codes: tuple[int, int] | None = None) -> ACT:
    weights, config = convert_upstream(upstream, codes)
    name, norm, count = config.pop("backbone"), config.pop("norm"), config.pop("num_backbones")
    backbones = [build_backbone(name, norm, pretrained=True) for _ in range(count)]
    latent = config.pop("latent")
    act = ACT(backbones, ACTSizes(**config), latent)
    act.load_state_dict(weights)
    return act.eval()


def inputs_of(reference: dict[str, np.ndarray]) -> list[Tensor]:
    """qpos, normalised images, actions, is_pad."""
    qpos, image, actions, is_pad = (
        torch.from_numpy(reference[k]) for k in ("qpos", "image", "actions", "is_pad")
    )
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    return [qpos, (image - mean) / std, actions, is_pad]


@pytest.mark.parametrize("prefix", ["", "model."])
def test_reproduces_upstream(reference, upstream_weights, prefix):
    act = act_from_upstream({prefix + name: value for name, value in upstream_weights.items()})
    qpos, images, *done = inputs_of(reference)
    with torch.no_grad():
        a_hat, info = act(qpos, images)
        mu, logvar = act.encode(qpos, *done).chunk(2, dim=-1)
    assert info is None
    for ours, name in ((a_hat, "a_hat"), (mu, "mu"), (logvar, "logvar")):
        np.testing.assert_allclose(ours.numpy(), reference[name], atol=1e-4, rtol=0, err_msg=name)


def test_reproduces_upstreams_vq_variant():
    with np.load(VQ_REFERENCE) as file:
        reference = dict(file)
    act = act_from_upstream(weights_of(reference), codes=(8, 4))
    qpos, images, *done = inputs_of(reference)
    with torch.no_grad():
        a_hat, _ = act(qpos, images, latent=torch.from_numpy(reference["vq_sample"]).flatten(1))
        probs = act.latent.probabilities(act.encode(qpos, *done))
    np.testing.assert_allclose(a_hat, reference["a_hat"], atol=1e-4, rtol=0)
    np.testing.assert_allclose(probs, reference["vq_probs"], atol=1e-4, rtol=0)


def test_reads_the_sizes_of_an_upstream_checkpoint(reference, upstream_weights):
    _, config = convert_upstream(upstream_weights)
    told = ast.literal_eval(str(reference["config"]))
    for key in (
        "state_dim",
        "action_dim",
        "chunk_size",
        "hidden_dim",
        "dim_feedforward",
        "nheads",
        "enc_layers",
    ):
        assert config[key] == told[key], key
    assert config["dec_layers"] == 1 and config["latent"].dim == 32
    assert (config["backbone"], config["norm"], config["num_backbones"]) == ("resnet18", "frozen_bn", 1)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_knows_upstreams_resnets_by_their_blocks(upstream_weights, name):
    with torch.device("meta"):
        body = build_backbone(name, "frozen_bn").state_dict()
    others = {k: v for k, v in upstream_weights.items() if not k.startswith("backbones.")}
    resnets = {f"backbones.{i}.0.body.{k}": v for i in range(3) for k, v in body.items()}
    weights, config = convert_upstream(others | resnets)
    assert (config["backbone"], config["num_backbones"]) == (name, 3)
    assert {k.removeprefix("backbones.2.") for k in weights if k.startswith("backbones.2.")} == set(body)


def test_upstream_without_cvae_keeps_its_latent_token(upstream_weights):
    plain = {k: v for k, v in upstream_weights.items() if not k.startswith("encoder.layers.")}
    act = act_from_upstream(plain)
    assert act.latent is None
    assert torch.equal(act.latent_token, upstream_weights["latent_out_proj.bias"])
    batch = {
        "qpos": torch.randn(1, 14, generator=seeded()),
        "images": torch.randn(1, 1, 3, 64, 64, generator=seeded()),
    }
    with torch.no_grad():
        assert torch.equal(act(**batch)[0], act_from_upstream(upstream_weights)(**batch)[0])


def test_refuses_codes_that_do_not_fit_and_foreign_checkpoints(upstream_weights):
    vq = upstream_weights | {"latent_proj.weight": torch.zeros(32, 64), "latent_proj.bias": torch.zeros(32)}
    with pytest.raises(ValueError, match="a VQ checkpoint whose codes take 32 numbers.*not given"):
        convert_upstream(vq)
    with pytest.raises(ValueError, match="but they are 8 and 5"):
        convert_upstream(vq, (8, 5))
    assert convert_upstream(vq, (8, 4))[1]["latent"].classes == 8
    with pytest.raises(ValueError, match=r"not a state dict of ACT.*query_embed"):
        convert_upstream({"fc.weight": torch.zeros(2, 2)})


# ACT


@pytest.mark.parametrize("kind", LATENTS)
@pytest.mark.parametrize("dec_layers", [1, 2])
@pytest.mark.parametrize(("cameras", "num_backbones"), [(1, 1), (3, 3), (3, 1)])
def test_every_parameter_learns(kind, dec_layers, cameras, num_backbones):
    act = small_act(num_backbones, kind, dec_layers=dec_layers)
    for name, parameter in act.named_parameters():
        if name.endswith(("bias", "start")):  # some are zero at first and hold back other gradients
            nn.init.normal_(parameter)
    a_hat, info = act(**small_batch(cameras=cameras))
    assert a_hat.shape == (3, CHUNK, ACTION)
    loss = a_hat.square().mean()
    if act.latent is not None:
        assert info.shape == (3, act.latent.info_dim)
        loss = loss + sum(act.latent.measures(info).values())
    else:
        assert info is None
        assert not any(name.startswith(("encoder", "latent_proj", "cls_embed")) for name in act.state_dict())
    loss.backward()
    for name, parameter in act.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_dropout_drops_its_share_and_keeps_the_mean():
    x = torch.ones(1000, 101, requires_grad=True)  # not a multiple of 8 numbers
    dropout = Dropout(0.1)
    torch.manual_seed(0)
    y = dropout(x)
    assert (y == 0).float().mean().item() == pytest.approx(26 / 256, abs=0.003)
    assert y.mean().item() == pytest.approx(1, abs=0.003) and len(y.detach().unique()) == 2
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert not torch.equal(dropout(x), y)
    assert torch.equal(dropout.eval()(x), x)


def test_dropout_is_a_part_of_a_compiled_graph():
    x, dropout = torch.ones(1000, 101), Dropout(0.1)
    torch.manual_seed(0)
    y = torch.compile(dropout, backend="eager", fullgraph=True)(x)
    assert (y == 0).float().mean().item() == pytest.approx(0.1, abs=0.003)


def test_an_encoder_gives_the_tokens_that_are_wanted_as_if_all_were():
    torch.manual_seed(0)
    encoder, x, pos = Encoder(2, 32, 4, 48, 0.1).eval(), torch.randn(3, 7, 32), torch.randn(7, 32)
    padding = torch.arange(7).expand(3, -1) >= 5
    for hidden in (None, padding):
        part = encoder(x, pos, hidden, wanted=2)
        torch.testing.assert_close(part, encoder(x, pos, hidden)[:, :2], rtol=1e-5, atol=1e-6)


def test_every_decoder_layer_shapes_the_answer():
    act, batch = small_act(dec_layers=3).eval(), small_batch()
    with torch.no_grad():
        before = act(batch["qpos"], batch["images"])[0]
        for layer in act.transformer.decoder.layers:
            layer.linear2.bias += torch.randn(32, generator=seeded())
            after = act(batch["qpos"], batch["images"])[0]
            assert not torch.allclose(before, after, atol=1e-4)
            before = after


def test_decoder_equals_one_with_attention_over_the_zeros_it_starts_from():
    torch.manual_seed(0)
    decoder = Decoder(2, 32, 4, 48, dropout=0.0)
    query_pos, memory, pos = torch.randn(5, 32), torch.randn(2, 9, 32), torch.randn(9, 32)
    attention, zeros = Attention(32, 4), torch.zeros(2, 5, 32)
    nn.init.normal_(attention.in_proj_bias)
    with torch.no_grad():
        mixed = attention(zeros + query_pos, zeros + query_pos, zeros)
        decoder.layers[0].start.copy_(mixed[0, 0])
        torch.testing.assert_close(mixed, mixed[0, 0].expand_as(mixed))
        first = decoder.layers[0]
        x = first.norm1(mixed)
        x = first.norm2(x + first.multihead_attn(x + query_pos, memory + pos, memory))
        x = first.norm3(x + first.linear2(F.relu(first.linear1(x))))
        expected = decoder.norm(decoder.layers[1](x, query_pos, memory, memory + pos))
        torch.testing.assert_close(decoder(query_pos, memory, pos), expected)


def test_dropout_tells_the_samples_of_the_first_decoder_layer_apart():
    torch.manual_seed(0)
    decoder = Decoder(1, 32, 4, 48, dropout=0.5)
    nn.init.normal_(decoder.layers[0].start)
    zeros = torch.zeros(1, 5, 32)
    begun = decoder.layers[0]._begin(zeros, samples=3)
    assert begun.shape == (3, 5, 32) and not torch.equal(begun[0], begun[1])
    assert decoder.eval().layers[0]._begin(zeros, samples=3).shape == (1, 5, 32)


def test_padding_does_not_reach_the_posterior():
    act, batch = small_act().eval(), small_batch()
    scribbled = torch.where(batch["is_pad"][..., None], 100.0, batch["actions"])
    with torch.no_grad():
        clean = act.encode(batch["qpos"], batch["actions"], batch["is_pad"])
        dirty = act.encode(batch["qpos"], scribbled, batch["is_pad"])
        unmasked = act.encode(batch["qpos"], scribbled)
        none_padded = act.encode(batch["qpos"], scribbled, torch.zeros_like(batch["is_pad"]))
    torch.testing.assert_close(clean, dirty)
    torch.testing.assert_close(unmasked, none_padded)
    assert not torch.allclose(clean[0], unmasked[0])


def test_the_latent_comes_from_the_noise_and_reaches_the_answer():
    act, batch = small_act().eval(), small_batch()
    with torch.no_grad():
        draws = [torch.randn(len(batch["qpos"]), LATENT, generator=seeded(seed)) for seed in (1, 1, 2)]
        first, again, other = (act(**batch, noise=noise)[0] for noise in draws)
        zero = act(batch["qpos"], batch["images"])[0]
        act.latent_out_proj.bias += torch.randn(32, generator=seeded())
        shifted = act(batch["qpos"], batch["images"])[0]
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(zero, shifted), "the latent's bias must count even when the latent is zero"


def test_batch_order_does_not_matter_camera_order_does():
    batch = small_batch(cameras=3)
    qpos, images = batch["qpos"], batch["images"]
    order = [2, 0, 1]
    own, shared = small_act(3).eval(), small_act(1).eval()
    with torch.no_grad():
        for act in (own, shared):
            torch.testing.assert_close(act(qpos[order], images[order])[0], act(qpos, images)[0][order])
        assert not torch.allclose(own(qpos, images[:, order])[0], own(qpos, images)[0], atol=1e-4)


def test_shared_backbone_equals_the_same_backbone_per_camera():
    batch = small_batch(cameras=2)
    shared, own = small_act(1).eval(), small_act(2).eval()
    rest = {k: v for k, v in shared.state_dict().items() if not k.startswith("backbones.")}
    copies = {f"backbones.{i}.{k}": v for i in (0, 1) for k, v in shared.backbones[0].state_dict().items()}
    own.load_state_dict(rest | copies)
    with torch.no_grad():
        inputs = (batch["qpos"], batch["images"])
        torch.testing.assert_close(own(*inputs)[0], shared(*inputs)[0])


def test_channels_last_and_bfloat16_give_the_same_answer():
    act, batch = small_act().eval(), small_batch()
    with torch.no_grad():
        expected = act(batch["qpos"], batch["images"])[0]
        act = act.to(memory_format=torch.channels_last)
        images = batch["images"].permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)  # strides of HWC
        torch.testing.assert_close(act(batch["qpos"], images)[0], expected, atol=1e-5, rtol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(act(batch["qpos"], images)[0].float(), expected, atol=0.1, rtol=0.1)


def test_act_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="3 cameras given, but 2 backbones"):
        small_act(2)(**small_batch(cameras=3))
    with pytest.raises(ValueError, match="out_channels"):
        ACT([build_backbone("keypoints"), build_backbone("resnet18")], ACTSizes(STATE, ACTION, CHUNK))
    with pytest.raises(ValueError, match="5 heads"):
        small_act(nheads=5)
    with pytest.raises(ValueError, match="dec_layers"):
        small_act(dec_layers=0)


# Attention and positions


@pytest.mark.parametrize("itself", [True, False])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("keys", [FEW_KEYS - 9, FEW_KEYS + 1])
def test_attention_is_softmax_of_qk_times_v(itself, padded, keys):
    torch.manual_seed(0)
    dim, heads = 12, 3
    attention = Attention(dim, heads).double()
    nn.init.normal_(attention.in_proj_bias)
    query, key, value = (torch.randn(2, n, dim, dtype=torch.double) for n in (4, keys, keys))
    query = key if itself else query
    padding = torch.tensor([[False] * keys, [False] * (keys - 2) + [True] * 2]) if padded else None
    q, k, v = (
        (x @ w.T + b).unflatten(-1, (heads, -1))  # (B, N, heads, dim / heads)
        for x, w, b in zip(
            (query, key, value),
            attention.in_proj_weight.chunk(3),
            attention.in_proj_bias.chunk(3),
            strict=True,
        )
    )
    logits = torch.einsum("bqhd,bnhd->bhqn", q, k) / math.sqrt(dim / heads)
    if padded:
        logits = logits.masked_fill(padding[:, None, None, :], -math.inf)
    plain = attention.out_proj(torch.einsum("bhqn,bnhd->bqhd", logits.softmax(-1), v).flatten(2))
    torch.testing.assert_close(attention(query, key, value, padding), plain)
    same = query[:1].expand(2, -1, -1)  # a query that all samples share need not be repeated
    shared, repeated = (attention(one, key, value, padding) for one in (query[:1], same))
    torch.testing.assert_close(shared, repeated)

    stock = nn.MultiheadAttention(dim, heads, batch_first=True).double()
    stock.load_state_dict(attention.state_dict())
    torch.testing.assert_close(stock(query, key, value, key_padding_mask=padding)[0], plain)


def test_sine_positions_against_a_loop():
    h, w, dim = 3, 5, 8
    table = sine_position_2d(h, w, dim).reshape(h, w, dim)
    for i in range(h):
        for j in range(w):
            for c in range(dim):
                place = (i + 1) / (h + 1e-6) if c < dim // 2 else (j + 1) / (w + 1e-6)
                n = c % (dim // 2)
                angle = place * 2 * math.pi / 10_000 ** (2 * (n // 2) / (dim // 2))
                assert table[i, j, c] == pytest.approx(
                    math.cos(angle) if n % 2 else math.sin(angle), abs=1e-5
                )
    with pytest.raises(ValueError, match="multiple of 4"):
        sine_position_2d(2, 2, 6)


def test_sinusoid_table_against_a_loop():
    table = sinusoid_table(7, 6)
    for i in range(7):
        for c in range(6):
            angle = i / 10_000 ** (2 * (c // 2) / 6)
            assert table[i, c] == pytest.approx(math.cos(angle) if c % 2 else math.sin(angle), abs=1e-6)


def test_positions_are_kept_and_usable_after_inference_mode():
    with torch.inference_mode():
        table = sine_position_2d(4, 9, 16)
    assert sine_position_2d(4, 9, 16) is table
    assert not table.is_inference()
    for h in range(200):
        sinusoid_table(h + 1, 4)
    assert position_encoding._sinusoid_table.cache_info().currsize <= 32
