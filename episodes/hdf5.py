"""HDF5 files, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

import h5py


def open_file(path: Path) -> h5py.File:
    """Without HDF5's cache of chunks: none is read twice, and it would take up to 1 MB for each dataset."""
    return h5py.File(path, "r", rdcc_nbytes=0)
