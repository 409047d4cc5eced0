"""Classification of images, by which a backbone can be trained before any policy: data and network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from common import autocast
from constants import IMAGENET_MEAN, IMAGENET_STD

PADDING = 4  # pixels around an image that a crop may take in (He et al. 2016, section 4.2)
EVALUATION_BATCH = 250
FAKE_SIZES = (2000, 500)  # training and test images


@dataclass(frozen=True)
class Images:
    """Pictures and what they show."""

    pixels: Tensor  # (N, 3, H, W) uint8 RGB
    labels: Tensor  # (N,) int64, indices of `classes`
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Images:
        """The same on a device."""
        return Images(self.pixels.to(device), self.labels.to(device), self.classes)

    def split(self, share: float, seed: int) -> tuple[Images, Images]:
        """Split at random: the rest, and a share of them."""
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(self)))
        cut = len(self) - max(1, round(share * len(self)))
        first, second = (
            Images(self.pixels[i], self.labels[i], self.classes) for i in (order[:cut], order[cut:])
        )
        return first, second


def read_cifar10(folder: str | Path, download: bool = False) -> tuple[Images, Images]:
    """CIFAR-10's training and test images (Krizhevsky 2009), of 32x32 pixels in 10 classes.

    Args:
        folder: holds `cifar-10-batches-py`, or will.
        download: fetch them if they are not there.

    Raises:
        FileNotFoundError: they are missing or incomplete.
        OSError: they cannot be downloaded.
    """
    from torchvision.datasets import CIFAR10

    try:
        parts = [CIFAR10(str(folder), train=train, download=download) for train in (True, False)]
    except RuntimeError as error:
        raise FileNotFoundError(
            f"{folder} holds no complete cifar-10-batches-py ({str(error).splitlines()[0]}); "
            "add --download, name its folder with --data_dir, or try the script with --data fake"
        ) from error
    except OSError as error:
        raise OSError(f"CIFAR-10 cannot be downloaded ({error}); try the script with --data fake") from error
    train, test = (
        Images(
            torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(),
            torch.tensor(part.targets),
            tuple(part.classes),
        )
        for part in parts
    )
    return train, test


def fake_images(sizes: tuple[int, int] = FAKE_SIZES, classes: int = 10) -> tuple[Images, Images]:
    """Made-up images of CIFAR-10's form, always the same: a pattern of colours for each class, under noise.

    Patterns are symmetric, so that random flips do no harm.
    """
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.standard_normal((classes, 3, 5, 5), np.float32))
    patterns = F.interpolate(coarse + coarse.flip(-1), size=(32, 32), mode="bilinear")
    names = tuple(f"pattern {number}" for number in range(classes))
    made = []
    for size in sizes:
        labels = torch.from_numpy(rng.integers(classes, size=size))
        noise = torch.from_numpy(rng.standard_normal((size, 3, 32, 32), np.float32))
        pixels = (128 + 40 * patterns[labels] + 40 * noise).clamp(0, 255).to(torch.uint8)
        made.append(Images(pixels, labels, names))
    return made[0], made[1]


def flip_and_crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the images, and move each by up to `PADDING` pixels; zeros (the mean) fill the border.

    Args:
        images: (B, 3, H, W), normalised.
        generator: on the CPU, so that every device sees the same.
    """
    batch, _, h, w = images.shape
    corners = torch.randint(2 * PADDING + 1, (2, batch, 1), generator=generator)
    flips = torch.rand((1, batch, 1), generator=generator) < 0.5
    drawn = torch.cat([corners, flips]).to(images.device, non_blocking=True)  # one copy, not waited for
    top, left, is_flipped = drawn[0], drawn[1], drawn[2] > 0  # (B, 1) each
    rows = top + torch.arange(h, device=images.device)  # (B, H)
    columns = torch.arange(w, device=images.device)
    columns = left + torch.where(is_flipped, columns.flip(0), columns)  # (B, W)
    padded = F.pad(images, [PADDING] * 4)
    sample = torch.arange(batch, device=images.device)[:, None, None]
    return padded[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # from (B, H, W, 3)


# --- network


class Classifier(nn.Module):
    """A backbone, the mean of its map, and a linear layer."""

    def __init__(self, backbone: nn.Module, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(backbone.out_channels, classes)
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):  # as policies normalise
            self.register_buffer(name, 255 * torch.tensor(values).view(3, 1, 1), persistent=False)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 to floats."""
        return (pixels.float() - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), normalised, to (B, classes): logits."""
        return self.fc(self.backbone(images).float().mean(dim=(2, 3)))

    def weights(self) -> dict[str, Tensor]:
        """The backbone's state dict, and the head as `fc.*`: what `--backbone_weights` of a policy reads."""
        return {**self.backbone.state_dict(), **{f"fc.{k}": v for k, v in self.fc.state_dict().items()}}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Load what `weights` gave."""
        head = {k.removeprefix("fc."): v for k, v in weights.items() if k.startswith("fc.")}
        self.fc.load_state_dict(head)
        self.backbone.load_state_dict({k: v for k, v in weights.items() if not k.startswith("fc.")})


@torch.no_grad()
def evaluate(model: Classifier, data: Images, amp: str = "no", desc: str = "") -> tuple[float, Tensor]:
    """Mean cross-entropy, and how often each class (row) was taken for which (column): (classes, classes)."""
    classes = len(data.classes)
    total, counts = 0.0, torch.zeros(classes * classes, dtype=torch.long)
    model.eval()
    starts = range(0, len(data), EVALUATION_BATCH)
    for start in tqdm(starts, desc=desc, unit="batch", leave=False, disable=not desc):
        part = slice(start, start + EVALUATION_BATCH)
        labels = data.labels[part]
        with autocast(amp, labels.device):
            logits = model(model.normalise(data.pixels[part]))
        total += F.cross_entropy(logits.float(), labels, reduction="sum").item()
        pairs = labels * classes + logits.argmax(dim=1)
        counts += torch.bincount(pairs, minlength=classes * classes).cpu()
    model.train()
    return total / len(data), counts.view(classes, classes)


def accuracy(confusion: Tensor) -> float:
    """Share of the images that were classified correctly."""
    return int(confusion.trace()) / int(confusion.sum())
