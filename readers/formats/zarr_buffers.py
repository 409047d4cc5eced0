"""Diffusion Policy's replay buffers: a zarr folder or .zarr.zip, all episodes one behind the other.

Source of the schema: real-stanford/diffusion_policy, diffusion_policy/common/replay_buffer.py: arrays with
one row a step in `data`, and `meta/episode_ends`, the row behind the last of each episode. UMI's are alike.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from episodes import EpisodeError
from readers.base import BROKEN, Reader, Recorded, Recording, Survey, damaged
from readers.formats.hdf5_files import sorted_out
from readers.pictures import frames_of

STATES = ("state", "qpos", "robot_joint", "agent_pos", "robot_qpos", "robot_eef_pose", "obs/state")
MOST_EPISODES = 1_000_000


class ZarrBuffers(Reader):
    """See the file."""

    name = "zarr"
    title = "replay buffers of Diffusion Policy or UMI, .zarr or .zarr.zip"
    roles = {
        "state": (
            *((name,) for name in STATES),
            ("robot0_eef_pos", "robot0_eef_rot_axis_angle", "robot0_gripper_width"),
            ("robot0_eef_pos", "robot0_eef_rot", "robot0_gripper_qpos"),
        ),
        "action": (("action",), ("actions",)),
    }

    def recognises(self, path: Path) -> bool:
        return bool(_stores(path))

    def survey(self, path: Path, fps: int | None) -> Survey:
        recordings, stores = [], _stores(path)
        notes: list[str] = []
        for store in stores:
            prefix = f"{store.name}/" if len(stores) > 1 else ""
            try:
                found, more = _looked_at(store, prefix)
            except EpisodeError as error:
                found, more = [Recording(store.name, store, problem=error)], []
            recordings += found
            notes += more
        names = (path.resolve().name.partition(".")[0],)
        return Survey(recordings, tasks=names, notes=tuple(notes))

    def read(self, recording: Recording, cameras: Sequence[str], fps: int) -> Recorded:
        first, stop = recording.key
        with opened(recording.path) as root:
            arrays = _arrays(root)
            recorded = Recorded({name: np.asarray(arrays[name][first:stop]) for name in recording.numbers})
            recorded.numbers = {name: rows.reshape(len(rows), -1) for name, rows in recorded.numbers.items()}
            for camera in cameras:
                rows = Rows(arrays[camera], first, stop)
                recorded.images[camera], notes = frames_of(rows, camera, f"{recording.name}: {camera}")
                recorded.notes += notes
        return recorded


class Rows:
    """Some of an array's rows, which stay in the file; can be sliced."""

    def __init__(self, array: Any, first: int, stop: int) -> None:
        self._array, self._first = array, first
        self.shape, self.dtype = (stop - first, *array.shape[1:]), array.dtype
        self.chunks = array.chunks

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        return np.asarray(self._array[self._first + start : self._first + stop])

    def __len__(self) -> int:
        return self.shape[0]


def import_zarr() -> ModuleType:
    """The zarr library; ImportError says how to get it."""
    try:
        import zarr
        import zarr.storage
    except ImportError as error:
        raise ImportError(f"replay buffers need zarr: pip install zarr ({error})") from error
    return zarr


def _stores(path: Path) -> list[Path]:
    """The replay buffers: the folder or file itself, or those in the folder."""
    if _is_store(path):
        return [path]
    inside = sorted(path.iterdir()) if path.is_dir() else []
    return [each for each in inside if _is_store(each)]


def _is_store(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).is_file() for name in (".zgroup", "zarr.json", ".zmetadata"))
    return path.suffix == ".zip" and path.is_file() and (path.name.endswith(".zarr.zip") or _has_group(path))


def _has_group(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return bool({".zgroup", "zarr.json"} & set(file.namelist()))
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A replay buffer's root; EpisodeError if it cannot be read."""
    zarr = import_zarr()
    store = None
    try:
        store = zarr.storage.ZipStore(str(path), mode="r") if path.is_file() else str(path)
        yield zarr.open_group(store, mode="r")
    except BROKEN as error:
        raise damaged(str(path), error) from error
    finally:
        if path.is_file() and store is not None:
            store.close()


def _arrays(root: Any) -> dict[str, Any]:
    """The arrays of `data`, and of the groups in it, by name."""
    arrays: dict[str, Any] = {}

    def walk(group: Any, prefix: str) -> None:
        for name, item in group.arrays():
            arrays[f"{prefix}{name}"] = item
        for name, below in group.groups():
            walk(below, f"{prefix}{name}/")

    walk(root["data"], "")
    return arrays


def _looked_at(store: Path, prefix: str) -> tuple[list[Recording], list[str]]:
    """The episodes of a replay buffer, and notes on it."""
    with opened(store) as root:
        for name in ("data", "meta/episode_ends"):
            if name not in root:
                raise EpisodeError(f"{store} has no {name}; a replay buffer has data and meta/episode_ends")
        ends = np.asarray(root["meta/episode_ends"][:]).ravel()
        arrays = _arrays(root)
        rows = int(ends.max()) if len(ends) and ends.dtype.kind in "iu" else 0
        if not 0 < len(ends) <= MOST_EPISODES or rows < 1:
            raise EpisodeError(f"{store} has episode_ends {ends.dtype} {ends.shape}; it must be rows, rising")
        lengths = {name: array.shape[0] for name, array in arrays.items() if array.shape}
        usual = max(lengths.values(), default=0)
        numbers, cameras, left_out = sorted_out(arrays, usual)
        notes = [note for name in cameras if (note := _missing_chunks(f"{store.name}: {name}", arrays[name]))]
    recordings, first = [], 0
    for i, stop in enumerate(map(int, ends)):
        name, problem = f"{prefix}episode_{i}", None
        if not first < stop <= usual:
            problem = EpisodeError(
                f"{name} is rows {first} to {stop} of {usual}; it is damaged or not complete"
            )
        key = (first, stop)
        recordings.append(
            Recording(
                name, store, key, stop - first, numbers, tuple(cameras), tuple(left_out), problem=problem
            )
        )
        first = max(first, stop)
    return recordings, notes


def _missing_chunks(what: str, array: Any) -> str:
    """A note if parts of an array are not in the store: zarr reads them as zeros, and writes no zeros."""
    missing = array.nchunks - array.nchunks_initialized
    return f"{what}: {missing} of {array.nchunks} parts are not there, and read as black" if missing else ""
