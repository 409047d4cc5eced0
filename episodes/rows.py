"""Rows of a dataset that stay in their file until they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from episodes.hdf5 import open_file
from files import file_identity
from frames import EpisodeError, JpegFrames
from jpegs import trim_jpeg

OPEN_DATASETS = 192  # kept open for frames that are read as they are needed; HDF5 takes about 1 MB for each


@lru_cache(maxsize=OPEN_DATASETS)
def _kept_open(path: Path, identity: tuple[int, int], name: str) -> h5py.Dataset:
    """A dataset, and with it its file; closed once others have pushed it out and nobody reads from it."""
    if file_identity(path) != identity:
        raise EpisodeError(f"{path} has changed since it was first read; start again")
    return open_file(path)[name]


class StoredRows(Sequence):
    """One dataset of an episode file, left there: a row is read whenever it is asked for, by any thread."""

    def __init__(self, dataset: h5py.Dataset, path: Path) -> None:
        self._path, self._identity, self._name = path.absolute(), file_identity(path), dataset.name
        self.shape, self.dtype, self.ndim = dataset.shape, dataset.dtype, dataset.ndim
        self.nbytes = dataset.id.get_storage_size()  # in the file

    def __getitem__(self, rows: int | slice) -> np.ndarray:
        try:
            return _kept_open(self._path, self._identity, self._name)[rows]
        except (OSError, RuntimeError, KeyError) as error:  # what h5py raises
            raise EpisodeError(f"{self._path} cannot be read any more ({error}); start again") from error

    def __len__(self) -> int:
        return self.shape[0]


class StoredJpegs(JpegFrames):
    """JpegFrames that are left in their file; each is checked when it is read."""

    def __init__(self, rows: StoredRows, name: str, shape: tuple[int, int] | None = None) -> None:
        super().__init__(name=name)
        self._rows, self.nbytes, self._shape = rows, rows.nbytes, shape

    def encoded(self, t: int) -> np.ndarray:
        return trim_jpeg(self._rows[t], f"{self.name}: frame {t}")

    def in_memory(self) -> JpegFrames:
        """The same frames, read and checked now."""
        return JpegFrames.from_padded(self._rows[:], self.name)

    def __len__(self) -> int:
        return len(self._rows)
