"""A small backbone that reduces an image to the places of what it shows.

Source: Finn et al. 2016, "Deep Spatial Autoencoders for Visuomotor Learning", section IV (spatial softmax),
also in robomimic, models/base_nets.py. Ours hands out tokens for a transformer.

From few demonstrations it must learn to look at all, and then to measure to a fraction of a pixel. What
decided that, in this order (otherwise many networks see only the mean of the picture, and stay so):

- batch norm, which lets a small thing stand out in its channel; group norm drowns it in its neighbours;
- opponent colours: in RGB the channels hardly differ, and random filters hardly see what does;
- a map at a quarter of the image's resolution: at an eighth, a cube of five pixels falls between its cells;
- noise on the keypoints while training (as robomimic's `noise_std`): between the few places that were
  shown, the actions stay smooth instead of jumping to another moment of the task;
- no ReLU before the softmax, and keypoints that are normalised, as at first they hardly move.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call


class SpatialSoftmax(nn.Module):
    """Read each channel of a map as a distribution over places and return its mean place.

    Whoever makes the map multiplies it by `scale`, which is learned: in a layer that has factors anyway, it
    costs nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(3.0).log())  # minus the logarithm of the temperature

    @property
    def scale(self) -> Tensor:
        """() positive."""
        return self.log_scale.exp()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, 2) float32: x to the right, y down, both in [-1, 1] over the image.

        Computed in float32 also under autocast: a bfloat16 coordinate would be off by a third of a pixel.
        """
        h, w = x.shape[-2:]
        with torch.autocast(x.device.type, enabled=False):
            return (cell_centres(h, w, x.device).T @ self.places(x)).transpose(1, 2)  # (B, C, 2)

    def places(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, h * w, C) float32: each channel as a distribution over places."""
        logits = x.flatten(2).transpose(1, 2).float()  # (B, h * w, C): channels-last stays as it is
        return torch.softmax(logits, dim=1)


def conv_layers(channels: int, layers: Sequence[tuple[int, int, int]]) -> list[nn.Module]:
    """Convolutions of 3 x 3, each with a norm and a ReLU; of each: channels, stride, dilation."""
    modules: list[nn.Module] = []
    for width, stride, dilation in layers:
        conv = nn.Conv2d(channels, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        modules += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
    return modules


class Keypoints(nn.Module):
    """Four convolutions, spatial softmax, and a linear map of all the keypoints to each token.

    (B, 3, H, W) to (B, out_channels, 1, tokens); H and W of any size.
    """

    CHANNELS = 64  # so many keypoints
    NOISE = 0.01  # standard deviation, in half image sizes: 0.8 pixels of 160

    def __init__(self, out_channels: int = 128, tokens: int = 4) -> None:
        super().__init__()
        self.out_channels = out_channels
        grey = [1 / 3, 1 / 3, 1 / 3]
        opponents = [grey, [2, -1, -1], [-1, 2, -1], [-1, -1, 2]]  # a colour against the others
        self.register_buffer("opponents", torch.tensor(opponents), persistent=False)
        self.convs = nn.Sequential(*self._layers(len(opponents))[:-1])
        self.spatial_softmax = SpatialSoftmax()
        self.norm_points = nn.LayerNorm(2 * self.CHANNELS)
        self.to_tokens = nn.Linear(2 * self.CHANNELS, tokens * out_channels)

    def _layers(self, channels: int) -> list[nn.Module]:
        """From the opponent colours to the maps; it ends with a norm and a ReLU, which is left out."""
        return conv_layers(channels, ((32, 2, 1), (32, 2, 1), (64, 1, 1), (self.CHANNELS, 1, 1)))

    def maps(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, h, w): how much of a feature there is at each place, times the softmax's
        scale.
        """
        first, between, norm = self.convs[0], self.convs[1:-1], self.convs[-1]
        x = between(functional_call(first, {"weight": self.rgb_kernel()}, image))
        return functional_call(norm, self.last_norm(), x)

    def rgb_kernel(self) -> Tensor:
        """Of the first convolution, (out, 3, 3, 3): it is of the opponent colours, but takes RGB."""
        return torch.einsum("ochw,ci->oihw", self.convs[0].weight, self.opponents)

    def last_norm(self) -> dict[str, Tensor]:
        """The last norm's weight and bias, times the softmax's scale."""
        scale = self.spatial_softmax.scale
        return {name: factor * scale for name, factor in self.convs[-1].named_parameters()}

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, out_channels, 1, tokens) float32."""
        points = self.spatial_softmax(self.maps(image)).flatten(1)  # (B, 2 * C)
        if self.training:
            points = points + self.NOISE * torch.randn_like(points)
        with torch.autocast(points.device.type, enabled=False):
            tokens = self.to_tokens(self.norm_points(points))  # (B, tokens * out_channels)
        tokens = tokens.view(len(image), 1, -1, self.out_channels)
        return tokens.permute(0, 3, 1, 2)  # (B, out_channels, 1, tokens)


class Around(nn.Module):
    """Adds to each place of a map (B, C, h, w) what is around it: three convolutions at half its resolution,
    each dilated twice as far as the one before.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *conv_layers(channels, ((channels, 2, 1), (channels, 1, 2), (channels, 1, 4)))
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + nn.functional.interpolate(self.convs(x), size=x.shape[-2:])


class WideKeypoints(Keypoints):
    """Keypoints that see four fifths of a picture of 120 x 160, not 23 pixels: a third more arithmetic.

    Where lights, tables and cameras vary, a thing is told from others by what is around it, and is placed
    relative to what else is seen. Cubes were found in unseen rooms (`--looks real`) to 7.5 mm instead of
    19 mm (median of 400), after 800 steps.
    """

    def _layers(self, channels: int) -> list[nn.Module]:
        before = conv_layers(channels, ((32, 2, 1), (32, 2, 1), (64, 1, 1)))
        return [*before, Around(64), *conv_layers(64, ((self.CHANNELS, 1, 1),))]


def cell_centres(h: int, w: int, device: torch.device) -> Tensor:
    """Centres (x, y) of the cells of an (h, w) map, row by row, in [-1, 1]: (h * w, 2)."""
    y = (torch.arange(h, device=device) * 2 + 1) / h - 1  # (h,)
    x = (torch.arange(w, device=device) * 2 + 1) / w - 1  # (w,)
    return torch.stack([x.repeat(h), y.repeat_interleave(w)], dim=-1)  # (h * w, 2)
