"""What an episode file holds, as the fields of an Episode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from episodes.hdf5 import open_file
from episodes.rows import StoredJpegs, StoredRows
from frames import EpisodeError, Images, JpegFrames
from jpegs import jpeg_size, trim_jpeg

FORMAT_VERSION = 1
IMAGES = "/observations/images"
DATASETS = {  # field: dataset; one row (or one number) a step
    "qpos": "/observations/qpos",
    "action": "/action",
    "qvel": "/observations/qvel",
    "base_action": "/base_action",
    "reward": "/reward",
    "time": "/time",
}


class CameraError(EpisodeError):
    """An episode without a camera that is asked for."""


def read_values(
    root: h5py.File, path: Path, cameras: Sequence[str] | None, in_memory: bool
) -> dict[str, Any]:
    """The fields of an Episode, by name."""
    attributes = root.attrs
    version = int(attributes.get("format_version", FORMAT_VERSION))
    if version > FORMAT_VERSION:
        raise EpisodeError(f"{path}: format version is {version}; this program reads up to {FORMAT_VERSION}")
    arrays = {name: _read_array(root, dataset) for name, dataset in DATASETS.items()}
    for name in ("qpos", "action"):
        if arrays[name] is None:
            found: list[str] = []
            root.visit(found.append)
            raise EpisodeError(f"{path}: no dataset {DATASETS[name]}; it has {', '.join(found)}")
    return dict(
        **arrays,
        env_state=_read_array(root, "/env_state"),
        images=_read_images(root, path, cameras, in_memory),
        sim=bool(attributes.get("sim", True)),
        task=str(attributes.get("task", "")),
        fps=int(attributes.get("fps", 50)),
        seed=int(attributes["seed"]) if "seed" in attributes else None,
        success=bool(attributes["success"]) if "success" in attributes else None,
        render_quality=str(attributes.get("render_quality", "")),
        noise=float(attributes.get("noise", 0.0)),
        hesitate=int(attributes.get("hesitate", 0)),
        recovers=bool(attributes.get("recovers", False)),
        randomized=bool(attributes.get("randomized", False)),
    )


def _read_array(root: h5py.File, dataset: str) -> np.ndarray | None:
    return root[dataset][()] if isinstance(root.get(dataset), h5py.Dataset) else None


def _read_images(
    root: h5py.File, path: Path, cameras: Sequence[str] | None, in_memory: bool
) -> dict[str, Images]:
    found = [name for name in root.get(IMAGES, ()) if not name.endswith("_depth")]
    images = {}
    for camera in found if cameras is None else cameras:
        if camera not in found:
            raise CameraError(f"{path}: no camera {camera!r}; it has {', '.join(found) or 'none'}")
        frames, name = root[f"{IMAGES}/{camera}"], f"{path}: camera {camera!r}"
        # told by the shape: ACT's files have no attribute `compress`
        if frames.dtype == np.uint8 and frames.ndim == 2 and frames.shape[1]:
            if in_memory:
                images[camera] = JpegFrames.from_padded(frames[()], name)
                continue
            ends = [trim_jpeg(frames[t], f"{name}: frame {t}") for t in (0, len(frames) - 1)[: len(frames)]]
            size = jpeg_size(ends[0], f"{name}: frame 0") if ends else None
            images[camera] = StoredJpegs(StoredRows(frames, path), name, size)
        else:
            check_raw(name, frames)
            images[camera] = frames[()] if in_memory else StoredRows(frames, path)
    return images


def check_raw(name: str, frames: np.ndarray | h5py.Dataset) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise EpisodeError(f"{name} is {frames.dtype} {frames.shape}; it must be uint8 (T, H, W, 3) or JPEGs")


def unread_datasets(path: str | Path) -> list[str]:
    """What `Episode` leaves in the file: depth images and datasets of other people's."""
    known = {*DATASETS.values(), "/env_state", "/compress_len"}
    found: list[str] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        is_frame = name.startswith(IMAGES[1:]) and not name.endswith("_depth")
        if isinstance(item, h5py.Dataset) and f"/{name}" not in known and not is_frame:
            found.append(f"/{name}")

    with open_file(Path(path)) as root:
        root.visititems(visit)
    return found
