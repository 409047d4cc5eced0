"""Camera encoders, and robomimic's backbone."""

import subprocess
import sys

import pytest
import torch
from repository import ROOT
from torch import nn

from detr.backbones.backbone import build_backbone, init_backbone
from detr.backbones.spatial import CameraEncoder


class Blob(nn.Module):
    """A backbone whose map is the image's red channel, at half its size, thrice."""

    out_channels = 3

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(100.0))

    def forward(self, image):
        return self.gain * nn.functional.avg_pool2d(image[:, :1], 2).expand(-1, 3, -1, -1)


def test_a_map_is_reduced_to_where_its_channels_are():
    encoder = CameraEncoder(Blob(), (16, 24), out_dim=5, num_kp=2)
    with torch.no_grad():
        encoder.reduce.nets.weight.fill_(1.0)  # both keypoints look at the sum of all channels
        image = torch.zeros(1, 3, 16, 24)
        image[0, 0, 4:6, 20:22] = 1  # cell (row 2 of 8, column 10 of 12)
        place = torch.tensor([2 * 10 / 11 - 1, 2 * 2 / 7 - 1])  # x, y in [-1, 1]
        expected = encoder.project(place.repeat(2)[None])
        torch.testing.assert_close(encoder(image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["keypoints", "robomimic_resnet18", "resnet18"])
def test_every_backbone_gives_one_vector_and_learns(name):
    backbone = build_backbone(name)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    encoder = CameraEncoder(backbone, (64, 96))
    assert backbone.training and all(torch.equal(before[k], v) for k, v in backbone.state_dict().items())
    vector = encoder(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)))
    assert vector.shape == (2, 64) and vector.dtype == torch.float32
    vector.square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)


def test_places_are_computed_in_float32_under_autocast():
    encoder = CameraEncoder(Blob(), (16, 24)).eval()
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = encoder.project(encoder.reduce(encoder.backbone(image)).flatten(1))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(encoder(image), exact)


def test_robomimics_resnet_is_the_resnet_in_other_names():
    torch.manual_seed(0)
    ours, plain = init_backbone("robomimic_resnet18"), build_backbone("resnet18")
    assert (ours.norm, ours.pretrained, ours.out_channels) == ("group_norm", False, 512)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in ours.modules())
    pairs = zip(ours.state_dict(), plain.state_dict().values(), strict=True)
    ours.load_state_dict(dict(pairs))
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(image), plain(image))


def test_robomimic_is_imported_late_and_silently():
    code = (
        "import sys, detr.backbones.backbone, policy\n"
        "assert not any(name.startswith(('robomimic', 'diffusers')) for name in sys.modules)\n"
        "detr.backbones.backbone.build_backbone('robomimic_resnet18')\n"
        "assert 'robomimic' in sys.modules and 'robomimic.algo' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_robomimic_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "robomimic.models", None)
    with pytest.raises(ImportError, match="robomimic is needed"):
        build_backbone("robomimic_resnet18")
