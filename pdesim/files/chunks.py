"""Reading and writing the stored bytes of chunks from several threads.

HDF5 may be called by one thread at a time. h5py has one lock for all calls, but versions before
3.16 do not acquire it in ``read_direct_chunk`` and ``write_direct_chunk`` (h5py, pull request
2764). Without it, simulations in two threads damage each other's files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np
from h5py._objects import phil


def chunk_cells(shape: Sequence[int], chunk: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield the cells of each chunk of an array, as slices of its axes.

    Args:
        shape: the shape of the array.
        chunk: the shape of a chunk.
    """
    counts = [-(-n // size) for n, size in zip(shape, chunk, strict=True)]
    for indices in np.ndindex(*counts):
        yield tuple(
            slice(int(i) * size, min((int(i) + 1) * size, n))
            for i, size, n in zip(indices, chunk, shape, strict=True)
        )


def frame_chunks(data: h5py.Dataset) -> Iterator[tuple[slice, ...]]:
    """Yield the cells of each chunk of a frame, as slices of the axes of a frame.

    Args:
        data: a chunked dataset of shape ``(frames, ...)``, with one frame in a chunk.
    """
    return chunk_cells(data.shape[1:], data.chunks[1:])


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
