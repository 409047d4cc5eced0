"""One vector for each camera's image, on top of any backbone.

Source: ACT++, policy.py (DiffusionPolicy): ResNet-18, spatial softmax with 32 keypoints, a linear map to 64,
the first two of them robomimic's (models/base_nets.py).
"""

import contextlib
import io
from types import ModuleType

import torch
from torch import Tensor, nn


def robomimic_nets() -> ModuleType:
    """robomimic's `models.base_nets`; imported late, as it takes seconds, and without its note on macros.

    Raises:
        ImportError: it is not installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # "No private macro file found!": we need none
            from robomimic.models import base_nets
    except ImportError as error:
        raise ImportError(
            f"robomimic is needed for this backbone or policy: pip install -r requirements.txt ({error})"
        ) from error
    return base_nets


class CameraEncoder(nn.Module):
    """A backbone, and what reduces its map to one vector: (B, 3, H, W) to (B, out_dim) float32.

    A map is reduced to the mean places of 32 learned channels (robomimic's SpatialSoftmax). A map of one
    row, as the tokens of `keypoints`, holds no places: it goes into the linear map as it is.

    Args:
        backbone: (B, 3, H, W) to (B, out_channels, h, w).
        image_size: H and W; fixed, as the places of the spatial softmax are.
        out_dim: width of the vector.
        num_kp: keypoints of the spatial softmax.
    """

    def __init__(
        self, backbone: nn.Module, image_size: tuple[int, int], out_dim: int = 64, num_kp: int = 32
    ) -> None:
        super().__init__()
        self.backbone = backbone
        channels, h, w = map_shape(backbone, image_size)
        if h == 1:
            self.reduce, features = nn.Flatten(), channels * w
        else:
            self.reduce = robomimic_nets().SpatialSoftmax((channels, h, w), num_kp=num_kp)
            features = 2 * num_kp
        self.project = nn.Linear(features, out_dim)

    def forward(self, image: Tensor) -> Tensor:
        features = self.backbone(image)
        with torch.autocast(image.device.type, enabled=False):  # bfloat16 is too coarse for places
            return self.project(self.reduce(features.float()).flatten(1))


@torch.no_grad()
def map_shape(backbone: nn.Module, image_size: tuple[int, int]) -> tuple[int, int, int]:
    """Channels, height and width of the backbone's map of one image; leaves no trace in the backbone."""
    was_training = backbone.training
    device = next(backbone.parameters()).device
    shape = backbone.eval()(torch.zeros(1, 3, *image_size, device=device)).shape[1:]
    backbone.train(was_training)
    return tuple(shape)
