"""The images of an episode file: find the datasets of pictures, raw or encoded, in any form in use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from episodes.errors import CameraError, EpisodeError
from episodes.frames import Images, JpegFrames, check_memory
from episodes.hdf5.files import check_storage, find, layout, listed
from episodes.hdf5.rows import MOST_ROW, StoredJpegs, StoredRows, as_bytes, encoded_rows
from episodes.jpegs import MOST_PIXELS, jpeg_size, trim_jpeg

IMAGES = "/observations/images"
DEPTH = "_depth"  # ends the name of a camera that is read only on request


def read_images(
    root: h5py.File, path: Path, cameras: Sequence[str] | None, in_memory: bool, steps: int
) -> tuple[dict[str, Images], set[h5py.Dataset], list[str]]:
    """Frames by camera, their datasets, and notes on what was left out.

    Args:
        root: the open file.
        path: its path.
        cameras: which, in this order; None: all with pictures except depth cameras, (): none.
        in_memory: read all now, rather than each when it is asked for.
        steps: of the episode; each camera must have as many frames.

    Raises:
        CameraError: one of `cameras` is missing.
        EpisodeError: one is no dataset of pictures, does not fit, or is damaged.
    """
    images: dict[str, Images] = {}
    if cameras is not None and not cameras:
        return images, set(), []
    names = camera_names(root, path)
    datasets, left = {}, []
    for camera in [name for name in names if not name.endswith(DEPTH)] if cameras is None else cameras:
        if camera not in names:
            raise CameraError(f"{path}: no camera {camera!r}; it has {listed(names) or 'none'}")
        dataset = _dataset(root, path, camera)
        if form(dataset) or cameras is not None:
            datasets[camera] = dataset
        else:
            left.append((camera, dataset))
    if left and not datasets:  # then it is a broken picture, rather than something else
        check_raw(f"{path}: camera {left[0][0]!r}", left[0][1])
    notes = [f"camera {camera!r} is {layout(item)}, no pictures, and is left out" for camera, item in left]
    for camera, dataset in datasets.items():
        name = f"{path}: camera {camera!r}"
        _check(dataset, name, steps)
        images[camera] = (
            _raw(dataset, path, in_memory)
            if form(dataset) == "raw"
            else _jpegs(dataset, path, name, in_memory)
        )
    return images, set(datasets.values()), notes


def camera_names(root: h5py.File, path: Path) -> list[str]:
    """Names of all cameras, depth cameras too; EpisodeError if they lie where none can."""
    group = find(root, IMAGES)
    if group is None:
        return []
    if not isinstance(group, h5py.Group):
        problem = f"one dataset, {layout(group)}" if isinstance(group, h5py.Dataset) else "no group"
        raise EpisodeError(
            f"{path}: {IMAGES} is {problem}; it must be a group of one dataset a camera: {IMAGES}/top"
        )
    return list(group)


def _dataset(root: h5py.File, path: Path, camera: str) -> h5py.Dataset:
    if not isinstance(camera, str):  # bytes: h5py's form of a name that is not UTF-8
        raise EpisodeError(f"{path}: the name of camera {camera!r} is not UTF-8 text; rename it (h5py: move)")
    item = find(root, f"{IMAGES}/{camera}")
    if isinstance(item, h5py.Dataset):
        return item
    problem = "a link whose target is missing" if item is None else "no dataset"
    if isinstance(item, h5py.Group):
        problem = f"a group (it holds {listed(item) or 'nothing'})"
    raise EpisodeError(
        f"{path}: camera {camera!r} is {problem}; a camera must be one dataset, uint8 (T, H, W, 3) or JPEGs"
    )


def form(dataset: h5py.Dataset | np.ndarray) -> str | None:
    """Form of a dataset's pictures: raw, jpeg (each row one, as bytes), or None if neither."""
    shape, dtype = dataset.shape or (), dataset.dtype
    is_bytes = dtype.kind in "iu" and dtype.itemsize == 1
    if dtype == np.uint8 and len(shape) == 4 and shape[3] == 3:
        return "raw"
    if is_bytes and len(shape) == 2:
        return "jpeg"
    inner = h5py.check_vlen_dtype(dtype)  # of text too
    is_packed = dtype.kind == "S" or (dtype.kind == "V" and not dtype.names and not dtype.subdtype)
    is_varying = isinstance(inner, np.dtype) and inner.kind in "iu" and inner.itemsize == 1
    is_varying = is_varying or h5py.check_string_dtype(dtype) is not None
    return "jpeg" if (is_packed or is_varying) and shape[1:] in ((), (1,)) and shape else None


def check_raw(name: str, frames: np.ndarray | h5py.Dataset) -> None:
    """EpisodeError unless the frames are raw pictures of at least one pixel."""
    if form(frames) != "raw" or 0 in frames.shape[1:]:
        raise EpisodeError(f"{name} is {layout(frames)}; it must be uint8 (T, H, W, 3) or JPEGs")
    if frames.shape[1] * frames.shape[2] > MOST_PIXELS:
        most = f"{MOST_PIXELS // 10**6} million"
        raise EpisodeError(f"{name} is {layout(frames)}; a frame must have at most {most} pixels")


def _check(dataset: h5py.Dataset, name: str, steps: int) -> None:
    """EpisodeError unless the frames can be read, one by one in little memory."""
    check_storage(dataset, name)
    if form(dataset) != "jpeg" or not dataset.dtype.itemsize * math.prod(dataset.shape[1:]):
        check_raw(name, dataset)
    elif dataset.dtype.itemsize * math.prod(dataset.shape[1:]) > MOST_ROW:
        raise EpisodeError(f"{name} is {layout(dataset)}; a JPEG must have at most {MOST_ROW >> 20} MiB")
    check_length(name, dataset, steps)


def check_length(name: str, rows: Sequence | np.ndarray | h5py.Dataset, steps: int) -> None:
    """EpisodeError unless there are as many rows as the episode has steps."""
    if len(rows) != steps:
        raise EpisodeError(f"{name} has {len(rows)} steps; qpos has {steps}, all must have as many")


def _raw(dataset: h5py.Dataset, path: Path, in_memory: bool) -> Images | StoredRows:
    if not in_memory:
        return StoredRows(dataset, path)
    check_memory(math.prod(dataset.shape), f"{path}: {dataset.name}")
    return dataset[()]


def _jpegs(dataset: h5py.Dataset, path: Path, name: str, in_memory: bool) -> JpegFrames:
    if in_memory:
        return JpegFrames.from_padded(encoded_rows(dataset), name)
    ends = [0, len(dataset) - 1] if len(dataset) else []
    jpegs = [trim_jpeg(as_bytes(dataset[t]), f"{name}: frame {t}") for t in ends]
    rows = StoredRows(dataset, path)
    if dataset.dtype.kind == "O" and jpegs:  # of rows of varying length the file gives no size
        rows.nbytes = len(rows) * len(jpegs[0])
    return StoredJpegs(rows, name, jpeg_size(jpegs[0], f"{name}: frame 0") if jpegs else None)
