"""Sub-commands that change the images of episodes: flags, and a function that returns a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from common import cli
from constants import JPEG_QUALITY
from dataset_tools.edits import EditFlags, plan_edits
from dataset_tools.plans import Plan
from dataset_tools.regions import ColorMask
from dataset_tools.transforms import compressed, decompressed, masked, mirrored, recolored
from episodes import MIRROR, Box, Episode, JpegFrames, black_outside, check_box, frame_size


@dataclass(frozen=True)
class MirrorFlags(EditFlags):
    signs: tuple[int, ...] | None = cli.flag(
        None,
        "factor of each entry of an arm's state, 1 or -1; ACT++'s for its two arms if not given",
        choices=(1, -1),
    )


def mirror(flags: MirrorFlags) -> Plan:
    """Make each episode's mirror image, e.g. mirror_episode_0.hdf5; with --in_place, beside the episode."""
    edit = partial(mirrored, signs=flags.signs)
    keeps_mirrored = flags.in_place  # mirror images stay beside their originals
    return plan_edits(
        flags, lambda path: None if keeps_mirrored and path.name.startswith(MIRROR) else edit, _mirror_name
    )


def _mirror_name(path: Path) -> str:
    is_back = path.name.startswith(MIRROR)
    return path.name.removeprefix(MIRROR) if is_back else MIRROR + path.name


@dataclass(frozen=True)
class CompressFlags(EditFlags):
    quality: int = cli.flag(JPEG_QUALITY, "quality of the JPEGs, 1 to 100", least=1, most=100)


def compress(flags: CompressFlags) -> Plan:
    """Turn raw images into JPEGs (ACT++: compress_data.py)."""
    return plan_edits(
        flags, lambda path: partial(compressed, quality=flags.quality) if "raw" in image_kinds(path) else None
    )


@dataclass(frozen=True)
class DecompressFlags(EditFlags):
    pass


def decompress(flags: DecompressFlags) -> Plan:
    """Turn JPEGs into raw images, which ACT's own scripts read; files become many times as large."""
    jpegs = [path for path in flags.chosen() if "jpeg" in image_kinds(path)]
    sizes = [_raw_bytes(path) / path.stat().st_size for path in jpegs]
    return plan_edits(
        flags, lambda path: decompressed if path in jpegs else None, growth=max(sizes, default=1.0)
    )


def image_kinds(path: Path) -> set[str]:
    """How a file stores its images: jpeg, raw, or empty if it has none."""
    images = Episode.load(path, in_memory=False).images.values()
    return {"jpeg" if isinstance(frames, JpegFrames) else "raw" for frames in images}


def _raw_bytes(path: Path) -> int:
    images = Episode.load(path, in_memory=False).images.values()
    return sum(len(frames) * int(np.prod(frame_size(frames))) * 3 for frames in images)


@dataclass(frozen=True)
class MaskFlags(EditFlags):
    mask_outside: dict[str, Box] | None = cli.flag(
        None,
        "box of a camera's image to keep, x0,y0,x1,y1 in pixels, e.g. top=230,350,412,400",
        least=0,
    )
    color: dict[str, tuple[int, int, int, int, int, int]] | None = cli.flag(
        None,
        "colour of a camera's image to keep, with the box around each connected part: least red, green and "
        "blue, then greatest, e.g. top=150,0,0,255,100,100",
        least=0,
        most=255,
    )
    min_area: int = cli.flag(30, "pixels; smaller parts of --color count as noise", least=0)
    border: int = cli.flag(0, "pixels to keep around each part of --color", least=0, most=10_000)


def mask(flags: MaskFlags) -> Plan:
    """Make everything black but a box of the picture, or but one colour.

    Training's --mask_outside does the former as it reads, without another copy of the data.
    """
    boxes, colours = flags.mask_outside or {}, flags.color or {}
    if not boxes and not colours:
        raise ValueError(
            "nothing to mask; give --mask_outside or --color, e.g. --mask_outside top=0,0,320,240"
        )
    masks: dict[str, list[Callable[[np.ndarray], np.ndarray]]] = {}  # by camera, one after the other
    for camera, values in colours.items():
        low, high = values[:3], values[3:]
        if any(a > b for a, b in zip(low, high, strict=True)):
            raise ValueError(
                f"--color {camera}={','.join(map(str, values))}: each of the first three must be at most its "
                "partner among the last three"
            )
        masks.setdefault(camera, []).append(ColorMask(low, high, flags.min_area, flags.border))
    for camera, box in boxes.items():
        masks.setdefault(camera, []).append(partial(black_outside, box=box))
    for path in flags.chosen():
        _check_masks(path, sorted(masks), boxes)
    return plan_edits(flags, lambda path: partial(masked, masks=masks), is_tried=False)


def _check_masks(path: Path, cameras: Sequence[str], boxes: dict[str, Box]) -> None:
    for camera, frames in Episode.load(path, cameras, in_memory=False).images.items():
        if camera in boxes:
            check_box("mask_outside", camera, boxes[camera], frame_size(frames))


@dataclass(frozen=True)
class RecolorFlags(EditFlags):
    pass


def recolor(flags: RecolorFlags) -> Plan:
    """Exchange red and blue in images that were recorded in OpenCV's order (files of act-plus-plus_one)."""
    return plan_edits(flags, lambda path: recolored)
