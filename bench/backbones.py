"""Every backbone: its size, the memory that its training takes, and its time against ResNet-18's.

Memory is what the forward pass keeps for the backward pass, in float32, for a batch of 8 images of 480x640:
measured on small images and multiplied, as it grows with their pixels. Weights, gradients and optimiser come
on top, 16 bytes a parameter; bf16 takes about half. Times are of a small batch of small images; each backbone
takes turns with ResNet-18.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from _harness import alternate, machine, make_parser, parse, report, timed
from torch import Tensor, nn

from common import GIGABYTE, keep_freed_memory, saved_bytes
from detr import BACKBONES, NORMS, build_backbone

REFERENCE = "resnet18"


@dataclass(frozen=True)
class Sizes:
    """The measured batches; both image sizes are multiples of every stride."""

    batch: int = 8
    image: tuple[int, int] = (480, 640)  # for memory and features
    timed_batch: int = 2
    timed_image: tuple[int, int] = (192, 256)


QUICK = Sizes(image=(64, 64), timed_batch=1, timed_image=(32, 32))


def make_images(batch: int, image: tuple[int, int]) -> Tensor:
    """Random images, channels last, as policies have them."""
    images = torch.randn(batch, 3, *image, generator=torch.Generator().manual_seed(0))
    return images.contiguous(memory_format=torch.channels_last)


def activation_bytes(backbone: nn.Module, size: Sizes) -> float:
    """Bytes that a batch keeps for the backward pass."""
    pixels, measured = (h * w for h, w in (size.image, size.timed_image))
    image = make_images(size.timed_batch, size.timed_image)
    return saved_bytes(lambda: backbone(image)) * size.batch / size.timed_batch * pixels / measured


def make_jobs(backbone: nn.Module, size: Sizes) -> Callable[[], dict[str, float]]:
    """What measures the seconds of a forward pass and of a whole step; warmed up."""
    images = make_images(size.timed_batch, size.timed_image)
    trained = [p for p in backbone.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-5, fused=True)

    def forward() -> None:
        with torch.no_grad():
            backbone(images)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        backbone(images).square().mean().backward()
        optimiser.step()

    def measure() -> dict[str, float]:
        return {"forward": timed(forward), "step": timed(step)}

    measure()
    return measure


def build(name: str, norm: str | None) -> nn.Module:
    """A backbone in training, with random weights."""
    torch.manual_seed(0)
    norm = None if name == "keypoints" else norm  # which has a norm of its own
    return build_backbone(name, norm).train().to(memory_format=torch.channels_last)


def measure(name: str, norm: str | None, size: Sizes, repeats: int) -> tuple[str, ...]:
    """A row of the table; what it built is gone afterwards."""
    backbone = build(name, norm)
    parameters = sum(p.numel() for p in backbone.parameters())
    kept = activation_bytes(backbone, size)
    with torch.no_grad():
        channels, h, w = backbone(make_images(1, size.image))[0].shape
    strides = [whole // part for whole, part in zip(size.image, (h, w), strict=True)]
    contenders = {"reference": make_jobs(build(REFERENCE, norm), size), name: make_jobs(backbone, size)}
    results = alternate(contenders, repeats)
    rounds = list(zip(results[name], results["reference"], strict=True))  # a busy moment slows down both
    ratios = [median(ours[what] / theirs[what] for ours, theirs in rounds) for what in ("forward", "step")]
    return (
        name,
        f"{parameters / 1e6:.2f}",
        f"{kept / GIGABYTE:.2f}",
        *(f"{ratio:.2f}" for ratio in ratios),
        f"{channels}x{h}x{w}",
        str(strides[0]) if len(set(strides)) == 1 else "0 (points)",
    )


def compare(args: argparse.Namespace, size: Sizes) -> None:
    """Measure all backbones, one after the other, and print the table."""
    facts = machine()
    keep_freed_memory()
    rows = []
    for name in args.backbones:
        rows.append(measure(name, args.norm, size, args.repeats))
        gc.collect()
    images = "{} images of {}x{}".format(size.batch, *size.image)
    small = "{} of {}x{}".format(size.timed_batch, *size.timed_image)
    title = f"Backbones: activations kept for {images} (float32), times against {REFERENCE}'s for {small}"
    header = ("backbone", "M parameters", "GB kept", "forward", "step", "features", "stride")
    report(f"{title}; norm: {args.norm or 'as from scratch'}", facts, header, rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=5)
    names = [name for name in BACKBONES if ":" not in name]
    parser.add_argument(
        "--backbones", nargs="+", default=names, help="which to measure, e.g. timm:mobilenetv3_large_100"
    )
    parser.add_argument(
        "--norm",
        choices=tuple(NORMS),
        help="frozen_bn is that of pretrained weights; as from scratch if not given",
    )
    args = parse(parser)
    compare(args, QUICK if args.quick else Sizes())


if __name__ == "__main__":
    main()
