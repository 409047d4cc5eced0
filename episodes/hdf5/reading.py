"""Read an episode file, whoever wrote it, into the fields of an Episode.

States and actions must be right. Whatever nobody trains on is converted to our form or, if it does not fit,
left out with a note.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from common import command_line, quoted
from episodes.errors import EpisodeError
from episodes.frames import Images
from episodes.hdf5.attributes import Attributes
from episodes.hdf5.facts import FPS, read_facts
from episodes.hdf5.files import check_storage, find, layout, listed, open_hdf5, read_numbers
from episodes.hdf5.pictures import DEPTH, camera_names, read_images

FORMAT_VERSION = 1
DATASETS = {  # field: dataset; one row (or one number) a step
    "qpos": "/observations/qpos",
    "action": "/action",
    "qvel": "/observations/qvel",
    "base_action": "/base_action",
    "reward": "/reward",
    "time": "/time",
}
ENV_STATE, COMPRESS_LEN = "/env_state", "/compress_len"
NUMBERS = ("reward", "time")  # one number a step
POSE = 7  # entries of a prop's start
MOST_PROPS = 1000
CLOCKS = {1e-3: "milliseconds (ms)", 1e-6: "microseconds (us)", 1e-9: "nanoseconds (ns)"}  # unit in s


class Reader:
    """An open episode file. `notes` says what was left out or reinterpreted."""

    def __init__(self, root: h5py.File, path: Path) -> None:
        self._root, self._path = root, path
        self.notes: list[str] = []
        self.used: set[h5py.Dataset] = set()  # what an Episode holds

    def values(self, cameras: Sequence[str] | None, in_memory: bool, fps: int | None) -> dict[str, Any]:
        """The fields of an Episode, by name; see `Episode.load`."""
        attributes = self.attributes(fps)
        arrays = self.arrays(attributes["fps"])
        images = self.images(cameras, in_memory, len(arrays["qpos"]))
        return {**arrays, **attributes, "images": images, "notes": tuple(self.notes)}

    def attributes(self, fps: int | None) -> dict[str, Any]:
        """Every attribute; `fps`, if given, replaces the file's."""
        attributes = Attributes(self._root.attrs, self._path)
        version = attributes.whole("format_version", FORMAT_VERSION)
        if version > FORMAT_VERSION:
            raise EpisodeError(
                f"{self._path}: format version is {version}; this program reads up to {FORMAT_VERSION}"
            )
        values = read_facts(attributes, **({"fps": fps} if fps else {}))
        self.notes += attributes.notes
        return values

    def widths(self) -> tuple[int, int]:
        """Entries of a state and of an action, base included, without reading them."""
        qpos, action, base = (self._dataset(DATASETS[name]) for name in ("qpos", "action", "base_action"))
        if qpos is None or action is None or qpos.ndim != 2 or action.ndim != 2:
            raise EpisodeError(f"{self._path}: no state or no action with one row a step")
        has_base = base is not None and base.shape == (len(qpos), 2) and base.dtype.kind in "biuf"
        return qpos.shape[1], action.shape[1] + 2 * has_base

    def arrays(self, fps: int) -> dict[str, np.ndarray | None]:
        """Every array with one row a step, and the props' start."""
        arrays: dict[str, np.ndarray | None] = {}
        for name in ("qpos", "action"):
            dataset = self._dataset(DATASETS[name])
            if dataset is None:
                raise EpisodeError(f"{self._path}: no dataset {DATASETS[name]}; {_content(self._root)}")
            self.used.add(dataset)
            arrays[name] = read_numbers(dataset, f"{self._path}: {DATASETS[name]}")
        shape = arrays["qpos"].shape
        for name in ("qvel", "base_action", "reward", "time", "env_state"):
            arrays[name] = self._optional(name, shape, fps)
        return arrays

    def start(self) -> np.ndarray | None:
        """The props' start (7 P,), if it is there and fits."""
        return self._optional("env_state", (0,), 0)

    def images(self, cameras: Sequence[str] | None, in_memory: bool, steps: int) -> dict[str, Images]:
        """Frames by camera; see `Episode.load`."""
        images, used, notes = read_images(self._root, self._path, cameras, in_memory, steps)
        self.used |= used
        self.notes += notes
        return images

    def _dataset(self, name: str) -> h5py.Dataset | None:
        item = find(self._root, name)
        return item if isinstance(item, h5py.Dataset) else None

    def _optional(self, name: str, qpos: tuple[int, ...], fps: int) -> np.ndarray | None:
        """An array that fits states of shape `qpos`; None if it is missing or does not fit."""
        place = DATASETS.get(name, ENV_STATE)
        dataset = self._dataset(place)
        if dataset is None:
            return None
        check_storage(dataset, f"{self._path}: {place}")
        problem, array = _misfit(name, dataset, qpos), None
        if not problem:
            array = read_numbers(dataset, f"{self._path}: {place}")
            if name in NUMBERS:
                array = array.reshape(-1)
            with np.errstate(over="ignore", invalid="ignore"):  # the check below finds what is not finite
                if name == "time":
                    array, note = seconds(array, fps)
                    self.notes += [note] if note else []
                array = array.astype(np.float64 if name == "env_state" else np.float32)
            if name != "base_action" and not np.isfinite(array).all():  # as a base's is trained on
                problem = f"holds {array[~np.isfinite(array)][0]}"
        if problem:
            self.notes.append(f"{place} {problem}, and is left out")
            return None
        self.used.add(dataset)
        return array


def _misfit(name: str, dataset: h5py.Dataset, qpos: tuple[int, ...]) -> str:
    """Why an optional array does not fit states of shape `qpos`; "" if it does."""
    shape, steps = dataset.shape, qpos[0]
    if dataset.dtype.kind not in "biuf":
        return f"is {layout(dataset)}, no numbers"
    if name == "env_state":
        is_fit = shape is not None and len(shape) == 1 and 0 < shape[0] <= POSE * MOST_PROPS
        return "" if is_fit and shape[0] % POSE == 0 else f"is {layout(dataset)}, not ({POSE} a prop,)"
    fits = {"qvel": [qpos], "base_action": [(steps, 2)]}.get(name, [(steps,), (steps, 1)])
    return "" if shape in fits else f"is {layout(dataset)}, not {fits[0]}"


def since_start(times: np.ndarray) -> np.ndarray:
    """(T,) float64: times of any type, since the first, in full precision."""
    exact = times.astype(np.int64 if times.dtype.kind in "biu" else np.float64)
    return (exact - exact[:1]).astype(np.float64)


def seconds(times: np.ndarray, fps: int) -> tuple[np.ndarray, str]:
    """Times (T,) float64 in seconds since the first, and a note if the clock counts in another unit.

    A clock in seconds advances about 1 / fps a step, others at least a thousand times as much.
    """
    times = since_start(times)
    gap = float(np.median(np.diff(times))) * fps if len(times) > 1 else 1.0  # steps
    if not (math.isfinite(gap) and gap > 0):
        return times, ""
    for unit, words in CLOCKS.items():
        if -1 <= math.log10(gap * unit) < 2:
            return times * unit, f"/time counts {words}, not seconds, and is converted"
    return times, ""


def _content(root: h5py.File) -> str:
    """What a file holds that is no episode, for a message."""
    data = find(root, "data")
    demos = [name for name in data if str(name).startswith("demo")] if isinstance(data, h5py.Group) else []
    if demos and find(root, f"data/{demos[0]}/actions") is not None:
        return (
            f"it is a robomimic file of {len(demos)} demonstrations (data/{demos[0]} ...); make episodes of "
            f"them: {command_line('edit_episodes.py import')} --from {quoted(root.filename)} "
            "--output_dir NEW"
        )
    names: list[str] = []

    def note(name: str) -> bool | None:
        names.append(str(name))
        return True if len(names) > 10_000 else None  # True ends the visit

    root.visit(note)
    return f"it has {listed(names) or 'nothing'}"


def unread_datasets(path: str | Path) -> list[str]:
    """Datasets that `Episode` does not read: depth images, what does not fit, other people's."""
    path, unread = Path(path), []
    with open_hdf5(path) as root:
        reader = Reader(root, path)
        arrays = reader.arrays(FPS)
        reader.images(None, in_memory=False, steps=len(arrays["qpos"]))
        known = {*reader.used, find(root, COMPRESS_LEN)}

        def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset) and item not in known:
                unread.append(f"/{name}")

        root.visititems(visit)
    return unread


def read_header(path: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Attributes of a file, by names of `facts.FACTS`, and its cameras (but depth), which are not looked at;
    errors as for `Episode.load`.
    """
    path = Path(path)
    with open_hdf5(path) as root:
        cameras = sorted(name for name in camera_names(root, path) if not name.endswith(DEPTH))
        return Reader(root, path).attributes(None), cameras


def read_start(path: str | Path) -> tuple[dict[str, Any], np.ndarray | None]:
    """Attributes of a file, by names of `facts.FACTS`, and the props' start (7 P,), None if it does not say;
    states are not read. Errors as for `Episode.load`.
    """
    path = Path(path)
    with open_hdf5(path) as root:
        reader = Reader(root, path)
        return reader.attributes(None), reader.start()


def widths(path: Path) -> tuple[int, int]:
    """Entries of a state and of an action (`whole_action`) of a file, without reading them."""
    with open_hdf5(path) as root:
        return Reader(root, path).widths()
