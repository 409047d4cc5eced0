"""Frames: an episode's pictures, raw or as JPEGs (jpegs.py), and those of all training episodes, resized."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import psutil

from constants import JPEG_QUALITY
from episodes.errors import EpisodeError
from episodes.jpegs import check_pixels, encode_jpeg, trim_jpeg

CACHES = ("auto", "none", "jpeg", "decoded")
CACHE_SHARE = 0.5  # of the free memory, for a cache chosen automatically
_REDUCED = {  # libjpeg scales down by these factors as it decodes, which saves most of the work
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}


class JpegFrames(Sequence):
    """The T frames of one camera, kept as JPEG bytes; each is decoded whenever it is asked for.

    `frames[t]` is (H, W, 3) uint8 RGB. A frame is encoded once; saving writes its bytes.
    """

    def __init__(self, quality: int = JPEG_QUALITY, name: str = "frames"):
        self.quality = quality
        self.name = name  # for error messages
        self._encoded: list[np.ndarray] = []
        self._shape: tuple[int, int] | None = None

    @classmethod
    def from_padded(cls, rows: Sequence[np.ndarray] | np.ndarray, name: str = "frames") -> JpegFrames:
        """From T rows of uint8, (T, L) or of varying length, each a JPEG padded with zeros; EpisodeError
        unless each JPEG is whole.
        """
        frames = cls(name=name)
        frames._encoded = [trim_jpeg(row, f"{name}: frame {t}").copy() for t, row in enumerate(rows)]
        return frames

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width (pixels) of every frame."""
        if self._shape is None:
            self._shape = self[0].shape[:2]
        return self._shape

    def append(self, rgb: np.ndarray) -> None:
        """Encode one frame, (H, W, 3) uint8 RGB; EpisodeError if it is not, or not as large as frame 0."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
            raise EpisodeError(f"{self.name}: frame is {rgb.dtype} {rgb.shape}; it must be uint8 (H, W, 3)")
        if len(self) and rgb.shape[:2] != self.shape:
            raise EpisodeError(f"{self.name}: frame {len(self)} is {rgb.shape[:2]}; frame 0 is {self.shape}")
        self._encoded.append(encode_jpeg(rgb, self.quality))
        self._shape = rgb.shape[:2]

    def encoded(self, t: int) -> np.ndarray:
        """The JPEG bytes of frame `t`, (n,) uint8."""
        return self._encoded[t]

    def take(self, steps: Sequence[int]) -> JpegFrames:
        """These frames, in this order, without encoding them again."""
        taken = JpegFrames(self.quality, self.name)
        taken._encoded, taken._shape = [self.encoded(t) for t in steps], self._shape
        return taken

    def reduced(self, t: int, at_least: tuple[int, int]) -> np.ndarray:
        """Frame `t`, (h, w, 3) uint8 RGB, halved up to three times while it is decoded, as long as neither h
        nor w falls below `at_least` (height, width).
        """
        factors = [f for f in _REDUCED if all(n // f >= m for n, m in zip(self.shape, at_least, strict=True))]
        return self._decode(t, _REDUCED[factors[0]] if factors else cv2.IMREAD_COLOR)

    def _decode(self, t: int, mode: int) -> np.ndarray:
        jpeg, name = self.encoded(t), f"{self.name}: frame {t}"
        check_pixels(jpeg, name)
        try:
            rgb = cv2.imdecode(jpeg, mode)
        except cv2.error:
            rgb = None
        if rgb is None:
            raise EpisodeError(f"{name} cannot be decoded; every row must be one whole JPEG")
        return rgb

    def __getitem__(self, t: int) -> np.ndarray:
        return self._decode(t, cv2.IMREAD_COLOR)

    def __len__(self) -> int:
        return len(self._encoded)


Images = JpegFrames | np.ndarray  # the array is raw, (T, H, W, 3) uint8 RGB


def frame_size(frames: Images) -> tuple[int, int]:
    """Height and width (pixels) of every frame."""
    return frames.shape if isinstance(frames, JpegFrames) else frames.shape[1:3]


def resize_image(image: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 to `image_size` (height, width), averaging. Training, evaluation and the arm use it."""
    if image.shape[:2] == tuple(image_size):
        return image
    return cv2.resize(image, image_size[::-1], interpolation=cv2.INTER_AREA)


def free_memory() -> int:
    """Bytes that this process may take: the machine's free memory, within the limits of a container (cgroup
    v2) and of ulimit -v; under torchrun, this process's share of it.
    """
    free = psutil.virtual_memory().available
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text(encoding="ascii").strip()).isdecimal():
        free = min(free, int(text))
    if hasattr(psutil, "RLIMIT_AS"):  # Linux
        process = psutil.Process()
        limit, _ = process.rlimit(psutil.RLIMIT_AS)
        if limit != psutil.RLIM_INFINITY:
            free = max(0, min(free, limit - process.memory_info().vms))
    return free // int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def check_memory(nbytes: int, name: str) -> None:
    """EpisodeError if `nbytes` is more than half of the free memory."""
    free = free_memory()
    if nbytes > free // 2:
        raise EpisodeError(f"{name} takes {nbytes / 1e9:.1f} GB, but {free / 1e9:.1f} GB of memory are free")


def decoded(frames: Images, name: str) -> np.ndarray:
    """Decode to (T, H, W, 3) uint8 RGB; EpisodeError if they do not fit into memory or differ in size."""
    if not isinstance(frames, JpegFrames):
        return frames
    shape = (len(frames), *frames.shape, 3)
    check_memory(math.prod(shape), name)
    pictures = np.empty(shape, np.uint8)
    for t, picture in enumerate(frames):
        if picture.shape != shape[1:]:
            raise EpisodeError(f"{name}: frame {t} is {picture.shape[:2]}; frame 0 is {shape[1:3]}")
        pictures[t] = picture
    return pictures


class Frames:
    """Frames of all episodes at the size the policy sees; safe for any number of threads.

    Args:
        sources: by episode, by camera: the frames as `Episode.load(..., in_memory=False)` gives them.
        image_size: height and width (pixels).
        cache: `none` reads each frame from its file whenever it is asked for; `jpeg` holds the encoded bytes;
            `decoded` holds the frames at `image_size`, once they were asked for; `auto` takes the last of
            these that fits into half of the free memory.
        views: by camera, the function from a recorded frame to one of `image_size` (`views.View`); None for
            `resize_image`. Cameras with a view are decoded whole.
        scaled_decoding: let libjpeg do most of the scaling, by a factor of 2, 4 or 8.

    Raises:
        ValueError: the cache asked for does not fit into memory, or is `jpeg` and the episodes are raw.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[Images]],
        image_size: tuple[int, int],
        cache: str = "auto",
        views: Sequence[Callable[[np.ndarray, tuple[int, int]], np.ndarray] | None] | None = None,
        scaled_decoding: bool = True,
    ) -> None:
        self._sources = [list(cameras) for cameras in sources]
        self._views = views or [None] * len(sources[0])
        self._size, self.scaled_decoding = tuple(image_size), scaled_decoding
        self._first = np.cumsum([0, *(len(cameras[0]) for cameras in sources)])
        shape = (int(self._first[-1]), len(sources[0]), *image_size, 3)
        self.sizes = {"none": 0, "jpeg": _encoded_bytes(sources), "decoded": math.prod(shape)}
        free = free_memory()
        self.budget = int(CACHE_SHARE * free)  # bytes
        self.cache = _choose_cache(cache, self.sizes, self.budget, free)
        if self.cache == "jpeg":
            self._sources = [[frames.in_memory() for frames in cameras] for cameras in sources]
        elif self.cache == "decoded":  # the system allots pages only as they are filled
            self._decoded = np.empty(shape, np.uint8)
            self._filled = np.zeros(shape[0], bool)

    def __str__(self) -> str:
        """What is in memory, for the user."""
        held = {
            "none": "read from the files as they are needed",
            "jpeg": f"held as JPEG, {self.sizes['jpeg'] / 1e9:.2f} GB",
            "decoded": f"held decoded at {self._size[0]}x{self._size[1]}, "
            f"{self.sizes['decoded'] / 1e9:.2f} GB once all have been seen",
        }[self.cache]
        return f"frames (cache {self.cache}): {held}; budget {self.budget / 1e9:.1f} GB, half of free memory"

    def __call__(self, episode: int, step: int) -> np.ndarray:
        """(cameras, H, W, 3) uint8 RGB."""
        if self.cache != "decoded":
            return self._decode(episode, step)
        row = self._first[episode] + step
        if not self._filled[row]:
            self._decoded[row] = self._decode(episode, step)
            self._filled[row] = True
        return self._decoded[row]

    def _decode(self, episode: int, step: int) -> np.ndarray:
        frames = []
        for source, view in zip(self._sources[episode], self._views, strict=True):
            is_scaled = self.scaled_decoding and view is None and isinstance(source, JpegFrames)
            image = source.reduced(step, self._size) if is_scaled else source[step]
            frames.append((view or resize_image)(image, self._size))
        return np.stack(frames)


def _encoded_bytes(sources: Sequence[Sequence[Images]]) -> float:
    """Bytes of the encoded frames; infinity if any of them are raw."""
    everything = [frames for cameras in sources for frames in cameras]
    if not all(isinstance(frames, JpegFrames) for frames in everything):
        return math.inf
    return sum(frames.nbytes for frames in everything)


def _choose_cache(asked: str, sizes: dict[str, float], budget: int, free: int) -> str:
    """The cache to use, one of those in `sizes` (bytes)."""
    if asked == "auto":
        return next(name for name in ("decoded", "jpeg", "none") if sizes[name] <= budget)
    if sizes[asked] == math.inf:
        raise ValueError(f"cache is {asked}, but some of the episodes are raw; choose none or decoded")
    if sizes[asked] > free:
        raise ValueError(
            f"cache {asked} takes {sizes[asked] / 1e9:.1f} GB, but {free / 1e9:.1f} GB of memory are free; "
            "choose auto, or a smaller image_size"
        )
    return asked
