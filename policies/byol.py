"""Features learned without labels: BYOL trains a network to see the same in two changed views of a picture.

Source: Grill et al. 2020, "Bootstrap your own latent" (arXiv:2006.07733), as VINN uses it (Pari et al.
2021, section III-B); the learner itself is the package byol-pytorch. The views are ours. They are mild:
a picture of a task tells where things are, and views cropped as hard as for ImageNet (to 8 % of the picture)
would teach a network to ignore that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.augmentation import BRIGHTNESS, CONTRAST, SATURATION

if TYPE_CHECKING:
    from byol_pytorch import BYOL

NUMBERS = 7  # uniform random numbers that a view depends on
GRAY_SHARE = 0.2  # of the views, without colour (Grill et al., appendix B)
PROJECTION, HIDDEN = 128, 1024  # widths of the projector and predictor; BYOL's are 256 and 4096, for ImageNet
DECAY = 0.99  # of the target's moving average: half of it is from the last 70 steps
GRAY = (0.299, 0.587, 0.114)  # how bright red, green and blue are (ITU-R BT.601)


def changed_view(images: Tensor, numbers: Tensor, crop: float) -> Tensor:
    """Crop each image, resize it back, and change its colours, as its numbers say.

    Args:
        images: (B, 3, H, W) in [0, 1].
        numbers: (B, NUMBERS) in [0, 1).
        crop: share of each side that a crop keeps at least.
    """
    side, x, y, brightness, contrast, saturation, gray = numbers.unbind(dim=1)  # (B,) each
    side = crop + (1 - crop) * side
    zero = torch.zeros_like(side)
    rows = [(side, zero, (1 - side) * (2 * x - 1)), (zero, side, (1 - side) * (2 * y - 1))]
    places = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)  # (B, 2, 3)
    grid = F.affine_grid(places, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    images = images * _factor(brightness, BRIGHTNESS)
    mean = _gray(images).mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * _factor(contrast, CONTRAST)
    is_coloured = (gray >= GRAY_SHARE).float()[:, None, None, None]
    colour = images - _gray(images)
    return (_gray(images) + colour * _factor(saturation, SATURATION) * is_coloured).clamp(0, 1)


def _factor(number: Tensor, most: float) -> Tensor:
    """(B,) in [0, 1) to a factor of 1 - most to 1 + most, (B, 1, 1, 1)."""
    return (1 + most * (2 * number - 1))[:, None, None, None]


def _gray(images: Tensor) -> Tensor:
    """(B, 3, H, W) to (B, 1, H, W)."""
    red, green, blue = (share * images[:, i : i + 1] for i, share in enumerate(GRAY))
    return red + green + blue


def make_learner(net: nn.Module) -> BYOL:
    """BYOL for a network that maps (B, 3, H, W) to features (B, f).

    `learner(views)` is its loss, of two views stacked as the channels of one picture, (B, 6, H, W);
    `update_target(learner)` must follow each optimiser step.
    """
    from byol_pytorch import BYOL  # imports torchvision, and so torch's compiler: seconds

    return BYOL(
        net,
        image_size=64,  # of a picture that it is tried out on; others may have any
        hidden_layer=-1,
        projection_size=PROJECTION,
        projection_hidden_size=HIDDEN,
        augment_fn=_first_view,
        augment_fn2=_second_view,
        moving_average_decay=DECAY,
        sync_batchnorm=False,
        use_simplicial_embeddings=False,
    )


@torch.no_grad()
def update_target(learner: BYOL) -> None:
    """Move the target's weights towards the network's.

    As the learner's own `update_moving_average`, but in place, which CUDA graphs need, and all at once.
    """
    targets, weights = learner.target_encoder.parameters(), learner.online_encoder.parameters()
    torch._foreach_lerp_(list(targets), list(weights), 1 - DECAY)


def _first_view(views: Tensor) -> Tensor:
    return views[:, :3].contiguous(memory_format=torch.channels_last)


def _second_view(views: Tensor) -> Tensor:
    return views[:, -3:].contiguous(memory_format=torch.channels_last)
