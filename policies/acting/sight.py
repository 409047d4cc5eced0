"""What a policy sees of a camera's raw picture, as modules that a graph can hold: what `View`, `resize_image`
(OpenCV) and `centre_crop` (torchvision) give, to the bit.

Between them pictures are (n, H, W, 3) float32 whole numbers of 0 to 255.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from episodes import View, contrast_table
from policies.augmentation import cropped_size

Size = tuple[int, int]  # height, width (pixels)
ONE = 2048  # OpenCV's fixed point of two neighbours' shares
SHIFTS = (16, 65536, 4)  # how OpenCV takes it off again, rounding
TINY = 1e-3  # of a pixel: less is left out, as in OpenCV
MOST_BITS, MOST_WEIGHT = 22, 1 << 15  # torch's fixed point: as many bits as the largest weight allows


def sight(view: View, frame_size: Size, image_size: Size, is_cropped: bool) -> nn.Module:
    """From raw pictures (n, H, W, 3) uint8 of a camera, of `frame_size`, to what a policy sees, of
    `image_size`; `is_cropped` if training cropped its pictures at random (`centre_crop`).
    """
    if view.is_dark:
        return _Dark(image_size)
    x0, y0, x1, y1 = view.crop or (0, 0, frame_size[1], frame_size[0])
    parts = [_Part(view, frame_size, (x0, y0, x1, y1)), resizing((y1 - y0, x1 - x0), image_size)]
    return nn.Sequential(*parts, *([_CentreCrop(image_size)] if is_cropped else []))


class _Dark(nn.Module):
    """A camera whose view is black."""

    def __init__(self, image_size: Size) -> None:
        super().__init__()
        self._size = image_size

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.zeros(len(pictures), *self._size, 3)


class _Part(nn.Module):
    """Cuts a box out of raw pictures, with what lies outside the view's other boxes changed."""

    def __init__(self, view: View, frame_size: Size, box: tuple[int, int, int, int]) -> None:
        super().__init__()
        self._box, self._has_table = box, view.roi is not None
        if view.roi is not None:
            self.register_buffer("inside", self._where(view.roi, frame_size))
            self.register_buffer("table", torch.from_numpy(contrast_table(view.roi_weight)).flatten().float())
        kept = torch.ones(1) if view.mask_outside is None else self._where(view.mask_outside, frame_size)
        self.register_buffer("kept", kept.float(), persistent=False)
        self._is_masked = view.mask_outside is not None

    def _where(self, box: tuple[int, int, int, int], frame_size: Size) -> Tensor:
        """(h, w, 1) bool: which pixels of the part that is cut out are in a box of the frame."""
        x0, y0, x1, y1 = box
        where = torch.zeros(*frame_size, 1, dtype=torch.bool)
        where[y0:y1, x0:x1] = True
        left, top, right, bottom = self._box
        return where[top:bottom, left:right]

    def forward(self, pictures: Tensor) -> Tensor:
        x0, y0, x1, y1 = self._box
        cut = pictures[:, y0:y1, x0:x1]
        shown = cut.float()
        if self._has_table:
            weighted = self.table[3 * cut.long() + torch.arange(3)]
            shown = torch.where(self.inside, shown, weighted)
        return shown * self.kept if self._is_masked else shown


def resizing(size: Size, wanted: Size) -> nn.Module:
    """As `resize_image` scales pictures of a size: by `cv2.INTER_AREA`, which has a way for each case."""
    if size == wanted:
        return nn.Identity()
    if any(n < m for n, m in zip(size, wanted, strict=True)):
        return _Between(size, wanted)
    if all(n % m == 0 for n, m in zip(size, wanted, strict=True)):
        return _Blocks(size, wanted)
    return _Areas(size, wanted)


class _Blocks(nn.Module):
    """Each pixel is the mean of a block."""

    def __init__(self, size: Size, wanted: Size) -> None:
        super().__init__()
        self._wanted = wanted
        self._block = size[0] // wanted[0], size[1] // wanted[1]

    def forward(self, pictures: Tensor) -> Tensor:
        (h, w), (down, right) = self._wanted, self._block
        sums = pictures.reshape(len(pictures), h, down, -1).sum(2)  # (n, h, W * 3)
        sums = sums.reshape(len(pictures), h, w, right, 3).sum(3)
        if self._block == (2, 2):  # OpenCV rounds halves up here, elsewhere to even numbers
            return torch.floor((sums + 2) / 4)
        return torch.round(sums * (1 / (down * right)))


class _Areas(nn.Module):
    """Each pixel is the mean of what it covers: first across, then down, term by term as OpenCV adds up."""

    def __init__(self, size: Size, wanted: Size) -> None:
        super().__init__()
        for name, n, m in (("rows", size[0], wanted[0]), ("columns", size[1], wanted[1])):
            at, share = _covered(n, m)
            self.register_buffer(f"{name}_at", torch.from_numpy(at))
            self.register_buffer(f"{name}_share", torch.from_numpy(share.astype(np.float32)))

    def forward(self, pictures: Tensor) -> Tensor:
        terms = zip(self.columns_at, self.columns_share[..., None], strict=True)
        across = sum(pictures[:, :, at] * share for at, share in terms)  # (n, H, w, 3)
        terms = zip(self.rows_at, self.rows_share[..., None, None], strict=True)
        return torch.round(sum(across[:, at] * share for at, share in terms))


def _covered(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of n pixels are in each of m that cover the same length, and their shares: (most, m) each."""
    edges = np.arange(m + 1) * (n / m)
    first = np.floor(edges[:-1] + TINY).astype(np.int64)
    at = first + np.arange(math.ceil(n / m) + 1)[:, None]
    share = np.minimum(edges[1:], at + 1) - np.maximum(edges[:-1], at)
    return at.clip(max=n - 1), np.where(share > TINY, share, 0) * (m / n)


class _Between(nn.Module):
    """Each pixel is between two neighbours in each direction: what OpenCV does where a side grows."""

    def __init__(self, size: Size, wanted: Size) -> None:
        super().__init__()
        for name, n, m in (("rows", size[0], wanted[0]), ("columns", size[1], wanted[1])):
            first, share = _neighbours(n, m)
            both = np.stack([first, np.minimum(first + 1, n - 1)])
            self.register_buffer(f"{name}_at", torch.from_numpy(both))
            self.register_buffer(f"{name}_share", torch.from_numpy(share.astype(np.int32)))

    def forward(self, pictures: Tensor) -> Tensor:
        whole = pictures.to(torch.int32)
        left, right = (whole[:, :, at] for at in self.columns_at)
        share = self.columns_share[..., None]  # (2, w, 1)
        across = (left * share[0] + right * share[1]) // SHIFTS[0]  # (n, H, w, 3)
        upper, lower = (across[:, at] for at in self.rows_at)
        share = self.rows_share[..., None, None]  # (2, h, 1, 1)
        total = (upper * share[0]) // SHIFTS[1] + (lower * share[1]) // SHIFTS[1]
        return ((total + 2) // SHIFTS[2]).float()


def _neighbours(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Of n pixels the first of the two neighbours of each of m, (m,), and the shares of both, (2, m) of
    `ONE`.
    """
    places = np.arange(m)
    first = np.floor(places * (n / m)).astype(np.int64)
    second = ((places + 1) - (first + 1) * (m / n)).astype(np.float32)
    second = np.where(second <= 0, 0, second - np.floor(second)).astype(np.float32)
    second, first = np.where(first >= n - 1, 0, second), np.minimum(first, n - 1)
    return first, np.rint(np.stack([1 - second, second]) * np.float32(ONE))


class _CentreCrop(nn.Module):
    """The middle, scaled up to the whole (`centre_crop`): first across, then down, rounded each time."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self._part = cropped_size(*size)
        self._first = [round((whole - part) / 2) for whole, part in zip(size, self._part, strict=True)]
        self._units = []
        for name, part, whole in zip(("down", "right"), self._part, size, strict=True):
            weights, bits = _weights(part, whole)
            self.register_buffer(name, torch.from_numpy(weights).float())
            self._units.append(1 << bits)

    def forward(self, pictures: Tensor) -> Tensor:
        (top, left), (height, width) = self._first, self._part
        n, middle = len(pictures), pictures[:, top : top + height, left : left + width]
        across = (middle.transpose(2, 3) @ self.right.T).transpose(2, 3)  # exact: below 2 ** 24
        across = _rounded(across, self._units[1])
        down = self.down @ across.reshape(n, height, -1)
        return _rounded(down, self._units[0]).reshape(n, len(self.down), -1, 3)


def _rounded(sums: Tensor, unit: int) -> Tensor:
    return torch.floor((sums + unit // 2) / unit).clamp(0, 255)


def _weights(n: int, m: int) -> tuple[np.ndarray, int]:
    """Weights (m, n) by which torch scales n pixels to m > n, in its fixed point, and its bits."""
    centres = n / m * (np.arange(m)[:, None] + 0.5)
    weights = (1 - np.abs(np.arange(n) - centres + 0.5)).clip(0)
    weights /= weights.sum(axis=1, keepdims=True)
    fits = (b for b in range(MOST_BITS + 1) if math.floor(0.5 + weights.max() * 2 ** (b + 1)) >= MOST_WEIGHT)
    bits = next(fits, MOST_BITS)
    return np.floor(weights * (1 << bits) + 0.5), bits
