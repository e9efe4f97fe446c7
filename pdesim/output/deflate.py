"""Fast compression of chunks into the format of HDF5's shuffle and gzip filters.

The shuffle filter collects the bytes of equal significance of all numbers into planes. Planes that
contain exponents are easy to compress, while planes that contain low bits of the mantissa are
noise. A zlib stream (RFC 1950) may contain compressed ("deflated") and uncompressed ("stored")
blocks (RFC 1951, sections 3.2.3 and 3.2.4), so planes that would hardly shrink are stored
uncompressed. This is several times faster than the filters of HDF5, and any HDF5 reader can read
the result.
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
try:  # ten times faster than zlib, in the same format
    from isal import isal_zlib as engine
except ImportError:
    engine = zlib

LEVEL = 1
#: header of a zlib stream (RFC 1950, section 2.2): deflate, a window of 32 KiB, the fastest level
#: of compression, no dictionary
HEADER = b"\x78\x01"
#: an empty stored block that is marked as the last block (RFC 1951, section 3.2.4)
END = b"\x01\x00\x00\xff\xff"
#: largest length of a stored block, which is encoded in 16 bits
LARGEST_STORED = 65535
#: largest increase of the size of a chunk if some planes are stored uncompressed, as a fraction of
#: its size with all planes compressed
TOLERANCE = 0.05
#: the compressed size of a plane is estimated from this number of pieces, of this many bytes each
PIECES, PIECE = 8, 1024
#: largest number of frames between two estimates
ESTIMATES_EVERY = 8
#: number of array elements that are shuffled at once, a compromise between calls and memory
BLOCK = 2**17


class Compressor(Protocol):
    """A compression object of zlib, or of a module that replaces it."""

    def compress(self, data: bytes | np.ndarray, /) -> bytes: ...
    def flush(self, mode: int = ..., /) -> bytes: ...


class Deflater:
    """Compressor of the frames of one field.

    Since consecutive frames are similar, the planes that should be compressed are chosen only at
    the frames 0, 1, 3 and 7, and at every eighth frame after frame 7. A choice takes a fifth of the
    time of writing a chunk. An outdated choice makes chunks larger or slower to write, but not
    incorrect.
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
    """Return the shuffled bytes of an array as a zlib stream."""
    return Deflater()(values)


def _compressor() -> Compressor:
    return engine.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)


def _stream(planes: np.ndarray, worth: np.ndarray, compressor: Compressor) -> bytes:
    parts: list[bytes | memoryview] = [HEADER]
    checksum = 1
    for plane, compressed in zip(planes, worth, strict=True):
        checksum = engine.adler32(plane, checksum)
        parts += _deflated(plane, compressor) if compressed else _stored(plane)
    # the uncompressed planes are copied only once, here
    return b"".join([*parts, END, struct.pack(">I", checksum)])


def shuffled(values: np.ndarray) -> np.ndarray:
    """Return the bytes of an array, shape ``(itemsize, size)``.

    Row i contains byte i of every element.
    """
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
    """Split words into planes of bytes, by splitting each word into halves recursively.

    Casting and shifting arrays is twice as fast as transposing the bytes.
    """
    half = len(planes) // 2
    if half == 1:
        planes[0], planes[1] = words, words >> 8
        return
    _split(words.astype(f"u{half}"), planes[:half])
    _split((words >> (8 * half)).astype(f"u{half}"), planes[half:])


def worth_deflating(planes: np.ndarray, compressor: Compressor) -> np.ndarray:
    """Return which planes should be compressed.

    Leaving the others uncompressed increases the size of the chunk by at most the fraction
    ``TOLERANCE``.
    """
    count = planes.shape[1]
    sizes = [min(_estimate(plane, compressor), count) for plane in planes]
    saved = count - np.array(sizes)
    order = np.argsort(saved, kind="stable")
    worth = np.empty(len(planes), bool)
    worth[order] = np.cumsum(saved[order]) > TOLERANCE * sum(sizes)
    return worth


def _estimate(plane: np.ndarray, compressor: Compressor) -> float:
    """Estimate the compressed size of a plane in bytes from evenly spaced pieces of the plane."""
    sample: bytes | np.ndarray = plane
    if plane.size > PIECES * PIECE:
        apart = plane.size // PIECES
        sample = plane[: PIECES * apart].reshape(PIECES, apart)[:, :PIECE].tobytes()
    size = sum(len(part) for part in _deflated(sample, compressor))
    return size * (plane.size / max(len(sample), 1))


def _deflated(data: bytes | np.ndarray, compressor: Compressor) -> tuple[bytes, bytes]:
    # after a full flush the stream ends at a byte boundary, and later blocks do not refer to
    # earlier ones; uncompressed planes may therefore follow (RFC 1951, section 3.2.4)
    return compressor.compress(data), compressor.flush(zlib.Z_FULL_FLUSH)


def _stored(plane: np.ndarray) -> Iterator[bytes | memoryview]:
    """Yield a plane as stored blocks.

    Each consists of a header, with the length and its complement, and the unchanged bytes.
    """
    for start in range(0, plane.size, LARGEST_STORED):
        block = plane[start : start + LARGEST_STORED]
        yield struct.pack("<BHH", 0, block.size, block.size ^ 0xFFFF)
        yield block.data
