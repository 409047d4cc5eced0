"""Which part of a camera's image a policy sees. Training, evaluation and the arm apply the same code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from common import choose, cli
from constants import IMAGENET_MEAN
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.frames import frame_size, resize_image

ROI_WEIGHT = 0.5  # outside --roi
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 (pixels of the recorded frame); without x1 and y1


@dataclass(frozen=True)
class View:
    """How a camera's frames are changed before the policy sees them."""

    frame_size: tuple[int, int] | None = None  # height, width (pixels) of the frames that the boxes refer to
    roi: Box | None = None  # the rest loses contrast
    roi_weight: float = 1.0  # share of its contrast that the rest keeps, in [0, 1]
    crop: Box | None = None  # the rest is cut away
    mask_outside: Box | None = None  # the rest is black
    is_dark: bool = False  # all of it is black

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> View:
        """The reverse of `dataclasses.asdict`."""
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def __call__(self, image: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
        """From a whole frame as recorded, (H, W, 3) uint8, to `image_size` (height, width)."""
        if self.is_dark:
            return np.zeros((*image_size, 3), np.uint8)
        if self.frame_size and image.shape[:2] != self.frame_size:
            sizes = ["x".join(map(str, size)) for size in (image.shape[:2], self.frame_size)]
            raise ValueError(
                "a frame is {} (height x width); --roi, --crop and --mask_outside are for {}".format(*sizes)
            )
        if self.roi:
            image = weight_outside(image, self.roi, self.roi_weight)
        if self.mask_outside:
            image = black_outside(image, self.mask_outside)
        if self.crop:
            x0, y0, x1, y1 = self.crop
            image = image[y0:y1, x0:x1]
        return resize_image(image, image_size)


def black_outside(image: np.ndarray, box: Box) -> np.ndarray:
    """(H, W, 3) uint8, black outside the box."""
    x0, y0, x1, y1 = box
    masked = np.zeros_like(image)
    masked[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    return masked


def weight_outside(image: np.ndarray, box: Box, weight: float) -> np.ndarray:
    """(H, W, 3) uint8 with `weight` times its contrast outside the box.

    It weights the difference to ImageNet's mean colour. Apart from rounding to 8 bits, that multiplies the
    normalised image by a map, 1 inside the box and `weight` outside (as a user's fork of ACT++ does, with 1.5
    and 0.5).
    """
    weighted = cv2.LUT(image, contrast_table(weight)[None])
    x0, y0, x1, y1 = box
    weighted[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    return weighted


def contrast_table(weight: float) -> np.ndarray:
    """(256, 3) uint8, by value and channel: each colour with `weight` times its contrast."""
    mean = 255 * np.array(IMAGENET_MEAN)  # (3,)
    return np.rint(mean + weight * (np.arange(256)[:, None] - mean)).astype(np.uint8)


@dataclass(frozen=True)
class ViewConfig:
    """Flags for the part of each camera's images that a policy sees."""

    TITLE: ClassVar[str] = "picture"

    roi: dict[str, Box] | None = cli.flag(
        None,
        "box of a camera's image that matters most, given as for --crop; the rest loses contrast",
        least=0,
    )
    roi_weight: dict[str, float] | None = cli.flag(
        None,
        f"how much contrast the rest keeps, in [0, 1], e.g. top=0.3; {ROI_WEIGHT} if not given",
        least=0,
        most=1,
    )
    crop: dict[str, Box] | None = cli.flag(
        None,
        "box of a camera's image that is kept, x0,y0,x1,y1 in pixels of the recorded frame, e.g. "
        "top=80,0,560,480; the rest is cut away before scaling to --image_size",
        least=0,
    )
    mask_outside: dict[str, Box] | None = cli.flag(
        None, "box of a camera's image outside which all is black, given as for --crop", least=0
    )
    zero_camera: dict[str, float] | None = cli.flag(
        None,
        "probability that a camera's image is all black in training, e.g. top=0.3; with 1 it always is, in "
        "evaluation too",
        least=0,
        most=1,
    )

    def views(self, cameras: Sequence[str], path: Path) -> dict[str, View]:
        """The view of each camera that is not simply seen whole.

        Args:
            cameras: the policy's.
            path: an episode, for the size of its frames.

        Raises:
            ValueError: the policy has no such camera, a box is empty or not inside the frame, crop and mask
                leave nothing, or a weight has no box.
        """
        boxes = {"roi": self.roi or {}, "crop": self.crop or {}, "mask_outside": self.mask_outside or {}}
        shares = {"roi_weight": self.roi_weight or {}, "zero_camera": self.zero_camera or {}}
        for flag, values in {**boxes, **shares}.items():
            for camera in values:
                choose(f"camera of --{flag}", camera, cameras)
        for camera in shares["roi_weight"]:
            if camera not in boxes["roi"]:
                raise ValueError(
                    f"--roi_weight {camera} weights nothing; give the box: --roi {camera}=x0,y0,x1,y1"
                )
        boxed = [camera for camera in cameras if any(camera in values for values in boxes.values())]
        images = Episode.load(path, boxed, in_memory=False).images if boxed else {}
        parts: dict[str, dict[str, Any]] = {c: {"frame_size": images[c][0].shape[:2]} for c in boxed}
        for flag, values in boxes.items():
            for camera, box in values.items():
                check_box(flag, camera, box, parts[camera]["frame_size"])
                parts[camera][flag] = tuple(box)
        for camera in set(boxes["crop"]) & set(boxes["mask_outside"]):
            _check_overlap(camera, boxes["crop"][camera], boxes["mask_outside"][camera])
        for camera in boxes["roi"]:
            parts[camera]["roi_weight"] = shares["roi_weight"].get(camera, ROI_WEIGHT)
        for camera in (camera for camera, share in shares["zero_camera"].items() if share == 1):
            parts.setdefault(camera, {})["is_dark"] = True
        return {camera: View(**part) for camera, part in parts.items()}

    def darkness(self, cameras: Sequence[str]) -> tuple[float, ...]:
        """Probability that each camera's image becomes black in training; 0 if its view always is."""
        shares = self.zero_camera or {}
        return tuple(shares.get(camera, 0.0) % 1 for camera in cameras)


def check_box(flag: str, camera: str, box: Box, frame_size: tuple[int, int]) -> None:
    """ValueError if a box is empty or not inside a frame of `frame_size` (height, width)."""
    x0, y0, x1, y1 = box
    height, width = frame_size
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(
            f"--{flag} {camera}={x0},{y0},{x1},{y1}: x0,y0,x1,y1 must satisfy 0 <= x0 < x1 <= {width} and "
            f"0 <= y0 < y1 <= {height}, as the frames are {height}x{width}"
        )


def _check_overlap(camera: str, crop: Box, mask: Box) -> None:
    low, high = np.maximum(crop[:2], mask[:2]), np.minimum(crop[2:], mask[2:])
    if (low >= high).any():
        both = " and ".join(
            f"--{flag} {camera}={','.join(map(str, box))}"
            for flag, box in (("crop", crop), ("mask_outside", mask))
        )
        raise ValueError(f"{both} do not overlap; all that is left of the picture would be black")


def check_frame_sizes(views: Mapping[str, View], episodes: Mapping[Path, Episode]) -> None:
    """EpisodeError for the first episode whose frames are not of the size that a view's boxes refer to."""
    boxed = {camera: view.frame_size for camera, view in views.items() if view.frame_size}
    for path, episode in episodes.items():
        for camera, wanted in boxed.items():
            size = frame_size(episode.images[camera])
            if tuple(size) != wanted:
                sizes = ["x".join(map(str, each)) for each in (size, wanted)]
                raise EpisodeError(
                    f"{path}: frames of camera {camera} are {sizes[0]} (height x width); --roi, --crop and "
                    f"--mask_outside are for those of the first episode, {sizes[1]}; train on one size "
                    "alone, or leave these flags out"
                )
