"""Reading and writing the stored bytes of chunks from several threads.

HDF5 may be called by one thread at a time. h5py has one lock for all calls, but versions before
3.16 do not acquire it in ``read_direct_chunk`` and ``write_direct_chunk`` (h5py, pull request
2764). Without it, simulations in two threads damage each other's files.
"""

from __future__ import annotations

from typing import Any

import h5py
from h5py._objects import phil


def read_chunk(data: h5py.Dataset, start: tuple[int, ...]) -> tuple[int, bytes]:
    """Return the filter mask and the stored bytes of a chunk.

    Args:
        data: a chunked dataset.
        start: index of the first element of the chunk.

    Raises:
        OSError, RuntimeError: if the chunk does not exist or cannot be read.
    """
    with phil:
        return data.id.read_direct_chunk(start)


def write_chunk(data: h5py.Dataset, start: tuple[int, ...], octets: Any, mask: int = 0) -> None:
    """Store a chunk that the filters of the dataset have been applied to.

    Args:
        data: a chunked dataset.
        start: index of the first element of the chunk.
        octets: the bytes to be stored, an object with the buffer protocol.
        mask: bit ``i`` is set if filter ``i`` was not applied.

    Raises:
        OSError, RuntimeError: if the chunk cannot be written.
    """
    with phil:
        data.id.write_direct_chunk(start, octets, mask)
