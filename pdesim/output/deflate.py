"""Chunks in the format of HDF5's shuffle and gzip filters, written several times faster.

The shuffle collects the bytes of equal significance into planes. Planes with exponents deflate
well; planes with low bits of the mantissa are noise. A zlib stream (RFC 1950) may contain deflated
and stored blocks (RFC 1951, sections 3.2.3 and 3.2.4), so planes that hardly shrink are stored
unchanged. Readers need no knowledge of this.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import Protocol

import numpy as np

engine: ModuleType
try:  # the format of zlib, ten times faster
    from isal import isal_zlib as engine
except ImportError:
    engine = zlib

LEVEL = 1
#: RFC 1950, section 2.2: deflate with a window of 32 KiB, by the fastest algorithm, no dictionary
HEADER = b"\x78\x01"
#: RFC 1951, section 3.2.4: an empty stored block, marked as the last one
END = b"\x01\x00\x00\xff\xff"
#: largest length of a stored block, a number of 16 bits
LARGEST_STORED = 65535
#: growth of a chunk that stored planes may cause, relative to deflating all planes
TOLERANCE = 0.05
#: number and bytes of the pieces of a plane from which its deflated size is estimated
PIECES, PIECE = 8, 1024
#: largest number of frames between two estimates
ESTIMATES_EVERY = 8
#: numbers shuffled at once: few calls, and little memory beside the planes
BLOCK = 2**17


class Compressor(Protocol):
    """A compression object of zlib, or of a module that replaces it."""

    def compress(self, data: bytes | np.ndarray, /) -> bytes: ...
    def flush(self, mode: int = ..., /) -> bytes: ...


class Deflater:
    """Compressor of the frames of one field, whose planes are similar in consecutive frames.

    The planes to deflate are chosen at the frames 0, 1, 3, 7, and every eighth from there: the
    estimate takes a fifth of the time of a chunk, and an outdated choice can only make a chunk
    larger or slower to write.
    """

    def __init__(self) -> None:
        self._worth: np.ndarray | None = None
        self._pause, self._left = 0, 0

    def __call__(self, values: np.ndarray) -> bytes:
        planes, compressor = shuffled(values), _compressor()
        if self._worth is None or not self._left:
            self._worth = worth_deflating(planes, compressor)
            self._left = self._pause = min(2 * self._pause or 1, ESTIMATES_EVERY)
        self._left -= 1
        return _stream(planes, self._worth, compressor)


def deflate(values: np.ndarray) -> bytes:
    """Return a zlib stream of the shuffled bytes of an array."""
    return Deflater()(values)


def _compressor() -> Compressor:
    return engine.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)


def _stream(planes: np.ndarray, worth: np.ndarray, compressor: Compressor) -> bytes:
    parts: list[bytes | memoryview] = [HEADER]
    checksum = 1
    for plane, compressed in zip(planes, worth, strict=True):
        checksum = engine.adler32(plane, checksum)
        parts += _deflated(plane, compressor) if compressed else _stored(plane)
    # stored planes are copied only here
    return b"".join([*parts, END, struct.pack(">I", checksum)])


def shuffled(values: np.ndarray) -> np.ndarray:
    """Return the bytes of an array, shape ``(itemsize, size)``: row i has byte i of each number."""
    size = values.itemsize
    flat = np.ascontiguousarray(values).reshape(-1)
    if size not in (2, 4, 8):
        return np.ascontiguousarray(flat.view(np.uint8).reshape(-1, size).T)
    words, planes = flat.view(f"u{size}"), np.empty((size, flat.size), np.uint8)
    ordered = planes if sys.byteorder == "little" else planes[::-1]
    for start in range(0, flat.size, BLOCK):
        block = slice(start, start + BLOCK)
        _split(words[block], ordered[:, block])
    return planes


def _split(words: np.ndarray, planes: np.ndarray) -> None:
    """Split words into bytes, halving them recursively.

    Casts and shifts of arrays are twice as fast as a transposition.
    """
    half = len(planes) // 2
    if half == 1:
        planes[0], planes[1] = words, words >> 8
        return
    _split(words.astype(f"u{half}"), planes[:half])
    _split((words >> (8 * half)).astype(f"u{half}"), planes[half:])


def worth_deflating(planes: np.ndarray, compressor: Compressor) -> np.ndarray:
    """Return True for the planes to deflate; storing the others enlarges a chunk only a little."""
    count = planes.shape[1]
    sizes = [min(_estimate(plane, compressor), count) for plane in planes]
    saved = count - np.array(sizes)
    order = np.argsort(saved, kind="stable")
    worth = np.empty(len(planes), bool)
    worth[order] = np.cumsum(saved[order]) > TOLERANCE * sum(sizes)
    return worth


def _estimate(plane: np.ndarray, compressor: Compressor) -> float:
    """Estimate the deflated size of a plane in bytes, from pieces distributed over it."""
    sample: bytes | np.ndarray = plane
    if plane.size > PIECES * PIECE:
        apart = plane.size // PIECES
        sample = plane[: PIECES * apart].reshape(PIECES, apart)[:, :PIECE].tobytes()
    size = sum(len(part) for part in _deflated(sample, compressor))
    return size * (plane.size / max(len(sample), 1))


def _deflated(data: bytes | np.ndarray, compressor: Compressor) -> tuple[bytes, bytes]:
    # after a full flush, the stream is at a byte boundary and later blocks do not refer to earlier
    # ones, so stored planes may be inserted (RFC 1951, section 3.2.4)
    return compressor.compress(data), compressor.flush(zlib.Z_FULL_FLUSH)


def _stored(plane: np.ndarray) -> Iterator[bytes | memoryview]:
    """Yield a plane as stored blocks: a header with length and complement, then the bytes."""
    for start in range(0, plane.size, LARGEST_STORED):
        block = plane[start : start + LARGEST_STORED]
        yield struct.pack("<BHH", 0, block.size, block.size ^ 0xFFFF)
        yield block.data
