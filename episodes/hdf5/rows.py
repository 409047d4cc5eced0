"""Rows of a dataset that stay in their file until they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from common import file_identity
from episodes.errors import EpisodeError
from episodes.frames import JpegFrames
from episodes.hdf5.files import READ_ERRORS, open_file
from episodes.jpegs import trim_jpeg

OPEN_DATASETS = 192  # kept open, for frames read on demand; HDF5 takes about 1 MB for each
MOST_ROW = 64 << 20  # bytes of a JPEG with its padding
BLOCK = 16 << 20  # bytes of rows read at a time


@lru_cache(maxsize=OPEN_DATASETS)
def _kept_open(path: Path, identity: tuple[int, int], name: str) -> h5py.Dataset:
    """An open dataset (and file); it closes when the cache has dropped it and nobody reads it."""
    if file_identity(path) != identity:
        raise EpisodeError(f"{path} has changed since it was first read; start again")
    return open_file(path)[name]


class StoredRows(Sequence):
    """A dataset left in its episode file: a row is read whenever any thread asks for it."""

    def __init__(self, dataset: h5py.Dataset, path: Path) -> None:
        self._path, self._identity, self._name = path.absolute(), file_identity(path), dataset.name
        self.shape, self.dtype, self.ndim = dataset.shape, dataset.dtype, dataset.ndim
        self.nbytes = dataset.id.get_storage_size()  # in the file

    def __getitem__(self, rows: int | slice) -> np.ndarray:
        try:
            return _kept_open(self._path, self._identity, self._name)[rows]
        except EpisodeError:
            raise
        except READ_ERRORS as error:
            raise EpisodeError(f"{self._path} cannot be read any more ({error}); start again") from error

    def __len__(self) -> int:
        return self.shape[0]


class StoredJpegs(JpegFrames):
    """JpegFrames left in their file; each is checked when it is read."""

    def __init__(self, rows: StoredRows, name: str, shape: tuple[int, int] | None = None) -> None:
        super().__init__(name=name)
        self._rows, self.nbytes, self._shape = rows, rows.nbytes, shape

    def encoded(self, t: int) -> np.ndarray:
        return trim_jpeg(as_bytes(self._rows[t]), f"{self.name}: frame {t}")

    def in_memory(self) -> JpegFrames:
        """The same frames, read and checked now."""
        return JpegFrames.from_padded(encoded_rows(self._rows), self.name)

    def __len__(self) -> int:
        return len(self._rows)


def encoded_rows(rows: h5py.Dataset | StoredRows) -> Iterator[np.ndarray]:
    """The bytes of each row, (n,) uint8; reads a few rows at a time."""
    row_bytes = max(1, rows.dtype.itemsize * math.prod(rows.shape[1:]))
    count = max(1, BLOCK // row_bytes)
    for start in range(0, len(rows), count):
        yield from map(as_bytes, rows[start : start + count])


def as_bytes(row: np.ndarray | np.void | bytes) -> np.ndarray:
    """(n,) uint8: a row of bytes, a byte string, or an array of varying length."""
    if isinstance(row, np.ndarray) and row.dtype.kind not in "iu":  # (1,) byte strings or arrays
        row = row.reshape(-1)[0]
    if isinstance(row, np.ndarray):
        return row.view(np.uint8)
    return np.frombuffer(bytes(row) if isinstance(row, bytes) else row.tobytes(), np.uint8)
