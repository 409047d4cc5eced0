"""Image backbones: contracts over all of them, their norms, and the weights they start from."""

import math
import socket
import sys
import time
import urllib.error

import pytest
import torch
import torchvision
from backbone_names import LARGE, MEMBERS, NAMES, each_backbone, needs_timm
from synthetic import make_act, make_batch
from torch import nn

from detr import ActingKeypoints, acting_backbone
from detr.act.network import ACT, ACTSizes
from detr.backbones import timm_models
from detr.backbones.backbone import BACKBONES, build_backbone, init_backbone, register_backbone
from detr.backbones.keypoints import SpatialSoftmax, cell_centres
from detr.backbones.norms import NORMS, group_norm
from detr.backbones.residual_attention import AttentionModule, Hourglass, ResidualAttention
from detr.backbones.residual_forms import FORMS
from policies.vision import start_backbones
from policy import load_policy, save_policy

KEYPOINTS = ("keypoints", "keypoints_wide")
SIZES = ((32, 32), (48, 64), (65, 97))  # height, width (pixels); not all multiples of 32


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def map_size(name: str, h: int, w: int) -> tuple[int, int]:
    """Height and width of the map that a backbone makes of an image."""
    if name in KEYPOINTS:
        return 1, 4
    stride = 4 if name.endswith("cifar") else 32
    return math.ceil(h / stride), math.ceil(w / stride)


def norms_of(name: str) -> list[str]:
    return ["batch_norm"] if name in KEYPOINTS else list(NORMS)


def scratch_norm(name: str) -> str:
    families = {member: family for family, member in MEMBERS.items()}
    return BACKBONES[families.get(name, name)].scratch_norm


def nothing_held_back(backbone: nn.Module) -> nn.Module:
    """Some parameters are zero at first and hold back other gradients."""
    for tensor in (*backbone.parameters(), *backbone.buffers()):  # frozen norms have buffers only
        if tensor.is_floating_point() and not tensor.any():
            nn.init.normal_(tensor)
    return backbone


def check_gradients(backbone: nn.Module, features: torch.Tensor) -> None:
    """Every parameter shapes the features."""
    # No plain mean: behind GroupNorm and the residual it could lose what it should measure.
    (features * torch.randn(features.shape, generator=seeded(1))).sum().backward()
    for parameter_name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


def test_every_family_is_tested():
    assert {name for name in BACKBONES if ":" in name} == set(MEMBERS)
    assert set(LARGE) < set(NAMES)


@pytest.mark.parametrize("name", each_backbone())
def test_every_backbone_takes_images_of_any_size_and_learns(name):
    torch.manual_seed(0)
    backbone = nothing_held_back(build_backbone(name))
    assert (backbone.norm, backbone.pretrained) == (scratch_norm(name), False)
    for h, w in SIZES:
        backbone.zero_grad()
        features = backbone(torch.randn(2, 3, h, w, generator=seeded()))
        assert features.shape == (2, backbone.out_channels, *map_size(name, h, w))
        check_gradients(backbone, features)


@pytest.mark.parametrize("name", sorted(LARGE))
def test_large_backbones_have_the_right_sizes(name):
    with torch.device("meta"):
        backbone = build_backbone(name)
        for h, w in SIZES:
            expected = (2, backbone.out_channels, *map_size(name, h, w))
            assert backbone(torch.empty(2, 3, h, w)).shape == expected


@pytest.mark.parametrize("name", each_backbone())
def test_every_norm(name):
    for norm in norms_of(name):
        torch.manual_seed(0)
        backbone = nothing_held_back(build_backbone(name, norm))
        assert backbone.norm == norm
        check_gradients(backbone, backbone(torch.randn(2, 3, 48, 64, generator=seeded())))
        kinds = {type(module) for module in backbone.modules()}
        assert any(issubclass(kind, nn.BatchNorm2d) for kind in kinds) == (norm == "batch_norm")
        assert (nn.GroupNorm in kinds) == (norm == "group_norm")


@pytest.mark.parametrize("name", each_backbone())
def test_every_backbone_can_be_exported(name):
    torch.manual_seed(0)
    backbone, image = build_backbone(name).eval(), torch.randn(2, 3, 65, 97, generator=seeded())
    with torch.no_grad():
        exported = torch.export.export(backbone, (image,)).module()
        torch.testing.assert_close(exported(image), backbone(image))


@pytest.mark.parametrize("name", each_backbone())
def test_weights_come_back_as_they_were_saved(name, tmp_path):
    """Those of a classifier, whose head is ignored; statistics stay as they are from then on."""
    image = torch.randn(2, 3, 48, 64, generator=seeded())
    scratch = scratch_norm(name)
    for norm in {scratch, "batch_norm"}:
        torch.manual_seed(0)
        trained = build_backbone(name, norm)
        with torch.no_grad():
            trained(3 * image)  # moves the statistics
        head = {"fc.weight": torch.zeros(10, trained.out_channels), "fc.bias": torch.zeros(10)}
        torch.save(trained.state_dict() | head, tmp_path / "own.pth")
        backbone = start_backbones(name, str(tmp_path / "own.pth"))[0]
        is_frozen = norm == "batch_norm" != scratch
        assert (backbone.norm, backbone.pretrained) == ("frozen_bn" if is_frozen else scratch, True)
        with torch.no_grad():
            torch.testing.assert_close(backbone.eval()(image), trained.eval()(image), atol=1e-4, rtol=1e-4)
        rebuilt = build_backbone(name, backbone.norm, pretrained=True)
        rebuilt.load_state_dict(backbone.state_dict())


def test_group_norm_makes_groups_of_sixteen_or_what_comes_out_even():
    for channels, groups in ((64, 4), (512, 32), (8, 1), (24, 1), (40, 2), (56, 2), (17, 1)):
        assert group_norm(channels).num_groups == groups


def test_frozen_norm_has_no_parameters_and_detrs_names():
    state = build_backbone("resnet18", "frozen_bn").state_dict()
    assert {k for k in state if k.startswith("bn1.")} == {
        f"bn1.{x}" for x in NORMS["frozen_bn"](1).state_dict()
    }
    assert {k.split(".")[-1] for k in state} == {"weight", "bias", "running_mean", "running_var"}
    assert not any("bn" in k for k, _ in build_backbone("resnet18", "frozen_bn").named_parameters())


@pytest.mark.parametrize("name", KEYPOINTS)
def test_untrained_keypoints_follow_a_small_thing(name):
    """A cube of five pixels moves some of them with it: without this, nothing is ever learned."""
    torch.manual_seed(0)
    images = torch.full((16, 3, 120, 160), -1.5)
    images[:, :, 20:95, 25:135] = -1.0  # a dark table
    images[:, :, 60:85, 0:40] = images[:, :, 60:85, 120:] = 1.0  # two bright arms
    xs = torch.arange(50, 114, 4)
    for image, x in zip(images, xs.tolist(), strict=True):
        image[:, 70:75, x : x + 5] = torch.tensor([2.0, -1.8, -1.6])[:, None, None]  # red
    backbone = build_backbone(name)
    with torch.no_grad():
        points = backbone.spatial_softmax(backbone.maps(images))  # (16, 64, 2)
    follows = [torch.corrcoef(torch.stack([x, xs.float()]))[0, 1].abs() > 0.9 for x in points[..., 0].T]
    moves = points[..., 0].std(dim=0) * 80 > 1  # pixels
    assert (torch.stack(follows) & moves).sum() >= 5


@pytest.mark.parametrize("name", KEYPOINTS)
def test_keypoints_gives_four_tokens(name):
    assert build_backbone(name)(torch.zeros(2, 3, 30, 44)).shape == (2, 128, 1, 4)


@pytest.mark.parametrize(("name", "width"), [("keypoints", 23), ("keypoints_wide", 127)])
def test_how_far_a_keypoint_sees(name, width):
    torch.manual_seed(0)
    backbone = nothing_held_back(build_backbone(name)).eval()
    image = torch.randn(1, 3, 120, 160, requires_grad=True)
    backbone.maps(image)[0, :, 15, 20].sum().backward()
    seen = torch.nonzero(image.grad.abs().sum(dim=(0, 1, 2)))[:, 0]
    assert width - 12 <= seen.max() - seen.min() + 1 <= width  # ReLUs hide some of it


@pytest.mark.parametrize("name", KEYPOINTS)
def test_keypoints_that_act_are_those_that_were_trained(name):
    torch.manual_seed(0)
    backbone, images = build_backbone(name), torch.randn(4, 3, 34, 46)
    backbone(images)  # measures the norms
    backbone.eval()
    with torch.no_grad():
        acts = acting_backbone(backbone, images[:1], torch.float32)
        assert isinstance(acts, ActingKeypoints)
        torch.testing.assert_close(acts(images), backbone(images), rtol=1e-4, atol=1e-5)


def test_resnet_computes_what_torchvision_does(tmp_path):
    torch.manual_seed(0)
    net = torchvision.models.resnet18().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.save(net.state_dict(), tmp_path / "resnet18.pt")
    backbone = start_backbones("resnet18", str(tmp_path / "resnet18.pt"))[0]
    assert (backbone.norm, backbone.pretrained) == ("frozen_bn", True)
    image = torch.randn(1, 3, 64, 64, generator=seeded())
    with torch.no_grad():
        expected = net(image)
        torch.testing.assert_close(net.fc(backbone(image).mean((2, 3))), expected, atol=1e-4, rtol=1e-4)


def test_spatial_softmax_finds_a_bright_pixel():
    h, w = 12, 16
    x = torch.zeros(1, h * w, h, w)
    x.view(h * w, h * w).fill_diagonal_(50.0)  # channel i is bright at cell i
    expected = cell_centres(h, w, x.device)
    for bright in (x, x.to(memory_format=torch.channels_last), x.bfloat16()):
        torch.testing.assert_close(SpatialSoftmax()(bright)[0], expected, atol=1e-5, rtol=0)
    assert expected[0].tolist() == pytest.approx([1 / w - 1, 1 / h - 1])
    assert expected[w - 1].tolist() == pytest.approx([1 - 1 / w, 1 / h - 1])
    torch.testing.assert_close(SpatialSoftmax()(torch.ones(1, 2, h, w)), torch.zeros(1, 2, 2))


# Residual attention


@pytest.mark.parametrize(
    ("name", "classes", "count", "tolerance"),
    [
        ("residual_attention_56", 1000, 31.9e6, 0.005),  # the paper's table 2
        ("residual_attention_92", 1000, 51.3e6, 0.025),
        ("residual_attention_cifar", 10, 459_114, 0),
        ("residual_attention_56_cifar", 10, 7_202_794, 0),
        ("residual_attention_18", 0, 1_882_496, 0),
    ],
)
def test_number_of_parameters(name, classes, count, tolerance):
    with torch.device("meta"):
        backbone = build_backbone(name)
    head = classes * (backbone.out_channels + 1)
    assert head + sum(p.numel() for p in backbone.parameters()) == pytest.approx(count, rel=tolerance)


def test_residual_attention_18_is_a_light_backbone_of_resnet18s_shape():
    light, resnet = build_backbone("residual_attention_18"), build_backbone("resnet18")
    image = torch.randn(1, 3, 65, 97, generator=seeded())
    with torch.no_grad():
        assert light(image).shape == resnet(image).shape
    assert sum(p.numel() for p in light.parameters()) <= 3.1e6


@pytest.mark.parametrize("poolings", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (7, 10), (16, 16)])
def test_masks_lie_between_zero_and_one_at_any_size(poolings, size):
    torch.manual_seed(0)
    module = AttentionModule(32, poolings, group_norm)
    x = torch.randn(2, 32, *size, generator=seeded())
    mask = module.mask(x)
    assert mask.shape == x.shape == module(x).shape
    assert (mask > 0).all() and (mask < 1).all()
    if size != (1, 1):
        assert mask.flatten(2).std(dim=2).min() > 0  # of each place its own (mixed attention)
    assert mask.std(dim=1).min() > 0  # and of each channel


def test_an_attention_module_is_one_plus_mask_times_trunk(monkeypatch):
    torch.manual_seed(0)
    module = AttentionModule(16, 2, group_norm)
    x = torch.randn(2, 16, 9, 12, generator=seeded())
    with torch.no_grad():
        trunk = module.trunk(module.before(x))
        expected = module.after((1 + module.mask(module.before(x))) * trunk)
        torch.testing.assert_close(module(x), expected)
        monkeypatch.setattr(module, "mask", torch.zeros_like)
        torch.testing.assert_close(module(x), module.after(trunk))  # without a mask the trunk passes whole


def test_a_mask_sees_further_than_its_trunk():
    torch.manual_seed(0)
    module = AttentionModule(16, 3, NORMS["frozen_bn"])  # group norm would see everything at once
    x = torch.randn(1, 16, 64, 64, generator=seeded(), requires_grad=True)

    def reach(y: torch.Tensor) -> int:
        (gradient,) = torch.autograd.grad(y[0, :, 32, 32].sum(), x)
        return int((gradient[0].abs().amax(dim=(0, 1)) > 0).sum())  # columns

    assert reach(module.trunk(x)) == 5 < reach(module.mask(x))


def poolings_of(network: ResidualAttention) -> list[list[int]]:
    """By stage, by attention module: how many hourglasses are one in the other, and pool."""
    return [
        [
            sum(isinstance(part, Hourglass) and part.pools for part in module.modules())
            for module in stage
            if isinstance(module, AttentionModule)
        ]
        for stage in network.stages
    ]


def test_modules_and_poolings_of_the_stages():
    for name, expected in {
        "residual_attention_56": [[3], [2], [1], []],
        "residual_attention_92": [[3], [2, 2], [1, 1, 1], []],
        "residual_attention_18": [[3], [2], [1], []],
        "residual_attention_cifar": [[2], [1], [0], []],
        "residual_attention_56_cifar": [[2], [1], [0], []],
    }.items():
        with torch.device("meta"):
            assert poolings_of(ResidualAttention(FORMS[name], group_norm)) == expected


# timm


def test_a_missing_timm_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    for use in (build_backbone, init_backbone):
        with pytest.raises(ImportError, match=r"a backbone timm:NAME needs .*: pip install timm$"):
            use("timm:test_resnet")


@needs_timm
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:test_resnett", "no model 'test_resnett'; did you mean 'timm:test_resnet'"),
        ("timm:NAME", "no model 'NAME'"),
        ("timm:", "no model ''"),
        ("timm:test_resnet.no_tag", r"no model 'test_resnet\.no_tag'; did you mean"),
        ("timm:test_maxvit", "'test_maxvit' cannot be a backbone: it takes images of one size only"),
        ("timm:mixer_s32_224", "'mixer_s32_224' cannot be a backbone: it takes images of one size only"),
        ("timm:test_mambaout", None),
        ("tim:test_resnet", "unknown backbone 'tim:test_resnet'"),
    ],
)
def test_models_that_are_no_backbones_are_refused(name, said):
    if said is None:
        assert build_backbone(name).out_channels > 0
        return
    with pytest.raises(ValueError, match=said) as caught:
        build_backbone(name)
    assert "\n" not in str(caught.value)


@needs_timm
@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_efficientnet", "test_efficientnet_ln"])
def test_other_kinds_of_timm_models(name):
    """Transformers are made for one size, ConvNeXts have no batch norm."""
    torch.manual_seed(0)
    backbone = build_backbone(f"timm:{name}")
    stride = 16 if name == "test_vit" else 32
    for h, w in SIZES:
        features = backbone(torch.randn(2, 3, h, w, generator=seeded()))
        assert features.shape == (2, backbone.out_channels, math.ceil(h / stride), math.ceil(w / stride))


@needs_timm
def test_channels_that_timm_puts_last_are_put_first():
    class Last(nn.Module):
        output_fmt = "NHWC"

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [x.movedim(1, -1)]

    class Info:
        channels = staticmethod(lambda: [3])
        reduction = staticmethod(lambda: [1])

    features = Last()
    features.feature_info = Info()
    image = torch.randn(1, 3, 5, 7, generator=seeded())
    assert torch.equal(timm_models.TimmModel(features)(image), image)


@needs_timm
def test_timms_weights_are_used_where_they_lie_on_disk(monkeypatch, tmp_path):
    import timm

    torch.manual_seed(1)
    whole = timm.create_model("test_resnet")
    torch.save(whole.state_dict(), tmp_path / "pytorch_model.bin")
    asked = []

    def find(repository: str, file: str) -> str | None:
        asked.append((repository, file))
        return str(tmp_path / file) if file == "pytorch_model.bin" else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", find)
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("asks the network"))
    backbone = init_backbone("timm:test_resnet")
    assert asked[0] == ("timm/test_resnet.r160_in1k", "model.safetensors")
    assert (backbone.norm, backbone.pretrained) == ("frozen_bn", True)
    image = torch.randn(1, 3, 64, 96, generator=seeded())
    with torch.no_grad():
        torch.testing.assert_close(backbone.eval()(image), whole.eval().forward_features(image))


@needs_timm
def test_without_network_timm_falls_back_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a: None)
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    start = time.monotonic()
    with pytest.warns(UserWarning, match=r"timm:test_resnet.*unreachable.*group_norm"):
        backbone = init_backbone("timm:test_resnet", "imagenet")
    assert time.monotonic() - start < 5
    assert (backbone.norm, backbone.pretrained) == ("group_norm", False)


# Weights


def no_network(*args: object, **kwargs: object) -> None:
    raise urllib.error.URLError("network is unreachable")


@pytest.mark.parametrize("weights", ["imagenet", "auto"])
def test_without_network_imagenet_falls_back(monkeypatch, tmp_path, weights):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # so that no cached file answers
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    with pytest.warns(
        UserWarning, match=r"resnet18.*unreachable.*group_norm.*--backbone_weights PATH"
    ) as record:
        backbone = init_backbone("resnet18", weights)
    assert len(record) == 1
    assert (backbone.norm, backbone.pretrained) == ("group_norm", False)
    assert isinstance(backbone.bn1, nn.GroupNorm) and backbone.bn1.num_groups == 4
    assert socket.getdefaulttimeout() is None


def test_a_silent_server_does_not_hold_us_up(monkeypatch, tmp_path):
    """A server that accepts and never answers, as a firewall may look."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("detr.backbones.backbone.DOWNLOAD_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/resnet18-f37072fd.pth"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(
            "torchvision.models._api.load_state_dict_from_url",
            lambda _, **kwargs: torch.hub.load_state_dict_from_url(url, **kwargs),
        )
        start = time.monotonic()
        with pytest.warns(UserWarning, match="timed out"):
            init_backbone("resnet18", "imagenet")
        assert time.monotonic() - start < 3


def test_imagenet_weights_are_used_when_they_are_there(monkeypatch):
    state = torchvision.models.resnet18().state_dict()
    monkeypatch.setattr("detr.backbones.backbone._imagenet_weights", lambda name: state)
    backbone = init_backbone("resnet18")
    assert (backbone.norm, backbone.pretrained) == ("frozen_bn", True)
    assert torch.equal(backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])


def test_random_weights_need_no_download(monkeypatch):
    monkeypatch.setattr("detr.backbones.backbone._imagenet_weights", lambda name: pytest.fail("downloads"))
    for name, weights, norm in (
        ("resnet18", "none", "group_norm"),
        ("keypoints", "none", "batch_norm"),
        ("keypoints", "auto", "batch_norm"),
    ):
        backbone = init_backbone(name, weights)
        assert (backbone.norm, backbone.pretrained) == (norm, False)


def test_bad_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="imagenett"):
        start_backbones("resnet18", "imagenett")
    with pytest.raises(ValueError, match="'imagenett'; did you mean 'imagenet'"):
        init_backbone("resnet18", "imagenett")
    with pytest.raises(ValueError, match="no ImageNet weights for backbone 'keypoints'"):
        init_backbone("keypoints", "imagenet")
    (tmp_path / "text.pt").write_text("no weights at all")
    with pytest.raises(ValueError, match=r"text\.pt is a text file.*'no weights at all'"):
        start_backbones("resnet18", str(tmp_path / "text.pt"))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list\.pt holds a list, not the dict"):
        start_backbones("resnet18", str(tmp_path / "list.pt"))
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.pt")
    with pytest.raises(ValueError, match=r"part\.pt does not fit backbone 'resnet18'.*Missing"):
        start_backbones("resnet18", str(tmp_path / "part.pt"))


def test_unknown_names_show_the_choices():
    with pytest.raises(
        ValueError, match="'resnet19'; did you mean 'resnet18'.*choose from keypoints, .*resnet18"
    ):
        build_backbone("resnet19")
    with pytest.raises(ValueError, match="'xyz'; choose from keypoints.*timm:NAME"):
        init_backbone("xyz")
    with pytest.raises(ValueError, match="choose from batch_norm, frozen_bn, group_norm"):
        build_backbone("resnet18", "layer_norm")
    with pytest.raises(ValueError, match="keypoints.*frozen_bn"):
        build_backbone("keypoints", "frozen_bn")


def test_one_registered_function_is_a_backbone(monkeypatch):
    monkeypatch.setattr("detr.backbones.backbone.BACKBONES", dict(BACKBONES))

    @register_backbone("patches")
    def patches(name: str, norm: str) -> nn.Module:
        net = nn.Conv2d(3, 8, kernel_size=16, stride=16)
        net.out_channels = 8
        return net

    backbone = init_backbone("patches")
    act = ACT([backbone], ACTSizes(7, 8, 6, hidden_dim=32, dim_feedforward=48, nheads=4))
    images = torch.randn(3, 1, 3, 32, 40, generator=seeded())
    assert act(torch.zeros(3, 7), images)[0].shape == (3, 6, 8)
    with pytest.raises(ValueError, match="registered twice"):
        register_backbone("patches")(patches)


@pytest.mark.parametrize(
    "name",
    ["residual_attention_18", "residual_attention_cifar", pytest.param("timm:test_vit", marks=needs_timm)],
)
def test_a_policy_with_it_comes_back_from_its_checkpoint(name, tmp_path):
    policy = make_act(("top", "wrist"), backbone=name, backbone_weights="none").eval()
    save_policy(tmp_path / "a.ckpt", policy)
    loaded, batch = load_policy(tmp_path / "a.ckpt"), make_batch(2, cameras=2)
    with torch.no_grad():
        assert torch.equal(loaded.act(batch), policy.act(batch))
