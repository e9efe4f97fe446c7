"""The arrays and the checksum of a checkpoint, in blocks so that large arrays fit into memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import h5py
import numpy as np

from pdesim.files import blocks

#: the place of a block in an array, as an index
Place = tuple[Any, ...]


class HasShape(Protocol):
    """An array, in memory or in a file."""

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class ArrayInBlocks:
    """Datasets that are joined along one axis, and read in blocks.

    Args:
        parts: the datasets; they have the same type, and the same shape except along the axis.
        axis: the axis, which is not negative.
    """

    parts: Sequence[h5py.Dataset]
    axis: int

    @property
    def dtype(self) -> np.dtype:
        return self.parts[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        first, rows = self.parts[0].shape, sum(part.shape[self.axis] for part in self.parts)
        return (*first[: self.axis], rows, *first[self.axis + 1 :])

    def blocks(self) -> Iterator[tuple[Place, np.ndarray]]:
        """Yield the place and the values of each block, in the order of the array's elements."""
        outer, inner = self.shape[: self.axis], self.shape[self.axis + 1 :]
        row_bytes = math.prod(inner) * self.dtype.itemsize
        many = max(1, blocks.BLOCK // max(1, row_bytes))
        for index in np.ndindex(*outer):
            before = tuple(map(int, index))
            first = 0
            for part in self.parts:
                rows = part.shape[self.axis]
                for start in range(0, rows, many):
                    end = min(start + many, rows)
                    values = np.ascontiguousarray(part[(*before, slice(start, end))])
                    yield (*before, slice(first + start, first + end)), values
                first += rows


def blocks_of(values: np.ndarray | ArrayInBlocks) -> Iterator[tuple[Place, np.ndarray]]:
    """Yield the place and the values of each block of an array; arrays in memory are one block."""
    if isinstance(values, ArrayInBlocks):
        yield from values.blocks()
    else:
        yield (...,), np.ascontiguousarray(values)


def begin_digest(numbers: str, settings: str) -> Any:
    """Return the checksum of a checkpoint without arrays, an object of :mod:`hashlib`.

    The arrays are added in the order of their names: first :func:`add_header`, then all elements.
    """
    total = hashlib.sha256()
    for text in (numbers, settings):
        total.update(text.encode())
    return total


def add_header(digest: Any, name: str, values: HasShape) -> None:
    """Add the name, the type and the shape of an array to a checksum."""
    digest.update(f"{name}{values.dtype.str}{values.shape}".encode())
