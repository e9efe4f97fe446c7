"""Arrays in HDF5 files that are read in blocks, or of which only some rows are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import h5py
import numpy as np

from pdesim.files.hdf5 import array_dataset

#: size of a block in bytes, unless a single row is larger
BLOCK = 2**24


@dataclass
class StoredArray:
    """A dataset of an open file whose values are not in memory.

    A dataset in chunks is read as a whole, because each block would decompress entire chunks again.
    """

    data: h5py.Dataset
    #: whether all floating point numbers in the blocks that were read are finite
    finite: bool = True

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all values in the order of the array, in blocks of about ``BLOCK`` bytes."""
        for place in self._places():
            block = np.asarray(self.data[place])
            if block.dtype.kind in "fc":
                self.finite = self.finite and bool(np.isfinite(block).all())
            yield block

    def _places(self) -> Iterator[tuple]:
        if not self.shape or self.data.chunks is not None:
            yield ()
            return
        # the first axis along which an index has at most BLOCK bytes
        sizes = [
            self.dtype.itemsize * math.prod(self.shape[n + 1 :]) for n in range(len(self.shape))
        ]
        axis = next(n for n, size in enumerate(sizes) if size <= BLOCK or n == len(sizes) - 1)
        step = max(1, BLOCK // max(1, sizes[axis]))
        for place in product(*map(range, self.shape[:axis])):
            for start in range(0, self.shape[axis], step):
                yield (*place, slice(start, start + step))

    def read(self) -> np.ndarray:
        """Return all values."""
        return self.data[()]

    def rows(self, axis: int, rows: slice) -> np.ndarray:
        """Return the values at some indices along an axis."""
        return self.data[(*[slice(None)] * axis, rows)]


def stored_array(file: h5py.File, name: str) -> StoredArray:
    """Return a dataset of real or complex numbers that is read later.

    Raises:
        OutputError: see :func:`pdesim.files.hdf5.read_array`.
    """
    return StoredArray(array_dataset(file, name))
